package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/profiler"
)

// smallSpace has a hundred networks that take microseconds.
const smallSpace = `kind: densenas.space
schema_version: 1
name: small
resolution: 8
channels: 3
classes: 3
forward: 2
stem: {kernel: 3, width: 4, stride: 1}
first: mbconv_k3_t1
head: [mbconv_k3_t3, mbconv_k3_t6]
stack: [mbconv_k3_t3, skip]
blocks:
  - {width: 4, stride: 1, stage: 0, layers: 0}
  - {width: 6, stride: 2, stage: 1, layers: 2}
  - {width: 8, stride: 2, stage: 1, layers: 1}
final: {width: 16, stage: 2}
`

// measured is a table of the small space, measured quickly.
func measured(t *testing.T) (folder, table, space string) {
	t.Helper()
	folder = t.TempDir()
	table, space = filepath.Join(folder, "small.lut.json"), write(t, folder, "small.yaml", smallSpace)
	profilerRun(t, "run", "--space", space, "--backend", "go", "--threads", "1", "--precision", "0.9", "--limit", "10ms", "-o", table)
	return folder, table, space
}

func TestVerifyStoresTheFitInTheTable(t *testing.T) {
	_, path, space := measured(t)
	before := read(t, path)
	out, _ := profilerRun(t, "verify", path, "--space", space, "--nets", "20", "--precision", "0.9", "--limit", "10ms", "--format", "json")
	var report struct {
		HeldOut  lut.Accuracy `json:"held_out"`
		Networks []networkReport
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	after := read(t, path)
	v := after.Verification
	if v == nil || v.Space != "small" || v.Resolution != 8 || v.Fit.Networks != 10 || v.HeldOut != report.HeldOut || v.HeldOut.Networks != 10 {
		t.Fatalf("verification %+v", v)
	}
	for _, r := range v.References {
		if !slices.ContainsFunc(report.Networks, func(n networkReport) bool { return n.MeasuredMS == r.MedianMS && n.Operations == r.Operations }) {
			t.Errorf("a reference of %g ms is none of the networks", r.MedianMS)
		}
	}
	if v.CallsBefore != 1 {
		t.Errorf("called %d times before", v.CallsBefore)
	}
	fitted := 0
	for _, n := range report.Networks {
		if n.MeasuredMS <= 0 || n.PredictedMS <= 0 || n.SumMS <= 0 {
			t.Errorf("network %+v", n)
		}
		if n.Fitted {
			fitted++
		}
	}
	if len(report.Networks) != 20 || fitted != 10 {
		t.Errorf("%d networks, %d of them in the fit", len(report.Networks), fitted)
	}
	if !after.Verified() || before.Verified() || len(after.Entries) != len(before.Entries) || after.Entries[0].MedianMS != before.Entries[0].MedianMS {
		t.Error("the entries were changed, or the table is not verified")
	}
	// What was measured is verified again as well as for the first time, and as a table for people.
	text, _ := profilerRun(t, "verify", path, "--space", space, "--nets", "20", "--precision", "0.9", "--limit", "10ms")
	for _, want := range []string{"plain sum", "within 5 %", "tau", "split halves", "*_r8"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	folder, path, space := measured(t)
	refused(t, folder, []string{"argument"}, "verify")
	refused(t, folder, []string{"nowhere"}, "verify", filepath.Join(folder, "nowhere.lut.json"))
	refused(t, folder, []string{"--nets is 19", "20"}, "verify", path, "--nets", "19")
	refused(t, folder, []string{"--calls-before is 0"}, "verify", path, "--calls-before", "0")
	refused(t, folder, []string{"precision"}, "verify", path, "--precision", "0")
	refused(t, folder, []string{"--seed"}, "verify", path, "--seed", "18446744073709551615")
	refused(t, folder, []string{path, "--space"}, "verify", path)
	refused(t, folder, []string{"keys missing", "profiler run"}, "verify", path, "--space", "tiny")
	refused(t, folder, []string{"unknown backend"}, "verify", path, "--space", space, "--backend", "torch")
	table, complete := read(t, path), read(t, path)
	spaced := write(t, folder, "my space.yaml", smallSpace)
	table.Entries = table.Entries[1:]
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{"1 of ", "profiler run --space '" + spaced + "' --resolution 8 "}, "verify", path, "--space", spaced)
	table = complete
	table.Device.Model, table.Threads = "another", 1
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{"device.model another instead of", "measure it again"}, "verify", path, "--space", space)
	table.Threads = 1 << 20
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{path, "1048576 threads"}, "verify", path, "--space", space)
	// A table does not choose the file of a plugin.
	plugin := write(t, folder, "plugin.so", "")
	table.Runtime.Name = "xla:" + plugin
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	refused(t, folder, []string{path, "name one by --backend"}, "verify", path, "--space", space)
}

