package main

import (
	"os"
	"path/filepath"
	"testing"

	"densenas/lut"
	"densenas/supernet/space"
)

// Every command that misses operations of a space says how to measure them, by the path that the user gave.
func TestMissingOperationsAreMeasuredByPath(t *testing.T) {
	f := smallFiles(t)
	spaced := filepath.Join(t.TempDir(), "my space.yaml")
	if err := os.Rename(f.space, spaced); err != nil {
		t.Fatal(err)
	}
	f.space = spaced
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	params := filepath.Join(t.TempDir(), "a.params.json")
	if err := s.NewParameters().Write(params); err != nil {
		t.Fatal(err)
	}
	writeTable(t, f, func(table *lut.Table) {
		table.Batch, table.DType, table.Caches, table.Entries = 4, "bf16", lut.Cold, table.Entries[:1]
	})
	want := "measure them with: profiler run --space '" + spaced + "' --resolution 8 --batch 4 --dtype bf16 --caches cold -o FILE.lut.json"
	refused(t, f.args(filepath.Join(t.TempDir(), "run"), "--lut-batch", "4", "--lut-dtype", "bf16", "--lut-caches", "cold"), want)
	refused(t, []string{"range", "--space", spaced, "--lut", f.table}, want)
	refused(t, []string{"cost", "--arch-params", params, "--space", spaced, "--lut", f.table}, want)
	refused(t, []string{"derive", "--arch-params", params, "--space", spaced, "--lut", f.table}, want)
}
