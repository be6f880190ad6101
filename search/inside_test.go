package search

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/search/dataset"
	"densenas/search/derive"
	"densenas/supernet"
)

// An architecture is evaluated as the super network computes it that is certain of it, over all whole batches of the held-out images.
func TestEvaluateInsideIsTheSuperNetworkAlongThePath(t *testing.T) {
	b, s := backendstest.Go(t), inheritSpace(t)
	const size = 4
	data := pictures(t, 20) // 10 held-out images: two batches
	n, err := supernet.New(b.Backend, s, supernet.Options{Batch: size, Seed: 1, Momentum: 0.9, NormMomentum: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	r := rand.New(rand.NewPCG(4, 4))
	losses := map[float64]bool{}
	for range 3 {
		p := randomParameters(s, r, 1)
		a, err := derive.Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := EvaluateInside(context.Background(), n, a, s, p, data, size)
		if err != nil {
			t.Fatal(err)
		}
		var want Sums
		err = overBatches(context.Background(), data, dataset.HeldOut, 0, dataset.BatchOptions{Size: size, Shuffle: true, DropLast: true}, func(batch supernet.Batch) error {
			result, err := n.Evaluate(batch, certain(s, p))
			want.add(result, batch.Valid)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.Images != 8 || got.Correct != want.Correct || math.Abs(got.Loss-want.Loss) > 1e-5*want.Loss {
			t.Errorf("path %v: %+v, want %+v", a.Path, got, want)
		}
		losses[got.Loss] = true
	}
	if len(losses) < 2 {
		t.Error("different architectures do the same")
	}
	p := s.NewParameters()
	a, err := derive.Plain(s, p)
	if err != nil {
		t.Fatal(err)
	}
	a.Layers[0].Op.Kernel = 5
	if _, err := EvaluateInside(context.Background(), n, a, s, p, data, size); err == nil {
		t.Error("an architecture of another space was evaluated")
	}
}
