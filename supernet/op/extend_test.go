package op

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// TestExtendedComputesTheSame holds what an operation computes in training with drawn weights against what larger ones compute with these
// extended: outputs, and of channels that both have the statistics.
func TestExtendedComputesTheSame(t *testing.T) {
	backend := backendstest.Go(t)
	base := space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 2, In: 3, Out: 4, Stride: 1, Resolution: 6}
	halving, shortcut := base, base
	halving.Stride, shortcut.Out = 2, 3
	halving.Resolution = 7
	one, little := base, base // without an expansion; a map smaller than the kernel
	one.Expansion, little.Resolution = 1, 2
	for _, small := range []space.Op{base, halving, shortcut, one, little} {
		for _, grow := range []struct{ kernel, expansion int }{{3, 2}, {5, 2}, {3, 4}, {7, 6}} {
			if small.Expansion == 1 {
				grow.expansion = 1
			}
			large := small
			large.Kernel, large.Expansion = grow.kernel, grow.expansion
			r := rand.New(rand.NewPCG(1, 2))
			draw := func(o space.Op) (values [][]float32) {
				for _, p := range TrainingParameters(o, false) {
					v := make([]float32, p.Size())
					for i := range v {
						v[i] = float32(r.NormFloat64())
					}
					values = append(values, v)
				}
				return values
			}
			x := random(r, 1, 0, 3, small.Resolution, small.Resolution, small.In)
			forward := func(o space.Op, params [][]float32) (y, statistics []float64) {
				t.Helper()
				in := []*tensors.Tensor{x}
				for i, p := range TrainingParameters(o, false) {
					v := make([]float64, p.Size())
					for k := range v {
						v[k] = float64(params[i][k])
					}
					in = append(in, tensors.FromFlatDataAndDimensions(v, p.Dims...))
				}
				out := run(t, backend.Backend, func(in []*Node) []*Node {
					y, saved := Forward(o, Form{}, in[0], in[1:])
					return []*Node{y, Statistics(o, saved)}
				}, in...)
				return flat(out[0]), flat(out[1])
			}
			params := draw(small)
			extended, err := Extended(small, large, params, draw(large))
			if err != nil {
				t.Fatal(err)
			}
			want, statistics := forward(small, params)
			got, all := forward(large, extended)
			for i := range want {
				if math.Abs(got[i]-want[i]) > 1e-9 {
					t.Fatalf("%s extended to %s: output %d is %g, want %g", small.Key(), large.Key(), i, got[i], want[i])
				}
			}
			// The running statistics are extended in the same order: every channel of the small one keeps its own, and no other has any.
			running := make([]float32, len(statistics))
			for i, v := range statistics {
				running[i] = float32(v)
			}
			kept := 0
			start := InitialStatistics(large)
			for i, v := range ExtendedStatistics(small, large, running) {
				switch {
				case math.Abs(float64(v)-all[i]) < 1e-5*(1+math.Abs(all[i])):
					kept++
				case v != start[i]:
					t.Errorf("%s extended to %s: statistic %d is %g, that of the batch is %g", small.Key(), large.Key(), i, v, all[i])
				}
			}
			if kept != len(running) {
				t.Errorf("%s extended to %s: %d statistics are kept, want %d", small.Key(), large.Key(), kept, len(running))
			}
			// What is projected by zeros can learn: the channels before it are not zeros too.
			if n := grow.expansion - small.Expansion; n > 0 {
				moves := 0
				for _, v := range extended[0] {
					if v != 0 {
						moves++
					}
				}
				if moves != len(extended[0]) {
					t.Errorf("%s extended to %s: %d of %d expanding weights are not 0", small.Key(), large.Key(), moves, len(extended[0]))
				}
			}
		}
	}
}

func TestExtendedRefusesOthers(t *testing.T) {
	o := space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 2, In: 3, Out: 4, Stride: 1, Resolution: 6}
	values := func(o space.Op) (out [][]float32) {
		for _, p := range TrainingParameters(o, false) {
			out = append(out, make([]float32, p.Size()))
		}
		return out
	}
	one, basic := o, space.Op{Kind: space.Basic, In: 3, Out: 4, Stride: 1, Resolution: 6}
	one.Expansion = 1
	for _, large := range []space.Op{one, basic} {
		if _, err := Extended(o, large, values(o), values(large)); err == nil {
			t.Errorf("%s extends %s", large.Key(), o.Key())
		}
	}
	if _, err := Extended(o, o, values(o)[:2], values(o)); err == nil {
		t.Error("weights are missing, and there is no error")
	}
}
