package op

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// cases are small operations that reach every branch: expansion or none, shortcut or none, strides, odd and tiny maps.
func cases() []space.Op {
	mb := func(k, t, in, out, s, r int) space.Op {
		return space.Op{Kind: space.MBConv, Kernel: k, Expansion: t, In: in, Out: out, Stride: s, Resolution: r}
	}
	return []space.Op{
		mb(3, 1, 3, 3, 1, 6), mb(3, 3, 2, 2, 1, 8), mb(5, 3, 2, 3, 2, 8), mb(7, 6, 2, 2, 1, 5), mb(7, 3, 2, 2, 1, 2),
		mb(3, 3, 2, 4, 2, 7), mb(7, 3, 2, 3, 2, 4), mb(5, 3, 2, 3, 2, 2), mb(5, 3, 3, 3, 1, 1), mb(3, 3, 2, 3, 2, 1),
		{Kind: space.Stem, Kernel: 3, In: 3, Out: 4, Stride: 2, Resolution: 8},
		{Kind: space.Stem, Kernel: 3, In: 1, Out: 4, Stride: 1, Resolution: 5, Activation: space.ReLU},
		{Kind: space.Basic, In: 3, Out: 3, Stride: 1, Resolution: 5},
		{Kind: space.Basic, In: 2, Out: 3, Stride: 1, Resolution: 4},
		{Kind: space.Basic, In: 2, Out: 3, Stride: 2, Resolution: 6},
		{Kind: space.Basic, In: 3, Out: 3, Stride: 2, Resolution: 5},
		{Kind: space.Basic, In: 3, Out: 2, Stride: 2, Resolution: 1},
		{Kind: space.Final, In: 3, Out: 5, Resolution: 3},
		{Kind: space.Classifier, In: 4, Out: 3, Resolution: 3},
		{Kind: space.Skip, In: 3, Out: 3, Stride: 1, Resolution: 4},
	}
}

func random(r *rand.Rand, deviation, centre float64, dims ...int) *tensors.Tensor {
	n := 1
	for _, d := range dims {
		n *= d
	}
	v := make([]float64, n)
	for i := range v {
		v[i] = centre + deviation*r.NormFloat64()
	}
	return tensors.FromFlatDataAndDimensions(v, dims...)
}

// inputs draws x and the training parameters of o, in float64: finite differences need its digits.
func inputs(r *rand.Rand, o space.Op, affine bool, batch int) []*tensors.Tensor {
	in := []*tensors.Tensor{random(r, 1, 0, batch, o.Resolution, o.Resolution, o.In)}
	for _, p := range TrainingParameters(o, affine) {
		in = append(in, random(r, 0.5, p.Value, p.Dims...))
	}
	return in
}

func run(t *testing.T, b compute.Backend, f func(in []*Node) []*Node, in ...*tensors.Tensor) []*tensors.Tensor {
	t.Helper()
	e, err := NewExec(b, f)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Finalize()
	args := make([]any, len(in))
	for i := range in {
		args[i] = in[i]
	}
	out, err := e.Call(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func flat(t *tensors.Tensor) []float64 {
	return tensors.MustCopyFlatData[float64](t)
}

// objective is a fixed random projection of the output, so that its gradient reaches every element.
func objective(y *Node) *Node {
	w := Sin(MulScalar(AddScalar(ConvertDType(Iota(y.Graph(), flatShape(y), 0), dtypes.Float64), 1), 1.7))
	return ReduceAllSum(Mul(Reshape(y, y.Shape().Size()), w))
}

func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		for i, o := range cases() {
			for _, l := range Lowerings() {
				for _, affine := range []bool{false, true} {
					// Compiling is what takes the time: each lowering is checked once, without affine norms in turn.
					if l != Taps && !HasChoice(o) || affine && len(NormWidths(o)) == 0 {
						continue
					}
					if HasChoice(o) && affine != ((i+int(l))%2 == 0) {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/affine=%t", o.Key(), l, affine), func(t *testing.T) {
						checkGradients(t, b.Backend, o, Form{Lowering: l, Affine: affine}, 3)
					})
				}
			}
		}
		// More images than the kernel's gradient unrolls: several in each of its groups.
		large := space.Op{Kind: space.MBConv, Kernel: 5, Expansion: 1, In: 2, Out: 3, Stride: 2, Resolution: 6}
		t.Run(large.Key()+"/large batch", func(t *testing.T) { checkGradients(t, b.Backend, large, Form{}, 2*addedSamples) })
	})
}

