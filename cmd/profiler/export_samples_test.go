package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/space"

	"golang.org/x/perf/benchfmt"
)

// journaled writes a table of the space tiny with its journal: 12 rounds of three laps for each operation, of a millisecond
// with noise of 1 %, and times slow for the operation of that number. One round of each was discarded.
func journaled(t *testing.T, folder, name string, seed uint64, slowed int, slow float64) string {
	t.Helper()
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, name)
	settings := profiler.Settings{Device: lut.Device{Model: "box"}, Runtime: lut.Runtime{Name: "go"}, Threads: 1, Batch: 1, Resolutions: []int{s.Resolution},
		DType: "f32", Policy: profiler.DefaultPolicy()}
	plan := profiler.NewPlan([]*space.Space{s}, nil)
	store, err := settings.Open(path, plan, plan)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, seed))
	for i, item := range plan.Items {
		record := profiler.Record{Key: item.Op.Key(), Visit: 1}
		for n := range 13 {
			ms := 1 + 0.01*rng.NormFloat64()
			if i == slowed {
				ms *= slow
			}
			round := profiler.Round{Number: n + 1, LapsMS: []float64{0.99 * ms, ms, 1.5 * ms}}
			if n == 5 {
				round.Discarded, round.LapsMS = true, []float64{10}
			}
			record.Rounds = append(record.Rounds, round)
		}
		if err := store.Job.Log.Add(record); err != nil {
			t.Fatal(err)
		}
		if err := store.Save(record); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExportOfRawSamples(t *testing.T) {
	folder := t.TempDir()
	path := journaled(t, folder, "a.lut.json", 1, -1, 1)
	out := filepath.Join(folder, "a.txt")
	if _, stderr := profilerRun(t, "export", path, "--format", "benchfmt", "-o", out); stderr != "" {
		t.Errorf("stderr %q", stderr)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := map[string]int{}
	for reader := benchfmt.NewReader(f, out); reader.Scan(); {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			t.Fatalf("%v", reader.Result())
		}
		if seconds, ok := result.Value("sec/op"); !ok || seconds < 0.9e-3 || seconds > 1.1e-3 || result.GetConfig("device") != "box" {
			t.Fatalf("%s: %+v", result.Name, result.Values)
		}
		lines[result.Name.String()]++
	}
	table := read(t, path)
	for _, e := range table.Entries {
		if lines["Op/"+e.Key] != 12 {
			t.Errorf("%s: %d lines, want one for each round that counts", e.Key, lines["Op/"+e.Key])
		}
	}
	if len(lines) != len(table.Entries) {
		t.Errorf("%d benchmarks of %d entries", len(lines), len(table.Entries))
	}
}

func TestExportOfRawSamplesRefuses(t *testing.T) {
	folder := t.TempDir()
	path := stored(t, folder, "b.lut.json", sampleTable(t))
	out := filepath.Join(folder, "b.txt")
	refused(t, folder, []string{"there is no journal", "b.samples.jsonl"}, "export", path, "--format", "benchfmt", "-o", out)
	journal := write(t, folder, "b.samples.jsonl", "{}\n")
	refused(t, folder, []string{journal}, "export", path, "--format", "benchfmt", "-o", out)
	refused(t, folder, []string{journal}, "diff", path, path)
	// The journal of another table of the same operations.
	other, err := os.ReadFile(profiler.JournalPath(journaled(t, folder, "a.lut.json", 1, -1, 1)))
	if err != nil {
		t.Fatal(err)
	}
	write(t, folder, "b.samples.jsonl", string(other))
	refused(t, folder, []string{"has no samples of the entries"}, "export", path, "--format", "benchfmt", "-o", out)
}

// With both journals the test over raw samples decides, with one the intervals.
func TestDiffBySamples(t *testing.T) {
	folder := t.TempDir()
	a, b := journaled(t, folder, "a.lut.json", 3, 3, 1), journaled(t, folder, "b.lut.json", 4, 3, 1.1)
	key := read(t, a).Entries[3].Key
	var r diffReport
	stdout, stderr := profilerRun(t, "diff", a, b, "--format", "json")
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || stderr != "" {
		t.Fatalf("%v, stderr %q", err, stderr)
	}
	if r.BySamples != len(r.Changes) {
		t.Errorf("%d of %d by samples", r.BySamples, len(r.Changes))
	}
	for _, c := range r.Changes {
		if (c.Verdict == lut.Slower) != (c.Key == key) || c.P == nil {
			t.Errorf("%+v", c)
		}
	}
	if text, _ := profilerRun(t, "diff", a, b); !strings.Contains(text, "1 of 34 operations differ really, by their raw samples (Mann-Whitney)") {
		t.Errorf("printed:\n%s", text)
	}
	if err := os.Remove(profiler.JournalPath(b)); err != nil {
		t.Fatal(err)
	}
	stdout, _ = profilerRun(t, "diff", a, b, "--format", "json")
	r = diffReport{}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || r.BySamples != 0 || r.Changes[3].P != nil || r.Changes[3].Verdict != lut.Slower {
		t.Errorf("without a journal: %v, %d by samples, %+v", err, r.BySamples, r.Changes[3])
	}
}

// Samples of an entry that was measured again elsewhere are not taken for its own.
func TestSamplesAreOfTheEntry(t *testing.T) {
	folder := t.TempDir()
	path := journaled(t, folder, "a.lut.json", 1, -1, 1)
	table := read(t, path)
	table.Entries[2] = entryOf(table.Entries[2].Key, 7)
	stored(t, folder, "a.lut.json", table)
	var stderr strings.Builder
	table = read(t, path)
	samples, err := samplesOf(table, true, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	for i := range table.Entries {
		if got := samples(&table.Entries[i]); (len(got) == 12) != (i != 2) {
			t.Errorf("%s: %v", table.Entries[i].Key, got)
		}
	}
	if want := fmt.Sprintf("warning: %s has not the samples of 1 of 34 operations of its table\n", profiler.JournalPath(path)); stderr.String() != want {
		t.Errorf("stderr %q, want %q", stderr.String(), want)
	}
}
