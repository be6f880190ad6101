package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/search/rundir"
)

// xlaSpec names XLA's plugin by its path: the small files have a home of their own, without one.
func xlaSpec(t *testing.T) string {
	t.Helper()
	return backends.XLA + ":" + backendstest.XLA(t).PluginPath
}

// TestRunIsBoundToItsDevices begins a run on two devices, which only two devices continue.
func TestRunIsBoundToItsDevices(t *testing.T) {
	xla := xlaSpec(t)
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	prepare(t, f.args(folder, "--backend", xla, "--devices", "2", "--sync-batch-norm")).close()
	text := read(t, folder, rundir.ConfigFile)
	if !strings.Contains(text, "\ndevices: 2\nsync_batch_norm: true\n") {
		t.Fatalf("the configuration is\n%s", text)
	}
	resumed, err := restore(t.Context(), folder, new(strings.Builder))
	if err != nil {
		t.Fatal(err)
	}
	resumed.close()
	for _, other := range []string{"devices: 1\nsync_batch_norm: true", "devices: 2\nsync_batch_norm: false"} {
		write(t, filepath.Join(folder, rundir.ConfigFile), strings.Replace(text, "devices: 2\nsync_batch_norm: true", other, 1))
		refused(t, []string{"resume", folder}, "it differs in configuration")
	}
}

// TestResumedRunsOnTwoDevicesEqualUninterruptedOnes stops a run on two devices in an architecture pass, and lets the command resume it.
func TestResumedRunsOnTwoDevicesEqualUninterruptedOnes(t *testing.T) {
	xla := xlaSpec(t)
	f := smallFiles(t)
	for _, sync := range []string{"--sync-batch-norm=false", "--sync-batch-norm"} {
		args := func(folder string) []string { return f.args(folder, "--backend", xla, "--devices", "2", sync) }
		folder := filepath.Join(t.TempDir(), "whole")
		succeed(t, args(folder)...)
		whole := outcome(t, folder)

		folder = filepath.Join(t.TempDir(), "run")
		interrupt(t, prepare(t, args(folder)), folder, smallWeightSteps+1)
		succeed(t, "resume", folder)
		same(t, sync, outcome(t, folder), whole)
	}
}

func TestRunRecordsItsDevices(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	prepare(t, f.args(folder)).close()
	if text := read(t, folder, rundir.ConfigFile); !strings.Contains(text, "\ndevices: 1\n") {
		t.Errorf("the configuration is\n%s", text)
	}
}

func TestDevicesRefused(t *testing.T) {
	xla := xlaSpec(t)
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	refused(t, f.args(folder, "--devices", "2"), "go has one", "xla:cuda")
	refused(t, f.args(folder, "--devices", "-1"), "devices is -1")
	refused(t, f.args(folder, "--backend", xla, "--devices", "3"), "3 devices cannot share a batch of 8 evenly", "--batch")
}

func TestBenchOnTwoDevices(t *testing.T) {
	xla := xlaSpec(t)
	f := smallFiles(t)
	stdout, _ := succeed(t, "bench", "--space", f.space, "--resolution", "8", "--batch", "4", "--classes", "3", "--steps", "1", "--fixed-path",
		"--backend", xla, "--devices", "2", "--format", "json")
	var got struct {
		Devices, Clients int
		Weights          struct{ Min float64 } `json:"weight_step_s"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.Devices != 2 || got.Clients != 1 || got.Weights.Min <= 0 {
		t.Errorf("%s", stdout)
	}
}
