package search

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet"
	"densenas/supernet/network"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// smallNetwork is one for the images of pictures.
func smallNetwork(t testing.TB, classes int) *space.Architecture {
	t.Helper()
	layer := func(block int, o space.Op) space.Layer { return space.Layer{Block: block, Op: o} }
	a := &space.Architecture{Resolution: 8, Channels: 1, Classes: classes, Layers: []space.Layer{
		layer(space.NoBlock, space.Op{Kind: space.Stem, Kernel: 3, In: 1, Out: 4, Stride: 2, Resolution: 8}),
		layer(0, space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 1, In: 4, Out: 4, Stride: 1, Resolution: 4}),
		layer(space.NoBlock, space.Op{Kind: space.Final, In: 4, Out: 8, Resolution: 4}),
		layer(space.NoBlock, space.Op{Kind: space.Classifier, In: 8, Out: classes, Resolution: 4}),
	}}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEvaluationCounts(t *testing.T) {
	e := new(Evaluation)
	loss := 0.0
	for _, c := range []struct {
		logits []float32
		label  int
	}{
		{[]float32{3, 1, 0, 0, 0, -1, -2}, 0},      // right
		{[]float32{3, 1, 0, 0, 0, -1, -2}, 4},      // fifth: before it come 0, 1, and the equals 2 and 3
		{[]float32{3, 1, 0, 0, 0, -1, -2}, 5},      // sixth
		{[]float32{2, 2, 2, 2, 2, 2, 2}, 0},        // equals: the first counts
		{[]float32{2, 2, 2, 2, 2, 2, 2}, 5},        // and not the sixth
		{[]float32{1000, -1000, 0, 0, 0, 0, 0}, 6}, // beyond the exponential of a float
	} {
		if err := e.add(c.logits, c.label); err != nil {
			t.Fatal(err)
		}
		largest, sum := float64(slices.Max(c.logits)), 0.0
		for _, v := range c.logits {
			sum += math.Exp(float64(v) - largest)
		}
		loss -= float64(c.logits[c.label]) - largest - math.Log(sum)
	}
	want := map[[2]int]int{{0, 0}: 2, {4, 0}: 1, {5, 0}: 2, {6, 0}: 1}
	if e.Images != 6 || e.Top1 != 2 || e.Top5 != 3 || !maps.Equal(e.Answers, want) {
		t.Errorf("%+v", e)
	}
	if math.Abs(e.MeanLoss()-loss/6) > 1e-9 {
		t.Errorf("loss %g, want %g", e.MeanLoss(), loss/6)
	}
	if err := e.add([]float32{0, float32(math.NaN())}, 0); err == nil {
		t.Error("what is no number was taken")
	}
}

// A network is evaluated alike in batches of any size, a last one that is not full included, and alike on images that were normalised
// otherwise than its training's.
func TestEvaluateDoesNotDependOnBatches(t *testing.T) {
	data := pictures(t, 4)
	a := smallNetwork(t, 2)
	r := rand.New(rand.NewPCG(3, 3))
	w := &weights.Trained{Architecture: a, Preprocessing: data.Preprocessing()}
	for i, o := range a.Ops() {
		l := network.Weights{Statistics: op.InitialStatistics(o)}
		for _, p := range op.TrainingParameters(o, true) {
			l.Params = append(l.Params, supernet.Initial(uint64(i), p.Name, p))
		}
		w.Layers = append(w.Layers, l)
	}
	for k := range w.Layers[3].Params[0] {
		w.Layers[3].Params[0][k] = float32(r.NormFloat64())
	}
	b := backendstest.Go(t)
	evaluate := func(batch int) *Evaluation {
		e, err := Evaluate(context.Background(), b.Backend, w, data, dataset.Test, batch, nil)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	want := evaluate(1)
	if want.Images != data.Count(dataset.Test) || want.Top5 != want.Images {
		t.Errorf("%+v", want)
	}
	same := func(what string, got *Evaluation) {
		t.Helper()
		if got.Images != want.Images || got.Top1 != want.Top1 || !maps.Equal(got.Answers, want.Answers) || math.Abs(got.MeanLoss()-want.MeanLoss()) > 1e-5 {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	same("in batches of 3", evaluate(3))
	same("in a batch of 64", evaluate(64))

	if _, err := Evaluate(context.Background(), b.Backend, &weights.Trained{Architecture: smallNetwork(t, 3)}, data, dataset.Test, 4, nil); err == nil {
		t.Error("a network of other classes was evaluated")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Evaluate(ctx, b.Backend, w, data, dataset.Test, 4, nil); err == nil {
		t.Error("evaluated although cancelled")
	}
}
