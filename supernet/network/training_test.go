package network

import (
	"math"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet"
)

// A fixed batch is learned; and with running statistics that are those of the batch, the folded inference form then answers
// like the training form.
func TestTrainerLearnsAndFolds(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		a := testNetwork(t, true)
		const size = 48
		trainer, err := NewTrainer(b.Backend, a, Options{Batch: size, Seed: 1, Momentum: 0.9, WeightDecay: 4e-5, NormMomentum: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Finalize()
		batch := randomBatch(a, size, 1)
		step := func(rate float64) supernet.Result {
			r, err := trainer.Step(batch, rate)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		first := step(0.1)
		for range 40 {
			step(0.1)
		}
		// Without a rate nothing moves but the running statistics, which become the batch's.
		last := step(0)
		if again := step(0); again != last {
			t.Errorf("at rate 0 the loss goes from %g to %g", last.Loss, again.Loss)
		}
		if last.Loss > first.Loss/3 || last.Correct < 9*size/10 {
			t.Errorf("loss went from %.3f to %.3f with %d of %d correct", first.Loss, last.Loss, last.Correct, size)
		}
		weights, err := trainer.Weights()
		if err != nil {
			t.Fatal(err)
		}
		folded, err := Fold(a, weights)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEvaluator(b.Backend, a, nil, size, folded)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Finalize()
		got, err := e.Evaluate(batch)
		if err != nil {
			t.Fatal(err)
		}
		// Running variances are unbiased: the smallest maps have 768 rows, so they differ by 0.13 %.
		if math.Abs(got.Loss-last.Loss) > 0.02*last.Loss+1e-4 || got.Correct != last.Correct {
			t.Errorf("folded: loss %.5f, %d correct; in training: %.5f, %d", got.Loss, got.Correct, last.Loss, last.Correct)
		}
	})
}

// The seed alone decides the start; smoothing and padding are part of the loss.
func TestTrainerOptions(t *testing.T) {
	b := backendstest.Go(t)
	a := testNetwork(t, false)
	first := func(o Options, batch supernet.Batch) supernet.Result {
		t.Helper()
		o.Batch, o.NormMomentum = 6, 0.1
		trainer, err := NewTrainer(b.Backend, a, o)
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Finalize()
		r, err := trainer.Step(batch, 0.1)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	batch := randomBatch(a, 6, 1)
	plain := first(Options{Seed: 1}, batch)
	if again := first(Options{Seed: 1}, batch); again != plain {
		t.Errorf("the same seed gives %+v and %+v", plain, again)
	}
	if other := first(Options{Seed: 2}, batch); other.Loss == plain.Loss {
		t.Error("another seed gives the same loss")
	}
	// With labels that are all smoothing, every label is as good as another.
	smooth := first(Options{Seed: 1, LabelSmoothing: 0.999999}, batch)
	for i := range batch.Labels {
		batch.Labels[i] = (batch.Labels[i] + 1) % int32(a.Classes)
	}
	if other := first(Options{Seed: 1, LabelSmoothing: 0.999999}, batch); math.Abs(other.Loss-smooth.Loss) > 1e-4 {
		t.Errorf("smoothed, other labels give a loss of %g instead of %g", other.Loss, smooth.Loss)
	}
	if other := first(Options{Seed: 1}, batch); math.Abs(other.Loss-plain.Loss) < 1e-6 {
		t.Error("not smoothed, other labels give the same loss")
	}
	trainer, err := NewTrainer(b.Backend, a, Options{Batch: 6, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Finalize()
	if _, err := trainer.Step(randomBatch(a, 5, 1), 0.1); err == nil {
		t.Error("a batch of another size was accepted")
	}
}