// A table that another run wrote meanwhile is left as it is.
func TestVerifyLeavesATableThatChanged(t *testing.T) {
	_, path, space := measured(t)
	table := read(t, path)
	table.Notes = append(table.Notes, "changed meanwhile")
	change := writerFunc(func() {
		if err := table.Write(path); err != nil {
			t.Error(err)
		}
	})
	var out bytes.Buffer
	err := run(t.Context(), []string{"verify", path, "--space", space, "--nets", "20", "--precision", "0.9", "--limit", "10ms"}, &out, change)
	if exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), path+": changed") || !strings.Contains(err.Error(), "profiler verify") {
		t.Errorf("error %v", err)
	}
	if read(t, path).Identity() != table.Identity() {
		t.Error("the table was written over")
	}
}

// writerFunc is called for each message.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// An end in the middle leaves the table as it was.
func TestInterruptedVerifyStoresNothing(t *testing.T) {
	_, path, space := measured(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	err = run(ctx, []string{"verify", path, "--space", space, "--nets", "20"}, &out, stop(cancel))
	if stopped := (exit.Interrupted{}); !errors.As(err, &stopped) || !strings.Contains(err.Error(), "profiler verify") {
		t.Errorf("error %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) || out.Len() > 0 {
		t.Errorf("the table was changed, or something printed: %q, %v", out.String(), err)
	}
}

// What a stopped verification has measured is taken as it is; of another one, or one that ended, it is measured anew.
func TestStoppedVerifyGoesOn(t *testing.T) {
	_, path, spaceFile := measured(t)
	table, err := lut.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	o := verifyOptions{space: spaceFile, nets: 20, seed: 3, precision: 0.2, limit: 10 * time.Millisecond, callsBefore: 1}
	s, err := o.source(table)
	if err != nil {
		t.Fatal(err)
	}
	networks, err := profiler.DrawNetworks(table, s, o.nets, o.seed)
	if err != nil {
		t.Fatal(err)
	}
	file := profiler.NetworksFile{
		Table: profiler.Unverified(table).Identity(), Space: s.Fingerprint(), Resolution: s.Resolution, Drawn: len(networks), Policy: o.policy().Journal(),
	}
	want := 0.0
	for _, a := range networks[:len(networks)-1] {
		sum, _, err := table.Network(a)
		if err != nil {
			t.Fatal(err)
		}
		ms := 20 * sum.MS
		want = max(want, ms)
		file.Networks = append(file.Networks, profiler.NetworkRounds{MediansMS: []float64{ms, ms, ms, ms, ms, ms}, SentinelMS: []float64{1, 1, 1, 1, 1, 1}})
	}
	measured := profiler.NetworksPath(path)
	if err := file.Write(measured); err != nil {
		t.Fatal(err)
	}
	verify := func(seed string) (slowest float64, warnings string) {
		var out, messages bytes.Buffer
		err := run(t.Context(), []string{"verify", path, "--space", spaceFile, "--nets", "20", "--seed", seed, "--precision", "0.2", "--limit", "10ms", "--format", "json"}, &out, &messages)
		if err != nil {
			t.Fatal(err)
		}
		var report verifyReport
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		for _, n := range report.Networks {
			slowest = max(slowest, n.MeasuredMS)
		}
		return slowest, messages.String()
	}
	if slowest, _ := verify("3"); slowest != want {
		t.Errorf("the slowest network takes %g ms, that of the file %g", slowest, want)
	}
	after, err := profiler.ReadNetworks(measured)
	if err != nil || len(after.Networks) != after.Drawn || !reflect.DeepEqual(after.Networks[:len(file.Networks)], file.Networks) {
		t.Errorf("the file does not hold all networks, or others: %v", err)
	}
	if slowest, _ := verify("3"); slowest == want {
		t.Error("a verification that ended was not made anew")
	}
	if err := file.Write(measured); err != nil {
		t.Fatal(err)
	}
	if slowest, warnings := verify("4"); slowest == want || !strings.Contains(warnings, "warning: "+measured) {
		t.Errorf("with another seed the slowest network takes %g ms, and it says %q", slowest, warnings)
	}
}

// stop ends a run at its first message, which names the backend.
type stop context.CancelFunc

func (s stop) Write(p []byte) (int, error) {
	s()
	return len(p), nil
}
