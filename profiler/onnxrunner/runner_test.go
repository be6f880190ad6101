package onnxrunner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime"
	"densenas/internal/onnxruntime/onnxruntimetest"
	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/onnxrunner"
	"densenas/supernet/export"
	"densenas/supernet/space"
)

// quick measures little, whatever the machine does meanwhile.
func quick() profiler.Policy {
	p := profiler.DefaultPolicy()
	p.MinRounds, p.Limit, p.WarmUp, p.MaxDiscarded = 6, time.Millisecond, 5*time.Millisecond, 0
	return p
}

func runner(t testing.TB, o onnxrunner.Options) *onnxrunner.Runner {
	t.Helper()
	o.Settings.Threads = 1
	r, err := onnxrunner.New(onnxruntimetest.Open(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func load(t *testing.T) *space.Space {
	t.Helper()
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEveryKindIsMeasured(t *testing.T) {
	r := runner(t, onnxrunner.Options{Batch: 2, Seed: 1})
	s := load(t)
	ops := []space.Op{s.StemOp(), s.FirstOp(), s.FinalOp(s.Incoming(len(s.Blocks))[0]), s.ClassifierOp()}
	ops = append(ops, s.StackOps(1)...)
	job := profiler.Job{Sentinel: s.FirstOp(), Log: &profiler.Log{}}
	for _, op := range ops {
		job.Items = append(job.Items, space.OpCount{Op: op, Count: 1})
	}
	if err := profiler.Profile(t.Context(), r, job, quick(), profiler.Observer{}); err != nil {
		t.Fatal(err)
	}
	done, call := job.Log.Measurements(), job.Log.Call()
	if len(done) != len(ops) || call.MedianMS <= 0 {
		t.Fatalf("%d of %d operations, a call takes %g ms", len(done), len(ops), call.MedianMS)
	}
	for _, m := range done {
		if m.MedianMS <= 0 || m.Lowering != "" {
			t.Errorf("%s: %g ms, lowering %q", m.Op.Key(), m.MedianMS, m.Lowering)
		}
	}
}

func TestNetworkIsMeasuredWhole(t *testing.T) {
	r := runner(t, onnxrunner.Options{Batch: 1, Seed: 1})
	a := space.MobileNetV2(0.25, 32, 10)
	empty, err := r.Empty()
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	call, err := r.Network(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	of, ofEmpty, err := profiler.Sample(t.Context(), call, empty, nil, quick())
	if err != nil {
		t.Fatal(err)
	}
	if whole, nothing := of.At(0), ofEmpty.At(0); whole.MedianMS <= nothing.MedianMS {
		t.Errorf("%d multiply-adds take %g ms, an empty call %g ms", a.MultiplyAdds(), whole.MedianMS, nothing.MedianMS)
	}
}

// A file is measured as it is, if it takes the images of the architecture.
func TestExportedModelIsMeasured(t *testing.T) {
	a := space.MobileNetV2(0.25, 32, 10)
	var layers []export.Layer
	for i, l := range export.Random(a.Ops(), 1) {
		l.Name = export.Names(a)[i]
		layers = append(layers, l)
	}
	model, err := export.Model(layers, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := model.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for batch := 1; batch < 3; batch++ {
		call, err := runner(t, onnxrunner.Options{Batch: batch, Seed: 1}).Model(data, a)
		if err != nil {
			t.Fatal(err)
		}
		if took, err := call.Run(); err != nil || took <= 0 {
			t.Errorf("batch %d: %v, %v", batch, took, err)
		}
		call.Close()
	}
	other := space.MobileNetV2(0.25, 64, 10)
	if _, err := runner(t, onnxrunner.Options{Batch: 1, Seed: 1}).Model(data, other); err == nil || !strings.Contains(err.Error(), "64") {
		t.Errorf("images of another size: %v", err)
	}
}

// A call allocates nothing on Go's heap, so that the collector has nothing to do.
func TestCallsDoNotAllocate(t *testing.T) {
	for _, caches := range []string{lut.Warm, lut.Cold} {
		r := runner(t, onnxrunner.Options{Batch: 1, Seed: 1, Caches: caches})
		compiled, err := r.Ops(t.Context(), []space.Op{load(t).StemOp()})
		if err != nil {
			t.Fatal(err)
		}
		call := compiled[0].Call
		defer call.Close()
		if n := testing.AllocsPerRun(20, func() {
			if _, err := call.Run(); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s: %g allocations", caches, n)
		}
	}
}

func TestSettingsAreTaken(t *testing.T) {
	op := load(t).FirstOp()
	for _, optimization := range onnxruntime.Optimizations() {
		r := runner(t, onnxrunner.Options{Batch: 1, Seed: 1, Settings: onnxruntime.Settings{Optimization: optimization, NoArena: true, Provider: onnxruntime.CPU}})
		compiled, err := r.Ops(t.Context(), []space.Op{op})
		if err != nil {
			t.Fatalf("%s: %v", optimization, err)
		}
		if took, err := compiled[0].Call.Run(); err != nil || took <= 0 {
			t.Errorf("%s: %v, %v", optimization, took, err)
		}
		compiled[0].Call.Close()
	}
	for name, s := range map[string]onnxruntime.Settings{
		"provider": {Provider: "abacus"}, "optimization": {Optimization: "much"}, "processors": {Threads: 2, Processors: []int{0, 1}},
	} {
		if _, err := onnxrunner.New(nil, onnxrunner.Options{Batch: 1, Settings: s}); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: %v, want bad input", name, err)
		}
	}
}

func TestEndedContextStops(t *testing.T) {
	r := runner(t, onnxrunner.Options{Batch: 1, Seed: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Ops(ctx, []space.Op{load(t).StemOp()}); !errors.Is(err, context.Canceled) {
		t.Errorf("an operation was prepared after the end: %v", err)
	}
}
