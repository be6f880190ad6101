package supernet

import (
	"math"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
)

// TestBFloat16IsNearFloat32 runs both kinds of step with activations in either type, from the same weights.
func TestBFloat16IsNearFloat32(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := smallSpace(t)
		batch := fixedBatch(s, 16)
		type run struct {
			architecture, first, last Result
			products                  []float32
			state                     []NamedTensor // after the first weight step
		}
		with := func(dtype dtypes.DType) (r run) {
			n, err := New(b.Backend, s, Options{Batch: 16, Seed: 1, Momentum: 0.9, NormMomentum: 0.1, DType: dtype})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Finalize()
			var products *Products
			if r.architecture, products, err = n.ArchitectureStep(batch, choiceOf(s, pairs)); err != nil {
				t.Fatal(err)
			}
			for _, p := range append(products.Stack[0][0], products.Final[0], products.Head[0][0][0]) {
				r.products = append(r.products, float32(p))
			}
			for i := range 20 {
				if r.last, err = n.WeightStep(batch, choiceOf(s, single(0)), 0.05); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					r.first, r.state = r.last, tensorsOf(t, n)
				}
			}
			return r
		}
		exact, got := with(dtypes.Float32), with(dtypes.BFloat16)
		// A bfloat16 rounds to 8 bits, 0.2 % on average.
		for what, losses := range map[string][2]float64{
			"architecture step": {got.architecture.Loss, exact.architecture.Loss}, "first weight step": {got.first.Loss, exact.first.Loss},
			"20th weight step": {got.last.Loss, exact.last.Loss},
		} {
			if !(math.Abs(losses[0]-losses[1]) < 0.005*losses[1]) || losses[0] == losses[1] {
				t.Errorf("the loss of the %s is %.6g, in float32 %.6g; want them near, and not the same", what, losses[0], losses[1])
			}
		}
		if e := relativeError(got.products, exact.products); !(e < 0.1) {
			t.Errorf("the products are %v, in float32 %v", got.products, exact.products)
		}
		// The momentum after one step is the gradient. Where rounding takes an activation over a limit of ReLU6 its gradient is
		// another, so that of a tensor is compared by its direction, and all of them by their error too.
		var gradient, exactGradient []float32
		fine := false
		for i, tensor := range got.state {
			want := exact.state[i].Data
			switch {
			case strings.HasSuffix(tensor.Name, "/velocity"):
				gradient, exactGradient = append(gradient, tensor.Data...), append(exactGradient, want...)
				if c := cosine(tensor.Data, want); !(c > 0.9) {
					t.Errorf("%s has the cosine %.3f to that of float32", tensor.Name, c)
				}
			default:
				if e := relativeError(tensor.Data, want); !(e < 0.005) {
					t.Errorf("%s differs by %.2g after a step", tensor.Name, e)
				}
				for _, v := range tensor.Data {
					fine = fine || math.Float32bits(v)&0xffff != 0
				}
			}
		}
		if e := relativeError(gradient, exactGradient); !(e < 0.1) {
			t.Errorf("the gradient differs by %.2g", e)
		}
		if !fine {
			t.Error("weights and statistics are bfloat16 too")
		}
	})
}

// cosine is that of the angle between two tensors.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return ab / math.Sqrt(aa*bb)
}

func TestOtherTypesAreRefused(t *testing.T) {
	if n, err := New(backendstest.Go(t).Backend, testSpace(t), Options{Batch: 2, DType: dtypes.Float16}); err == nil {
		n.Finalize()
		t.Error("float16 was accepted")
	}
}
