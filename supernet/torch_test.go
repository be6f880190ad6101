package supernet_test

import (
	"slices"
	"strings"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/torchgolden"
	"densenas/supernet"
)

// TestAgreesWithPyTorch runs the steps of the golden file: losses, inner products, gradients of all weights, running
// statistics, and updates with momentum and decay, which the losses of later steps show.
func TestAgreesWithPyTorch(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		g, s := torchgolden.Read(t)
		n := g.Network(t, b.Backend, s)
		result := func(r supernet.Result, err error, loss float64, correct int) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			torchgolden.Compare(t, "loss", []float64{r.Loss}, []float64{loss})
			if r.Correct != correct {
				t.Errorf("%d answers are correct, PyTorch has %d", r.Correct, correct)
			}
		}
		if b.Name == backends.XLA { // compiling is what takes the time: the first step of each kind
			g.ArchitectureSteps, g.WeightSteps = g.ArchitectureSteps[:1], g.WeightSteps[:1]
		}
		for _, step := range g.ArchitectureSteps {
			r, products, err := n.ArchitectureStep(g.Batch(), step.Choice.Of())
			result(r, err, step.Loss, step.Correct)
			torchgolden.Compare(t, "products of heads", flat(products.Head), flat(step.Products.Head))
			torchgolden.Compare(t, "products of stacks", flat(products.Stack), flat(step.Products.Stack))
			torchgolden.Compare(t, "products of the final convolutions", products.Final, step.Products.Final)
		}
		for i, step := range g.WeightSteps {
			r, err := n.WeightStep(g.Batch(), step.Choice.Of(), g.SGD.Rate)
			result(r, err, step.Loss, step.Correct)
			if i > 0 {
				continue
			}
			state, err := n.State()
			if err != nil {
				t.Fatal(err)
			}
			seen := 0
			for _, tensor := range state {
				if name, is := strings.CutSuffix(tensor.Name, "/velocity"); is {
					// Behind the first update, momentum is the gradient and what decays of the weight.
					gradient := make([]float64, len(tensor.Data))
					for k, v := range tensor.Data {
						gradient[k] = float64(v) - g.SGD.WeightDecay*float64(g.Weights[name][k])
					}
					torchgolden.Compare(t, "gradient of "+name, gradient, step.Gradients[name])
					seen++
				}
				if want, is := step.Running[tensor.Name]; is {
					got := make([]float64, len(tensor.Data))
					for k, v := range tensor.Data {
						got[k] = float64(v)
					}
					torchgolden.Compare(t, tensor.Name, got, want)
					seen++
				}
			}
			if want := len(step.Gradients) + len(step.Running); seen != want || want == 0 {
				t.Errorf("%d gradients and statistics, PyTorch has %d", seen, want)
			}
		}
	})
}

func flat(blocks [][][]float64) []float64 {
	return slices.Concat(slices.Concat(blocks...)...)
}
