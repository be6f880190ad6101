//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"densenas/profiler"
)

// What a description binds threads to is in the table and its journal: runs that go on must have the same, and a verification
// measures there. All processors are bound to, so that the test's own process stays as it is.
func TestProcessorsAreInTheTable(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	var all []int
	for n := range len(allowed) * 64 {
		if allowed.IsSet(n) {
			all = append(all, n)
		}
	}
	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	folder := t.TempDir()
	space := write(t, folder, "small.yaml", smallSpace)
	device := write(t, folder, "box.yaml", "kind: densenas.device\nschema_version: 1\nname: box\nmodel: box\narchitecture: any\nbackend: go\ncores: 0\nthreads: 0\nbatch: 1\nprocessors: "+
		strings.ReplaceAll(fmt.Sprint(reversed), " ", ", ")+"\n")
	path := filepath.Join(folder, "a.lut.json")
	args := []string{"run", "--space", space, "--precision", "0.9", "--limit", "10ms", "-o", path}
	profilerRun(t, append(args, "--device", device)...)
	table := read(t, path)
	journal, err := profiler.ReadJournal(profiler.JournalPath(path))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(table.Processors, all) || !slices.Equal(journal.Processors, all) || table.Threads != len(all) {
		t.Errorf("%d threads on the processors %v of the table and %v of its journal, want %v", table.Threads, table.Processors, journal.Processors, all)
	}
	refused(t, folder, []string{"processors", "instead of any"}, append(args, "--backend", "go")...)

	verify := []string{"verify", path, "--space", space, "--nets", "20", "--precision", "0.9", "--limit", "10ms"}
	profilerRun(t, verify...)
	// Of a device that has more of them: this one cannot measure there.
	table.Processors = append(table.Processors, 60_000)
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{path, "processor 60000 is not among"}, verify...)
}
