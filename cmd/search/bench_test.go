package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"densenas/internal/exit"
)

func TestBenchPrintsThePeersKeys(t *testing.T) {
	f := smallFiles(t)
	for _, path := range [][]string{nil, {"--fixed-path"}} {
		args := append([]string{"--space", f.space, "--resolution", "8", "--batch", "2", "--classes", "3", "--steps", "2", "--backend", "go", "--format", "json", "--profile"}, path...)
		c := newBenchCommand()
		var stdout, stderr strings.Builder
		c.SetArgs(args)
		c.SetOut(&stdout)
		c.SetErr(&stderr)
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Weights, Arch *struct{ Median, Min float64 }
			Memory        *float64 `json:"peak_rss_mb"`
			Parameters    float64  `json:"parameters_m"`
			Executables   int      `json:"executables"`
			Compile       float64  `json:"compile_s"`
			Profile       []struct {
				Step, Direction string
				Calls, Seconds  float64
			}
		}
		var raw map[string]json.RawMessage
		if err := json.Unmarshal([]byte(stdout.String()), &raw); err != nil {
			t.Fatalf("%v in %s", err, stdout.String())
		}
		if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(raw["weight_step_s"], &got.Weights) != nil || json.Unmarshal(raw["arch_step_s"], &got.Arch) != nil {
			t.Fatalf("%s", stdout.String())
		}
		for name, times := range map[string]*struct{ Median, Min float64 }{"weight_step_s": got.Weights, "arch_step_s": got.Arch} {
			if times == nil || times.Min <= 0 || times.Median < times.Min {
				t.Errorf("%s is %v", name, times)
			}
		}
		if _, err := os.Stat("/proc/self/clear_refs"); err == nil && (got.Memory == nil || *got.Memory < 1) {
			t.Errorf("peak_rss_mb is %v", got.Memory)
		}
		if got.Parameters <= 0 || got.Executables < 10 || got.Compile <= 0 {
			t.Errorf("%s", stdout.String())
		}
		calls := map[string]map[string]float64{"weights": {}, "architecture": {}}
		for _, kind := range got.Profile {
			calls[kind.Step][kind.Direction] += kind.Calls
		}
		// A weight step calls each operation of the path forward, backward and for its update, and the classifier once, as an
		// update; skips cost nothing. An architecture step has two operations where a weight step has one, but updates nothing.
		weights, architecture := calls["weights"], calls["architecture"]
		if weights["forward"] < 6 || weights["backward"] != weights["forward"] || weights["update"] != weights["forward"]+1 ||
			architecture["forward"] <= weights["forward"] || architecture["backward"] <= weights["backward"] || architecture["update"] != 0 {
			t.Errorf("calls per step: %v", calls)
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--steps", "0"}, {"--batch", "0"}, {"--classes", "0"}, {"--classes", "1000000"}, {"--resolution", "0"}, {"--resolution", "2"},
		{"--space", "none"}, {"--backend", "torch"}, {"--threads", "-1", "--space", "tiny"}, {"more"},
	} {
		if out, err := execute(t, newBenchCommand(), args...); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%v: %v, want bad input; printed %s", args, err, out)
		}
	}
}
