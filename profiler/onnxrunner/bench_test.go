package onnxrunner_test

import (
	"fmt"
	"testing"
	"time"

	"densenas/internal/onnxruntime"
	"densenas/profiler"
	"densenas/profiler/onnxrunner"
	"densenas/supernet/space"
)

// BenchmarkEmptyCall is the time of a call as the profiler sees it, which every prediction subtracts from every operation.
func BenchmarkEmptyCall(b *testing.B) {
	call, err := runner(b, onnxrunner.Options{Batch: 1, Seed: 1}).Empty()
	if err != nil {
		b.Fatal(err)
	}
	defer call.Close()
	for b.Loop() {
		if _, err := call.Run(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChain shows what the edges of a graph cost: an operation alone, and a tenth of ten that follow each other, by layout of the
// data: that of the runtime (all), and ours (extended). The two are timed in turns.
func BenchmarkChain(b *testing.B) {
	const length = 10
	for _, optimization := range []string{"all", "extended"} {
		for _, op := range []space.Op{
			{Kind: space.MBConv, Kernel: 3, Expansion: 3, In: 24, Out: 24, Stride: 1, Resolution: 56},
			{Kind: space.MBConv, Kernel: 3, Expansion: 6, In: 32, Out: 32, Stride: 1, Resolution: 28},
			{Kind: space.MBConv, Kernel: 5, Expansion: 6, In: 64, Out: 64, Stride: 1, Resolution: 14},
			{Kind: space.MBConv, Kernel: 7, Expansion: 3, In: 160, Out: 160, Stride: 1, Resolution: 7},
		} {
			b.Run(fmt.Sprintf("%s/%s", optimization, op.Key()), func(b *testing.B) {
				r := runner(b, onnxrunner.Options{Batch: 1, Seed: 1, Settings: onnxruntime.Settings{Optimization: optimization}})
				alone, err := r.Ops(b.Context(), []space.Op{op})
				if err != nil {
					b.Fatal(err)
				}
				defer alone[0].Call.Close()
				a := &space.Architecture{Resolution: op.Resolution, Channels: op.In, Layers: make([]space.Layer, length)}
				for i := range a.Layers {
					a.Layers[i] = space.Layer{Op: op, Block: space.NoBlock}
				}
				chain, err := r.Network(b.Context(), a)
				if err != nil {
					b.Fatal(err)
				}
				defer chain.Close()
				var one, many time.Duration
				for b.Loop() {
					for range length {
						one += run(b, alone[0].Call)
					}
					many += run(b, chain)
				}
				b.ReportMetric(float64(one.Microseconds())/float64(length*b.N), "µs/alone")
				b.ReportMetric(float64(many.Microseconds())/float64(length*b.N), "µs/chained")
			})
		}
	}
}

func run(b *testing.B, call profiler.Call) time.Duration {
	took, err := call.Run()
	if err != nil {
		b.Fatal(err)
	}
	return took
}
