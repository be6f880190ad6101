package supernet

import (
	"math"
	"strings"
	"testing"

	"densenas/internal/backends/backendstest"
)

// TestGradientClip compares the gradients of a step, which are its velocities where there is no momentum, with and without a clip:
// their norms are at most that share of those of the weights, they point where they did, and biases have theirs whole.
func TestGradientClip(t *testing.T) {
	const clip = 0.02
	s, backend := testSpace(t), backendstest.Go(t).Backend
	step := func(clip float64) (before, after []NamedTensor) {
		t.Helper()
		n, err := New(backend, s, Options{Batch: 4, Seed: 1, NormMomentum: 0.1, GradientClip: clip})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		if err := n.Materialize(); err != nil {
			t.Fatal(err)
		}
		before = tensorsOf(t, n)
		if _, err := n.WeightStep(fixedBatch(s, 4), choiceOf(s, single(0)), 0.1); err != nil {
			t.Fatal(err)
		}
		return before, tensorsOf(t, n)
	}
	weights, free := step(0)
	_, clipped := step(clip)
	norm := func(v []float32) float64 {
		total := 0.0
		for _, x := range v {
			total += float64(x) * float64(x)
		}
		return math.Sqrt(total)
	}
	bound := map[string]float64{}
	for _, w := range weights {
		bound[w.Name] = clip * max(norm(w.Data), 1e-3)
	}
	held, whole := 0, 0
	for i, v := range clipped {
		name, ok := strings.CutSuffix(v.Name, "/velocity")
		if !ok {
			continue
		}
		factor := 1.0
		if norm := norm(free[i].Data); len(v.Dims) > 1 && norm > bound[name] {
			factor = bound[name] / norm
			held++
		} else {
			whole++
		}
		for k := range v.Data {
			if want := factor * float64(free[i].Data[k]); math.Abs(float64(v.Data[k])-want) > 1e-5*(math.Abs(want)+bound[name]) {
				t.Fatalf("%s[%d] is %g, want %g: %g of the gradient", v.Name, k, v.Data[k], want, factor)
			}
		}
	}
	if held == 0 || whole == 0 {
		t.Errorf("%d gradients are held back, %d are not: the test shows nothing", held, whole)
	}
}
