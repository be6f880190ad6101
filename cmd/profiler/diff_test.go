package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
)

func TestDiff(t *testing.T) {
	folder := t.TempDir()
	table := sampleTable(t)
	before := stored(t, folder, "before.lut.json", table)
	slower, faster, gone := table.Entries[3].Key, table.Entries[7].Key, table.Entries[9].Key
	table.Entries[3] = entryOf(slower, 1.2*table.Entries[3].MedianMS)
	table.Entries[7] = entryOf(faster, 0.5*table.Entries[7].MedianMS)
	table.Entries[8] = entryOf(table.Entries[8].Key, 1.005*table.Entries[8].MedianMS)
	table.Entries[9] = entryOf("skip_i7_o7_s1_r7", 1)
	table.Threads = 2
	after := stored(t, folder, "after.lut.json", table)

	stdout, stderr := profilerRun(t, "diff", before, after)
	if stderr != "warning: measured otherwise, threads: 1 and 2\n" {
		t.Errorf("stderr %q", stderr)
	}
	for _, want := range []string{"From before.lut.json to after.lut.json", slower, "+20.0 %", "slower", faster, "-50.0 %", "2 of 33 operations differ really",
		"beyond both 95 % intervals", "only in A: " + gone, "only in B: skip_i7_o7_s1_r7"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("does not say %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, table.Entries[8].Key) || strings.Index(stdout, faster) > strings.Index(stdout, slower) {
		t.Errorf("not the real ones, largest first:\n%s", stdout)
	}

	stdout, _ = profilerRun(t, "diff", before, after, "--format", "json")
	var r diffReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Changes) != 33 || r.Changes[3].Verdict != "slower" || r.Changes[8].Verdict != "same" || r.Changes[0].P != nil || *r.Changes[0].ALowMS <= 0 ||
		len(r.Differences) != 1 || len(r.OnlyA) != 1 || len(r.OnlyB) != 1 {
		t.Errorf("%+v", r)
	}
	stdout, _ = profilerRun(t, "diff", before, after, "--format", "csv")
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(rows) != 1+33+2 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestDiffFailsAboveAShare(t *testing.T) {
	folder := t.TempDir()
	table := sampleTable(t)
	before := stored(t, folder, "a.lut.json", table)
	table.Entries[3] = entryOf(table.Entries[3].Key, 1.08*table.Entries[3].MedianMS)
	table.Entries[5] = entryOf(table.Entries[5].Key, 1.015*table.Entries[5].MedianMS) // within the noise
	table.Entries[7] = entryOf(table.Entries[7].Key, 0.5*table.Entries[7].MedianMS)
	after := stored(t, folder, "b.lut.json", table)
	for _, c := range []struct {
		args []string
		fail bool
	}{
		{[]string{before, after}, false},
		{[]string{before, after, "--fail-above", "5%"}, true},
		{[]string{before, after, "--fail-above", "0.05"}, true},
		{[]string{before, after, "--fail-above", "10%"}, false},
		{[]string{before, after, "--fail-above", "0"}, true},
		{[]string{before, before, "--fail-above", "0"}, false},
		{[]string{after, before, "--fail-above", "90%"}, true}, // the other way round one is twice as slow
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), append([]string{"diff"}, c.args...), &stdout, &stderr)
		if c.fail && (exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "slower by more than")) || !c.fail && err != nil {
			t.Errorf("%q: error %v", c.args, err)
		}
		if stdout.Len() == 0 {
			t.Errorf("%q: no report", c.args)
		}
	}
	err := run(t.Context(), []string{"diff", before, after, "--fail-above", "5%"}, new(bytes.Buffer), new(bytes.Buffer))
	if want := "1 of 34 operations slower by more than 5%, the most " + table.Entries[3].Key + ": +8.0 %"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDiffRefuses(t *testing.T) {
	folder := t.TempDir()
	path := stored(t, folder, "a.lut.json", sampleTable(t))
	refused(t, folder, []string{"argument is missing"}, "diff", path)
	refused(t, folder, []string{"5 percent", "write 5% or 0.05"}, "diff", path, path, "--fail-above", "5 percent")
	refused(t, folder, []string{"write 5% if that is meant"}, "diff", path, path, "--fail-above", "5")
	refused(t, folder, []string{"is JSON but not an object"}, "diff", path, write(t, folder, "b.lut.json", "[1]"))
	refused(t, folder, []string{"table, csv, json"}, "diff", path, path, "--format", "xml")
}

func TestDiffCorrectsForTheDevice(t *testing.T) {
	folder := t.TempDir()
	table := sampleTable(t)
	path := stored(t, folder, "none.lut.json", table)
	refused(t, folder, []string{"have not the same sentinel", "--corrected"}, "diff", path, path, "--corrected")
	table.Sentinel = &lut.Sentinel{Key: table.Entries[0].Key, MedianMS: 1, DriftP10: 1, DriftP90: 1, Rounds: 10}
	before := stored(t, folder, "a.lut.json", table)
	table.Sentinel.MedianMS = 1.2
	for i, e := range table.Entries {
		table.Entries[i] = entryOf(e.Key, 1.2*e.MedianMS)
	}
	after := stored(t, folder, "b.lut.json", table)
	if out, _ := profilerRun(t, "diff", before, after); !strings.Contains(out, "34 of 34 operations differ really") || !strings.Contains(out, "the sentinel's time changed by +20.0 %; --corrected") ||
		!strings.Contains(out, "34 operations unflagged in both: median absolute change 20.0 %, 0.0 % of the intervals overlap") {
		t.Errorf("as measured:\n%s", out)
	}
	if out, _ := profilerRun(t, "diff", before, after, "--corrected", "--fail-above", "0"); !strings.Contains(out, "0 of 34 operations differ really") || !strings.Contains(out, "which is taken out of B") ||
		!strings.Contains(out, "median absolute change 0.0 %, 100.0 % of the intervals overlap") {
		t.Errorf("corrected:\n%s", out)
	}
	table.Sentinel.MedianMS = 1.4
	lucky := stored(t, folder, "c.lut.json", table)
	if _, messages := profilerRun(t, "diff", before, lucky, "--corrected"); !strings.Contains(messages, "the sentinel changed by +16.7 % more than the same operation's own entry") {
		t.Errorf("an odd sentinel: %q", messages)
	}
}
