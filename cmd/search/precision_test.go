package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"densenas/search/rundir"
)

// TestRunWithBFloat16 runs to the end, and is bound to its type of numbers.
func TestRunWithBFloat16(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	succeed(t, f.args(folder, "--dtype", "bf16")...)
	text := read(t, folder, rundir.ConfigFile)
	if !strings.Contains(text, "\ndtype: bf16\n") {
		t.Fatalf("the configuration is\n%s", text)
	}
	records, _, err := rundir.ReadRecords(folder)
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if !(records[2].TrainLoss < records[0].TrainLoss) {
		t.Errorf("the loss goes from %g to %g", records[0].TrainLoss, records[2].TrainLoss)
	}
	write(t, filepath.Join(folder, rundir.ConfigFile), strings.Replace(text, "\ndtype: bf16\n", "\ndtype: f32\n", 1))
	refused(t, []string{"resume", folder}, "it differs in configuration", "DType:bf16", "DType:f32")
	refused(t, f.args(filepath.Join(t.TempDir(), "run"), "--dtype", "f64"), `dtype is "f64"`)
}

func TestBenchTimesBothTypes(t *testing.T) {
	f := smallFiles(t)
	stdout, _ := succeed(t, "bench", "--space", f.space, "--resolution", "8", "--batch", "2", "--classes", "3", "--steps", "1", "--fixed-path",
		"--backend", "go", "--dtype", "f32,bf16", "--format", "json")
	var got []struct {
		DType   string
		Weights struct{ Min float64 } `json:"weight_step_s"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].DType != "f32" || got[1].DType != "bf16" || got[0].Weights.Min <= 0 || got[1].Weights.Min <= 0 {
		t.Errorf("%s", stdout)
	}
	refused(t, []string{"bench", "--dtype", "f32,f16"}, `"f16" is unknown`)
	refused(t, []string{"bench", "--dtype", ""}, "names none")
}
