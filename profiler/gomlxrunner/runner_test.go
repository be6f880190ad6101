package gomlxrunner_test

import (
	"context"
	"testing"
	"time"

	"github.com/gomlx/compute"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/gomlxrunner"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// quick measures little, whatever the machine does meanwhile.
func quick() profiler.Policy {
	p := profiler.DefaultPolicy()
	p.MinRounds, p.Limit, p.WarmUp, p.MaxDiscarded, p.Span = 6, time.Millisecond, 5*time.Millisecond, 0, 0
	return p
}

func runner(t testing.TB, b compute.Backend, o gomlxrunner.Options) *gomlxrunner.Runner {
	t.Helper()
	r, err := gomlxrunner.New(b, o)
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
	s := load(t)
	ops := []space.Op{s.StemOp(), s.FirstOp(), s.FinalOp(s.Incoming(len(s.Blocks))[0]), s.ClassifierOp()}
	ops = append(ops, s.StackOps(1)...)
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		job := profiler.Job{Sentinel: s.FirstOp(), Log: &profiler.Log{}}
		for _, op := range ops {
			job.Items = append(job.Items, space.OpCount{Op: op, Count: 1})
		}
		if err := profiler.Profile(t.Context(), runner(t, b.Backend, gomlxrunner.Options{Batch: 2, Seed: 1}), job, quick(), profiler.Observer{}); err != nil {
			t.Fatal(err)
		}
		done, call := job.Log.Measurements(), job.Log.Call()
		if len(done) != len(ops) || call.MedianMS <= 0 {
			t.Fatalf("%d of %d operations, a call takes %g ms", len(done), len(ops), call.MedianMS)
		}
		for _, m := range done {
			if m.MedianMS <= 0 || (m.Lowering != "") != op.HasChoice(m.Op) {
				t.Errorf("%s: %g ms, lowering %q", m.Op.Key(), m.MedianMS, m.Lowering)
			}
		}
	})
}

// A skip must not hand its input to whoever frees the output.
func TestSkipKeepsItsInput(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		skip := space.Op{Kind: space.Skip, In: 8, Out: 8, Stride: 1, Resolution: 16}
		compiled, err := runner(t, b.Backend, gomlxrunner.Options{Batch: 1, Seed: 1}).Ops(t.Context(), []space.Op{skip})
		if err != nil {
			t.Fatal(err)
		}
		call := compiled[0].Call
		defer call.Close()
		for range 100 {
			if took, err := call.Run(); err != nil || took <= 0 {
				t.Fatalf("took %v, %v", took, err)
			}
		}
	})
}

func TestNetworkIsMeasuredWhole(t *testing.T) {
	a := space.MobileNetV2(0.25, 32, 10)
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		r := runner(t, b.Backend, gomlxrunner.Options{Batch: 1, Seed: 1})
		empty, err := r.Empty()
		if err != nil {
			t.Fatal(err)
		}
		defer empty.Close()
		call, err := r.Network(a, func(space.Op) op.Lowering { return op.Taps })
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
	})
}

func TestCancelledRunnerStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runner(t, backendstest.Go(t).Backend, gomlxrunner.Options{Batch: 1, Seed: 1}).Ops(ctx, []space.Op{load(t).StemOp()}); err == nil {
		t.Error("an operation was tried after the end")
	}
}

// BenchmarkEmptyCall is the time of a call as the profiler sees it, which every prediction subtracts from every operation.
func BenchmarkEmptyCall(b *testing.B) {
	for name, open := range map[string]func(testing.TB) backends.Backend{"go": backendstest.Go, "xla": backendstest.XLA} {
		b.Run(name, func(b *testing.B) {
			call, err := runner(b, open(b).Backend, gomlxrunner.Options{Batch: 1, Seed: 1}).Empty()
			if err != nil {
				b.Fatal(err)
			}
			defer call.Close()
			for b.Loop() {
				if _, err := call.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Every type of numbers runs where the runtime has it, and another is refused.
func TestTypesOfNumbers(t *testing.T) {
	s := load(t)
	ops := []space.Op{s.StemOp(), s.FirstOp(), s.StackOps(1)[0], s.FinalOp(s.Incoming(len(s.Blocks))[0]), s.ClassifierOp()}
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		for _, dtype := range []string{lut.F32, lut.BF16, lut.F16} {
			r := runner(t, b.Backend, gomlxrunner.Options{Batch: 1, Seed: 1, DType: dtype})
			compiled, err := r.Ops(t.Context(), ops)
			if err != nil {
				t.Errorf("in %s: %v", dtype, err)
			}
			for _, c := range compiled {
				c.Call.Close()
			}
		}
	})
	if _, err := gomlxrunner.New(nil, gomlxrunner.Options{Batch: 1, DType: "f8"}); exit.Code(err) != 2 {
		t.Errorf("f8: error %v", err)
	}
}

// BenchmarkCaches shows what warm caches save an operation of many weights.
func BenchmarkCaches(b *testing.B) {
	backend := backendstest.Go(b)
	o := space.Op{Kind: space.Classifier, In: 2000, Out: 200, Resolution: 1}
	for _, caches := range []string{lut.Warm, lut.Cold} {
		b.Run(caches, func(b *testing.B) {
			compiled, err := runner(b, backend.Backend, gomlxrunner.Options{Batch: 1, Seed: 1, Caches: caches}).Ops(b.Context(), []space.Op{o})
			if err != nil {
				b.Fatal(err)
			}
			call := compiled[0].Call
			defer call.Close()
			var sum time.Duration
			for b.Loop() {
				took, err := call.Run()
				if err != nil {
					b.Fatal(err)
				}
				sum += took
			}
			b.ReportMetric(float64(sum.Nanoseconds())/float64(b.N), "ns/call")
		})
	}
}
