package main

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime/library"
	"densenas/internal/onnxruntime/onnxruntimetest"
	"densenas/profiler"
	"densenas/supernet/space"
)

// A table is measured, verified and held against a network in ONNX Runtime, and says with what.
func TestTableOfONNXRuntime(t *testing.T) {
	r := onnxruntimetest.Open(t)
	folder := t.TempDir()
	small := write(t, folder, "small.yaml", smallSpace)
	path := filepath.Join(folder, "small.lut.json")
	quick := []string{"--precision", "0.9", "--limit", "10ms"}
	args := append([]string{"run", "--space", small, "--backend", "onnxruntime", "--threads", "1", "--optimization", "extended", "-o", path}, quick...)
	processors := runtime.GOMAXPROCS(0)
	_, messages := profilerRun(t, args...)
	if !strings.Contains(messages, "onnxruntime "+r.Version+" from "+r.Path) {
		t.Errorf("messages: %s", messages)
	}
	if now := runtime.GOMAXPROCS(0); now != processors {
		t.Errorf("GOMAXPROCS is %d after the run, and was %d", now, processors)
	}
	table := read(t, path)
	found := table.Runtime
	if found.Name != "onnxruntime" || !strings.HasPrefix(found.Version, r.Version) || !strings.Contains(found.Plugin, filepath.Base(r.Path)+", sha256 ") ||
		found.Provider != "cpu" || found.Optimization != "extended" || found.NoArena {
		t.Errorf("runtime %+v", found)
	}
	if table.Threads != 1 || table.Layout != "nchw" || table.CallMS <= 0 || table.Sentinel == nil {
		t.Errorf("%d threads, layout %s, a call of %g ms, sentinel %+v", table.Threads, table.Layout, table.CallMS, table.Sentinel)
	}
	journal, err := profiler.ReadJournal(profiler.JournalPath(path))
	if err != nil || journal.Runtime != found {
		t.Errorf("journal of %+v, %v", journal.Runtime, err)
	}

	// The verification takes the settings from the table.
	profilerRun(t, append([]string{"verify", path, "--space", small, "--nets", "20"}, quick...)...)
	if !read(t, path).Verified() {
		t.Error("not verified")
	}

	// Others are another runtime.
	refused(t, folder, []string{path, "runtime.optimization extended instead of all"}, append(args, "--optimization", "all")...)
	refused(t, folder, []string{path, "runtime.no_arena false instead of true"}, append(args, "--arena=false")...)
	refused(t, folder, []string{path, "runtime.name onnxruntime instead of go"}, append([]string{"run", "--space", small, "--backend", "go", "-o", path}, quick...)...)

	network := filepath.Join(folder, "net.arch.json")
	s, err := space.Load(small)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Draw(rand.New(rand.NewPCG(1, 1)), func(space.Op) float64 { return 1 }).Write(network); err != nil {
		t.Fatal(err)
	}
	measure := append([]string{"measure", network, "--lut", path, "--threads", "1", "--format", "json"}, quick...)
	refused(t, folder, []string{path, "runtime.name onnxruntime instead of go", "--force"}, append(measure, "--backend", "go")...)
	out, messages := profilerRun(t, append(measure, "--backend", "onnxruntime:"+r.Path, "--optimization", "extended")...)
	var report measureReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Runtime != found || report.MedianMS <= 0 || report.Predicted == nil || !report.Predicted.Verified || strings.Contains(messages, "warning") {
		t.Errorf("%+v, predicted %+v, messages %s", report, report.Predicted, messages)
	}
}

func TestONNXRuntimeIsShown(t *testing.T) {
	r := onnxruntimetest.Open(t)
	for _, command := range [][]string{{"device"}, {"doctor", "--backend", "onnxruntime", "--threads", "1"}} {
		if out, _ := profilerRun(t, command...); !strings.Contains(out, filepath.Base(r.Path)+", sha256 ") {
			t.Errorf("%v does not show the library:\n%s", command, out)
		}
	}
	if out, _ := profilerRun(t, "plan", "--space", "tiny", "--backend", "onnxruntime"); !strings.Contains(out, "measuring them on onnxruntime at batch 1") {
		t.Errorf("plan:\n%s", out)
	}
}

func TestONNXRuntimeRefuses(t *testing.T) {
	onnxruntimetest.Open(t)
	folder := t.TempDir()
	run := []string{"run", "--space", "tiny", "-o", filepath.Join(folder, "a.lut.json"), "--backend", "onnxruntime"}
	refused(t, folder, []string{`provider "abacus"`, "xnnpack"}, append(run, "--provider", "abacus")...)
	refused(t, folder, []string{"optimization", "extended"}, append(run, "--optimization", "much")...)
	refused(t, folder, []string{"bf16", "f32"}, append(run, "--dtype", "bf16")...)
	refused(t, folder, []string{"threads"}, append(run, "--threads", "100000")...)
	refused(t, folder, []string{"LIBRARY"}, append(run, "--backend", "onnxruntime:")...)
	refused(t, folder, []string{"--provider", "backend go"}, append(run, "--backend", "go", "--provider", "cpu")...)
	network, model := filepath.Join(folder, "net.arch.json"), write(t, folder, "net.onnx", "no model")
	if err := space.MobileNetV2(0.1, 32, 10).Write(network); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{"--model", "backend go"}, "measure", network, "--model", model, "--backend", "go")
	refused(t, folder, []string{model, "search export"}, "measure", network, "--model", model, "--backend", "onnxruntime")
	// PyPI's library for Linux has the CPU alone.
	refused(t, folder, []string{"no provider qnn", "another provider"}, append(run, "--provider", "qnn")...)
	absent := filepath.Join(folder, "none.so")
	refused(t, folder, []string{absent, "make onnxruntime"}, append(run, "--backend", "onnxruntime:"+absent)...)
}

// Without the library the runner says how to get it, and everything else works.
func TestWithoutONNXRuntime(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(library.Variable, filepath.Join(folder, "none.so"))
	var quiet strings.Builder
	err := run(t.Context(), []string{"run", "--space", "tiny", "--backend", "onnxruntime", "-o", filepath.Join(folder, "a.lut.json")}, &quiet, &quiet)
	if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "ONNX Runtime is not there") {
		t.Errorf("%v", err)
	}
	if out, _ := profilerRun(t, "device"); !strings.Contains(out, "backend onnxruntime") || !strings.Contains(out, "ONNX Runtime is not there") {
		t.Errorf("device:\n%s", out)
	}
}
