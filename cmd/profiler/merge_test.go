package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/lut"
	"densenas/supernet/space"
)

// sampleTable is a table of all operations of the space tiny; the n-th takes n ms and a call of 0.5, ± 1 %.
func sampleTable(t *testing.T) *lut.Table {
	t.Helper()
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	table := &lut.Table{
		Device: lut.Device{Model: "Example CPU 9000", Cores: 2}, Runtime: lut.Runtime{Name: "go", Version: "0.1"}, Threads: 1, Batch: 1,
		Resolutions: []int{s.Resolution}, DType: "f32", Layout: "nhwc", CallMS: 0.5, CallLowMS: 0.495, CallHighMS: 0.505,
		Policy: &lut.Policy{Precision: 0.01},
	}
	for i, c := range s.Ops() {
		table.Entries = append(table.Entries, entryOf(c.Op.Key(), float64(i+1)+0.5))
	}
	return table
}

func entryOf(key string, ms float64) lut.Entry {
	return lut.Entry{Key: key, MedianMS: ms, LowMS: 0.99 * ms, HighMS: 1.01 * ms, MADMS: 0.01 * ms, P10MS: 0.98 * ms, P90MS: 1.02 * ms, MinMS: 0.97 * ms,
		Count: 40, Rounds: 10}
}

// stored writes a table into a folder.
func stored(t *testing.T, folder, name string, table *lut.Table) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMergeUnitesShards(t *testing.T) {
	folder := t.TempDir()
	whole := sampleTable(t)
	var shards []string
	for i := range 3 {
		part := *whole
		part.Entries = nil
		for n, e := range whole.Entries {
			if n%3 == i {
				part.Entries = append(part.Entries, e)
			}
		}
		shards = append(shards, stored(t, folder, fmt.Sprintf("shard%d.lut.json", i), &part))
	}
	out := filepath.Join(folder, "all.lut.json")
	stdout, stderr := profilerRun(t, append(append([]string{"merge"}, shards...), "-o", out)...)
	if stdout != "" || stderr != "" {
		t.Errorf("printed %q, %q", stdout, stderr)
	}
	merged := read(t, out)
	if len(merged.Entries) != len(whole.Entries) || len(merged.Notes) != 3 || strings.Contains(strings.Join(merged.Notes, ""), folder) {
		t.Errorf("%d entries, notes %q", len(merged.Entries), merged.Notes)
	}
	for _, e := range whole.Entries {
		if !slices.ContainsFunc(merged.Entries, func(m lut.Entry) bool { return m.Key == e.Key && m.MedianMS == e.MedianMS }) {
			t.Errorf("%s is lost", e.Key)
		}
	}
}

func TestMergeShowsWhatDisagrees(t *testing.T) {
	folder := t.TempDir()
	a, b := sampleTable(t), sampleTable(t)
	b.Entries[3] = entryOf(b.Entries[3].Key, 1.2*a.Entries[3].MedianMS)
	b.Entries[3].LowMS = b.Entries[3].MedianMS // narrower
	b.Entries[4] = entryOf(b.Entries[4].Key, 1.005*a.Entries[4].MedianMS)
	first, second := stored(t, folder, "a.lut.json", a), stored(t, folder, "b.lut.json", b)
	out := filepath.Join(folder, "all.lut.json")
	stdout, stderr := profilerRun(t, "merge", first, second, "-o", out)
	if stdout != "" || !strings.Contains(stderr, "1 of the entries") || !strings.Contains(stderr, a.Entries[3].Key) ||
		!strings.Contains(stderr, "5.4–5.454") || !strings.Contains(stderr, "4.455–4.545") || !strings.Contains(stderr, "1.200") || strings.Contains(stderr, a.Entries[4].Key) {
		t.Errorf("stdout %q, stderr:\n%s", stdout, stderr)
	}
	if got := read(t, out).Entries[3].MedianMS; got != b.Entries[3].MedianMS {
		t.Errorf("kept %g", got)
	}
}

func TestMergeRefuses(t *testing.T) {
	folder := t.TempDir()
	table := sampleTable(t)
	first := stored(t, folder, "a.lut.json", table)
	table.Batch, table.Runtime.Name = 8, "xla"
	other := stored(t, folder, "b.lut.json", table)
	out := filepath.Join(folder, "out.lut.json")
	refused(t, folder, []string{"batch", "runtime.name", "1 in " + first, "8 in " + other}, "merge", first, other, "-o", out)
	refused(t, folder, []string{"would overwrite the input " + other}, "merge", first, other, "-o", other)
	journal := write(t, folder, "a.samples.jsonl", "")
	refused(t, folder, []string{"would overwrite the input " + journal}, "merge", first, other, "-o", journal)
	refused(t, folder, []string{"-o"}, "merge", first, first)
	refused(t, folder, []string{"argument is missing"}, "merge", first, "-o", out)
	refused(t, folder, []string{"nowhere.lut.json"}, "merge", first, filepath.Join(folder, "nowhere.lut.json"), "-o", out)
	many := []string{"merge", "-o", out}
	for range maxMerged + 1 {
		many = append(many, first)
	}
	refused(t, folder, []string{"unexpected argument"}, many...)
}

func TestMergeSaysWhatIsLost(t *testing.T) {
	folder := t.TempDir()
	a, b := sampleTable(t), sampleTable(t)
	a.Sentinel = &lut.Sentinel{Key: a.Entries[0].Key, MedianMS: 1, DriftP10: 0.99, DriftP90: 1.01, Rounds: 10}
	accuracy := lut.NewAccuracy([]float64{1, 2}, []float64{1, 2})
	a.Verification = &lut.Verification{Space: "tiny", Resolution: 32, Fit: lut.Fit{Networks: 2, Terms: []lut.Term{{Pattern: "*", Scale: 1}}}, HeldOut: accuracy, Sum: accuracy}
	out := filepath.Join(folder, "all.lut.json")
	_, stderr := profilerRun(t, "merge", stored(t, folder, "a.lut.json", a), stored(t, folder, "b.lut.json", b), "-o", out)
	if !strings.Contains(stderr, "warning: the tables do not have the same sentinel") || !strings.Contains(stderr, "its verification is left out") || strings.Count(stderr, "\n") != 2 {
		t.Errorf("stderr:\n%s", stderr)
	}
	if read(t, out).Verified() {
		t.Error("a merged table is verified")
	}
}
