package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"densenas/supernet/space"
)

func TestPlanListsWhatTheSpaceAsksFor(t *testing.T) {
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	out, _ := profilerRun(t, "plan", "--space", "tiny", "--backend", "go", "--format", "json")
	var report planReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	ops := s.Ops()
	if len(report.Operations) != len(ops) || report.Runtime != "go" || report.MeasuringS <= 0 {
		t.Fatalf("%d operations, want %d: %s", len(report.Operations), len(ops), out)
	}
	for i, op := range ops {
		if got := report.Operations[i]; got.Key != op.Op.Key() || got.Count != op.Count || got.MultiplyAdds != op.Op.MultiplyAdds() {
			t.Errorf("operation %d is %+v, want %s", i, got, op.Op.Key())
		}
	}
}

func TestPlanOfAnArchitectureAtAnotherResolution(t *testing.T) {
	folder := t.TempDir()
	path := write(t, folder, "net.txt", "[[16, 16], 'mbconv_k3_t1', [], 0, 1]|[[16, 24], 'mbconv_k3_t6', [], 0, 2]|[[24, 1984], 'conv1_1']")
	out, _ := profilerRun(t, "plan", "--arch", path, "--resolution", "64", "--backend", "go", "--format", "csv")
	if !strings.Contains(out, "stem_k3_i3_o16_s2_r64,1,") || !strings.Contains(out, "mbconv_k3_t6_i16_o24_s2_r32,1,") {
		t.Errorf("plan:\n%s", out)
	}
}

func TestPlanOfWhatATableLacks(t *testing.T) {
	folder := t.TempDir()
	table := filepath.Join(folder, "a.lut.json")
	profilerRun(t, "run", "--space", "tiny", "--only", "skip_*", "--backend", "go", "--precision", "0.9", "--limit", "10ms", "-o", table)
	all, _ := profilerRun(t, "plan", "--space", "tiny", "--backend", "go", "--format", "csv")
	rest, _ := profilerRun(t, "plan", "--space", "tiny", "--backend", "go", "--format", "csv", "--missing", table)
	for line := range strings.Lines(all) {
		key, _, _ := strings.Cut(line, ",")
		if key != "34 operations" && strings.Contains(rest, line) == strings.HasPrefix(key, "skip_") {
			t.Errorf("%s in\n%s", key, rest)
		}
	}
	if out, _ := profilerRun(t, "plan", "--space", "tiny", "--only", "skip_*", "--backend", "go", "--missing", table); !strings.Contains(out, "0 operations") {
		t.Errorf("of a whole table:\n%s", out)
	}
	refused(t, folder, []string{"absent.lut.json"}, "plan", "--space", "tiny", "--missing", filepath.Join(folder, "absent.lut.json"))
}

func TestPlanCountsInWords(t *testing.T) {
	out, _ := profilerRun(t, "plan", "--space", "tiny", "--only", "skip_i12*", "--backend", "go")
	if !strings.Contains(out, "1 operation ") || strings.Contains(out, "1 operations") {
		t.Errorf("plan of one:\n%s", out)
	}
	out, _ = profilerRun(t, "plan", "--space", "tiny", "--only", "skip_*", "--backend", "go")
	if !strings.Contains(out, "4 operations ") {
		t.Errorf("plan of four:\n%s", out)
	}
}

func TestPlanRefuses(t *testing.T) {
	folder := t.TempDir()
	refused(t, folder, []string{"--space", "--arch"}, "plan")
	refused(t, folder, []string{"nowhere", "tiny"}, "plan", "--space", "nowhere")
	refused(t, folder, []string{"*_r8000", "none of the"}, "plan", "--space", "tiny", "--only", "*_r8000")
	refused(t, folder, []string{"--resolution", "-1"}, "plan", "--space", "tiny", "--resolution", "-1")
	refused(t, folder, []string{"--batch"}, "plan", "--space", "tiny", "--batch", "0")
	refused(t, folder, []string{"torch"}, "plan", "--space", "tiny", "--backend", "torch")
	refused(t, folder, []string{"toaster"}, "plan", "--space", "tiny", "--device", "toaster")
}