func checkGradients(t *testing.T, b compute.Backend, o space.Op, f Form, batch int) {
	const step = 1e-6
	r := rand.New(rand.NewPCG(1, 2))
	in := inputs(r, o, f.Affine, batch)
	grads := run(t, b, func(in []*Node) []*Node {
		x, params := in[0], in[1:]
		y, saved := Forward(o, f, x, params)
		w := Reshape(Sin(MulScalar(AddScalar(ConvertDType(Iota(y.Graph(), flatShape(y), 0), dtypes.Float64), 1), 1.7)), y.Shape().Dimensions...)
		dx, dp := Backward(o, f, x, w, params, saved)
		if dx == nil {
			dx = ZerosLike(x)
		}
		return append([]*Node{dx, Sub(Output(o, f, x, params, saved), y)}, dp...)
	}, in...)
	for _, d := range flat(grads[1]) {
		if math.Abs(d) > 1e-12 {
			t.Fatalf("Output differs from Forward's by %g", d)
		}
	}
	grads = append(grads[:1], grads[2:]...)
	value, err := NewExec(b, func(in []*Node) *Node {
		y, _ := Forward(o, f, in[0], in[1:])
		return objective(y)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer value.Finalize()
	for p := range in {
		if p == 0 && o.Kind == space.Stem {
			continue // a stem's input gradient is not built
		}
		// Along random directions: one number per tensor and direction, in which every element takes part.
		for range 2 {
			direction := flat(random(r, 1, 0, in[p].Shape().Dimensions...))
			at := func(sign float64) float64 {
				v := flat(in[p])
				for i := range v {
					v[i] += sign * step * direction[i]
				}
				args := make([]any, len(in))
				for i := range in {
					args[i] = in[i]
				}
				args[p] = tensors.FromFlatDataAndDimensions(v, in[p].Shape().Dimensions...)
				out, err := value.Call(args...)
				if err != nil {
					t.Fatal(err)
				}
				return out[0].Value().(float64)
			}
			want := (at(1) - at(-1)) / (2 * step)
			got, scale := 0.0, 0.0
			for i, g := range flat(grads[p]) {
				got += g * direction[i]
				scale += math.Abs(g * direction[i])
			}
			if math.Abs(got-want) > 1e-5*(scale+1) {
				t.Errorf("tensor %d: gradient along a direction is %.9g, finite differences give %.9g", p, got, want)
			}
		}
	}
}

func TestLoweringsComputeTheSame(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		for _, o := range cases() {
			if !HasChoice(o) {
				continue
			}
			var first []*tensors.Tensor
			for _, l := range Lowerings() {
				out := run(t, b.Backend, func(in []*Node) []*Node {
					y, _ := Forward(o, Form{Lowering: l}, in[0], in[1:])
					return []*Node{y}
				}, inputs(rand.New(rand.NewPCG(3, 4)), o, false, 2)...)
				if first == nil {
					first = out
					continue
				}
				for i := range out {
					if !out[i].InDelta(first[i], 1e-9) {
						t.Errorf("%s: result %d of %s differs from that of %s", o.Key(), i, l, Lowerings()[0])
					}
				}
			}
		}
	})
}

// TestInferenceIsTrainingFolded folds the batch's own statistics into the convolutions: both forms must then agree.
func TestInferenceIsTrainingFolded(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		for _, o := range cases() {
			for _, l := range Lowerings() {
				if l != Taps && !HasChoice(o) {
					continue
				}
				in := inputs(rand.New(rand.NewPCG(5, 6)), o, true, 4)
				out := run(t, b.Backend, func(in []*Node) []*Node {
					y, saved := Forward(o, Form{Lowering: l, Affine: true}, in[0], in[1:])
					if s := Statistics(o, saved); s != nil {
						return []*Node{y, s}
					}
					return []*Node{y}
				}, in...)
				var params [][]float32
				for _, p := range in[1:] {
					params = append(params, narrow(flat(p)))
				}
				var statistics []float32
				if len(out) > 1 {
					statistics = narrow(flat(out[1]))
				}
				folded, err := Fold(o, params, statistics)
				if err != nil {
					t.Fatal(err)
				}
				args := []*tensors.Tensor{in[0]}
				for i, p := range InferenceParameters(o) {
					args = append(args, tensors.FromFlatDataAndDimensions(widen(folded[i]), p.Dims...))
				}
				got := run(t, b.Backend, func(in []*Node) []*Node { return []*Node{Inference(o, l, in[0], in[1:])} }, args...)
				if !got[0].InDelta(out[0], 1e-4) {
					t.Errorf("%s, %s: inference and training form differ", o.Key(), l)
				}
			}
		}
	})
}

// Convolutions start with variance 2/(k²·out/groups), written out from their dimensions; a classifier from 0.01, its bias and
// offsets from zero, scales from one.
func TestStarts(t *testing.T) {
	for _, o := range cases() {
		for _, p := range append(TrainingParameters(o, true), InferenceParameters(o)...) {
			variance, value := 0.0, 0.0
			switch d := p.Dims; {
			case strings.HasSuffix(p.Name, ".scale"):
				value = 1
			case strings.Contains(p.Name, "."): // an offset or a bias
			case o.Kind == space.Classifier:
				variance = 0.01 * 0.01
			case len(d) == 2: // [in, out], 1×1
				variance = 2 / float64(d[1])
			case len(d) == 3: // [k, k, channels], each its own group
				variance = 2 / float64(d[0]*d[1])
			default: // [k, k, in, out]
				variance = 2 / float64(d[0]*d[1]*d[3])
			}
			if math.Abs(p.Deviation*p.Deviation-variance) > 1e-12 || p.Value != value {
				t.Errorf("%s of %s starts with variance %g at %g, want %g at %g", p.Name, o.Key(), p.Deviation*p.Deviation, p.Value, variance, value)
			}
		}
	}
}
