package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"densenas/lut"
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
	folder, table, file := measured(t)
	quick := []string{"--precision", "0.9", "--limit", "10ms"}
	profilerRun(t, append([]string{"verify", table, "--space", file, "--nets", "20", "--calls-before", "3"}, quick...)...)
	verified := read(t, table)
	network := filepath.Join(folder, "net.arch.json")
	if err := verified.Verification.Sentinel.Network.Write(network); err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(folder, "slow.lut.json") // that of a device on which the sentinel took a second
	verified.Verification.Sentinel.MedianMS = 1000
	if err := verified.Write(slow); err != nil {
		t.Fatal(err)
	}
	quick = append(quick, "--backend", "go", "--threads", "1", "--format", "json")
	for path, thenMS := range map[string]float64{table: read(t, table).Verification.Sentinel.MedianMS, slow: 1000} {
		out, _ := profilerRun(t, append([]string{"measure", network, "--lut", path}, quick...)...)
		var report measureReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		p := report.Predicted
		if p == nil || p.AtVerification == nil {
			t.Fatalf("%s: predicted %+v", path, p)
		}
		a := p.AtVerification
		if a.SentinelMS <= 0 || a.SentinelThenMS != thenMS || p.Ratio != report.MedianMS/p.LatencyMS || a.Ratio != a.MedianMS/p.LatencyMS || !(a.LowMS <= a.MedianMS && a.MedianMS <= a.HighMS) {
			t.Errorf("%s: %+v", path, a)
		}
		// The network is the sentinel itself, so it took about as long as that, whatever the device does now.
		if a.MedianMS < thenMS/3 || a.MedianMS > 3*thenMS {
			t.Errorf("%s: %g ms at the speed of the verification, at which the sentinel took %g ms", path, a.MedianMS, thenMS)
		}
	}
	quick[len(quick)-1] = "table"
	if text, _ := profilerRun(t, append([]string{"measure", network, "--lut", slow}, quick...)...); !strings.Contains(text, "not to be trusted") {
		t.Errorf("report:\n%s", text)
	}
	quick[len(quick)-1] = "csv"
	if text, _ := profilerRun(t, append([]string{"measure", network, "--lut", table}, quick...)...); !strings.Contains(text, "\nmeasured at the verification's speed,") {
		t.Errorf("report:\n%s", text)
	}
	// On another device the sentinel says nothing.
	verified.Device.Model = "abacus"
	if err := verified.Write(slow); err != nil {
		t.Fatal(err)
	}
	if text, messages := profilerRun(t, append([]string{"measure", network, "--lut", slow}, quick...)...); strings.Contains(text, "speed") || !strings.Contains(messages, "device.model abacus") {
		t.Errorf("report:\n%s%s", text, messages)
	}
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
