package network

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet"
	"densenas/supernet/op"
	"densenas/supernet/space"
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

// Weights start normal with mean zero and the deviation that their operation names, each place with numbers of its own.
func TestTrainerStartsNormal(t *testing.T) {
	a := space.MobileNetV2(0.5, 32, 10)
	trainer, err := NewTrainer(backendstest.Go(t).Backend, a, Options{Batch: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Finalize()
	weights, err := trainer.Weights()
	if err != nil {
		t.Fatal(err)
	}
	first := map[float32]string{}
	for i, o := range a.Ops() {
		for k, p := range op.TrainingParameters(o, true) {
			values := weights[i].Params[k]
			if p.Deviation == 0 {
				if len(values) != p.Size() || slices.ContainsFunc(values, func(v float32) bool { return float64(v) != p.Value }) {
					t.Errorf("layer %d: %s does not start from %g", i, p.Name, p.Value)
				}
				continue
			}
			if name, ok := first[values[0]]; ok {
				t.Errorf("layer %d: %s starts as %s", i, p.Name, name)
			}
			first[values[0]] = fmt.Sprintf("layer %d: %s", i, p.Name)
			var moments [5]float64
			for _, v := range values {
				for m := range moments {
					moments[m] += math.Pow(float64(v)/p.Deviation, float64(m))
				}
			}
			// Of n standard normal numbers, the means of these powers vary by √(1/n), √(2/n) and √(96/n).
			n := moments[0]
			for m, want := range map[int][2]float64{1: {0, 1}, 2: {1, 2}, 4: {3, 96}} {
				if got := moments[m] / n; math.Abs(got-want[0]) > 5*math.Sqrt(want[1]/n) {
					t.Errorf("layer %d: %s: the mean of power %d of %.0f weights is %g deviations, want %g", i, p.Name, m, n, got, want[0])
				}
			}
		}
	}
}
