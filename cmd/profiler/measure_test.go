package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/space"
)

func TestMeasureBesideThePrediction(t *testing.T) {
	folder := t.TempDir()
	network, table := filepath.Join(folder, "net.arch.json"), filepath.Join(folder, "a.lut.json")
	if err := space.MobileNetV2(0.1, 32, 10).Write(network); err != nil {
		t.Fatal(err)
	}
	quick := []string{"--backend", "go", "--precision", "0.9", "--limit", "10ms"}
	refused(t, folder, []string{"keys missing", "profiler run"}, append([]string{"measure", network, "--lut", incomplete(t, folder)}, quick...)...)
	profilerRun(t, append([]string{"run", "--arch", network, "-o", table}, quick...)...)
	out, messages := profilerRun(t, append([]string{"measure", network, "--lut", table, "--format", "json"}, quick...)...)
	var report measureReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	p := report.Predicted
	if report.MedianMS <= 0 || report.Rounds < 6 || p == nil || p.Ratio != report.MedianMS/p.LatencyMS || p.Table != read(t, table).Identity() {
		t.Errorf("%+v, predicted %+v", report, p)
	}
	if strings.Contains(messages, "warning") {
		t.Errorf("the same device and runtime: %s", messages)
	}
	// An entry's interval is not all that a prediction lacks, and a network in other numbers is no measure of it.
	other := read(t, table)
	other.DType, other.Caches = "bf16", lut.Cold
	if err := other.Write(filepath.Join(folder, "other.lut.json")); err != nil {
		t.Fatal(err)
	}
	text, messages := profilerRun(t, append([]string{"measure", network, "--lut", filepath.Join(folder, "other.lut.json")}, quick...)...)
	if !strings.Contains(text, "unverified") || !strings.Contains(messages, `dtype bf16 instead of f32; caches cold instead of warm`) {
		t.Errorf("report:\n%s%s", text, messages)
	}
	// So is one of another runtime, which is taken only where that is forced.
	other.Runtime.Name = "abacus"
	path := filepath.Join(folder, "abacus.lut.json")
	if err := other.Write(path); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{path, "runtime.name abacus instead of go", "--force"}, append([]string{"measure", network, "--lut", path}, quick...)...)
	if _, messages = profilerRun(t, append([]string{"measure", network, "--lut", path, "--force"}, quick...)...); !strings.Contains(messages, "warning: the table was measured with runtime.name abacus") {
		t.Errorf("messages: %s", messages)
	}
	refused(t, folder, []string{table, "batch 1", "--batch"}, append([]string{"measure", network, "--lut", table, "--batch", "2"}, quick...)...)
	text, _ = profilerRun(t, append([]string{"measure", network, "--resolution", "64"}, quick...)...)
	if !strings.Contains(text, "64×64") || !strings.Contains(text, "measured") || strings.Contains(text, "predicted") {
		t.Errorf("report:\n%s", text)
	}
}

// A verified table says how fast the device was, and the prediction is held against that.
func TestMeasureAtTheSpeedOfTheVerification(t *testing.T) {
	threads := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(threads) }) // --threads changes it, for a process of its own
	folder, table, file := measured(t)
	profilerRun(t, "verify", table, "--space", file, "--nets", "20", "--calls-before", "3", "--precision", "0.9", "--limit", "10ms")
	verified := read(t, table)
	if verified.Verification.CallsBefore != 3 {
		t.Errorf("called %d times before", verified.Verification.CallsBefore)
	}
	a := drawn(t, verified, file)
	network := filepath.Join(folder, "net.arch.json")
	if err := a.Write(network); err != nil {
		t.Fatal(err)
	}
	quick := []string{"--precision", "0.9", "--limit", "10ms", "--backend", "go", "--threads", "1", "--format", "json"}
	for _, thenMS := range []float64{1, 1000} { // as on a device on which the reference takes a second
		path := filepath.Join(folder, fmt.Sprintf("%g.lut.json", thenMS))
		verified.Verification.References = []lut.Reference{{Operations: a.Keys(), MedianMS: thenMS}}
		if err := verified.Write(path); err != nil {
			t.Fatal(err)
		}
		out, _ := profilerRun(t, append([]string{"measure", network, "--lut", path}, quick...)...)
		var report measureReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		p := report.Predicted
		if p == nil || p.AtVerification == nil {
			t.Fatalf("%s: predicted %+v", path, p)
		}
		then := p.AtVerification
		if then.ReferenceMS <= 0 || then.ReferenceThenMS != thenMS || p.Ratio != report.MedianMS/p.LatencyMS || then.Ratio != then.MedianMS/p.LatencyMS || !(then.LowMS <= then.MedianMS && then.MedianMS <= then.HighMS) {
			t.Errorf("%s: %+v", path, then)
		}
		// The network is the reference itself, so it took about as long as that, whatever the device does now.
		if then.MedianMS < thenMS/3 || then.MedianMS > 3*thenMS {
			t.Errorf("%s: %g ms at the speed of the verification, at which the reference took %g ms", path, then.MedianMS, thenMS)
		}
	}
	slow := filepath.Join(folder, "1000.lut.json")
	quick[len(quick)-1] = "table"
	if text, _ := profilerRun(t, append([]string{"measure", network, "--lut", slow}, quick...)...); !strings.Contains(text, "not to be trusted") {
		t.Errorf("report:\n%s", text)
	}
	quick[len(quick)-1] = "csv"
	if text, _ := profilerRun(t, append([]string{"measure", network, "--lut", slow}, quick...)...); !strings.Contains(text, "\nmeasured at the verification's speed,") {
		t.Errorf("report:\n%s", text)
	}
	// On another device the reference says nothing.
	verified.Device.Model = "abacus"
	if err := verified.Write(slow); err != nil {
		t.Fatal(err)
	}
	if text, messages := profilerRun(t, append([]string{"measure", network, "--lut", slow}, quick...)...); strings.Contains(text, "speed") || !strings.Contains(messages, "device.model abacus") {
		t.Errorf("report:\n%s%s", text, messages)
	}
}

// drawn is a network of a space file.
func drawn(t *testing.T, table *lut.Table, file string) *space.Architecture {
	t.Helper()
	s, err := space.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	networks, err := profiler.DrawNetworks(table, s, 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	return networks[0]
}

// incomplete writes a table that lacks what a network needs.
func incomplete(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "incomplete.lut.json")
	table := lut.Table{
		Device: lut.Device{Model: "box"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{32}, DType: "f32", Layout: "nhwc",
		Entries: []lut.Entry{{Key: "skip_i8_o8_s1_r8", MedianMS: 1}},
	}
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMeasureRefuses(t *testing.T) {
	folder := t.TempDir()
	refused(t, folder, []string{"nowhere.json"}, "measure", filepath.Join(folder, "nowhere.json"))
	broken := write(t, folder, "broken.arch.json", `{"kind": "densenas.arch", "schema_version": 1, `)
	refused(t, folder, []string{broken}, "measure", broken, "--backend", "go")
	refused(t, folder, []string{"rounds"}, "measure", broken, "--backend", "go", "--repetitions", "2")
}
