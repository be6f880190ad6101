package network

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
		logits, err := e.Logits(batch.Images)
		if err != nil {
			t.Fatal(err)
		}
		loss, correct := 0.0, 0
		for i, label := range batch.Labels {
			row, sum := logits[i*a.Classes:(i+1)*a.Classes], 0.0
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			loss += (math.Log(sum) - float64(row[label])) / size
			if slices.Max(row) == row[label] {
				correct++
			}
		}
		// Running variances are unbiased: the smallest maps have 768 rows, so they differ by 0.13 %.
		if math.Abs(loss-last.Loss) > 0.02*last.Loss+1e-4 || correct != last.Correct {
			t.Errorf("folded: loss %.5f, %d correct; in training: %.5f, %d", loss, correct, last.Loss, last.Correct)
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

// A state that is set is the one that was read: training goes on as if nothing had happened, in a trainer that began elsewhere.
func TestTrainerGoesOnFromItsState(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		a := testNetwork(t, true)
		open := func(seed uint64) *Trainer {
			trainer, err := NewTrainer(b.Backend, a, Options{Batch: 6, Seed: seed, Momentum: 0.9, WeightDecay: 1e-3, NormMomentum: 0.1, LabelSmoothing: 0.1, Mixup: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(trainer.Finalize)
			return trainer
		}
		steps := func(trainer *Trainer, from, to int) {
			for i := from; i < to; i++ {
				if _, err := trainer.StepMixed(randomBatch(a, 6, uint64(i)), 0.1, 0.6+0.1*float64(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		state := func(trainer *Trainer) []supernet.NamedTensor {
			s, err := trainer.State()
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		whole, resumed := open(1), open(2)
		steps(whole, 0, 2)
		if err := resumed.SetState(state(whole)); err != nil {
			t.Fatal(err)
		}
		steps(whole, 2, 4)
		steps(resumed, 2, 4)
		if diff := cmp.Diff(state(whole), state(resumed)); diff != "" {
			t.Errorf("after two more steps (-whole +resumed):\n%s", diff)
		}

		good := state(whole)
		for name, change := range map[string]func(s []supernet.NamedTensor) []supernet.NamedTensor{
			"a tensor less":   func(s []supernet.NamedTensor) []supernet.NamedTensor { return s[1:] },
			"another name":    func(s []supernet.NamedTensor) []supernet.NamedTensor { s[0].Name = "layer9/weight"; return s },
			"another shape":   func(s []supernet.NamedTensor) []supernet.NamedTensor { s[0].Dims = []int{1}; return s },
			"too few numbers": func(s []supernet.NamedTensor) []supernet.NamedTensor { s[0].Data = s[0].Data[1:]; return s },
		} {
			if err := resumed.SetState(change(slices.Clone(good))); err == nil {
				t.Errorf("%s was taken", name)
			}
		}
	})
}

// Mixing images and labels is what mixing them by hand comes to: the loss of mixed images is the mean of that against either label.
func TestTrainerMixes(t *testing.T) {
	b := backendstest.Go(t)
	const size, share = 6, 0.7
	a := testNetwork(t, false)
	batch := randomBatch(a, size, 1)
	step := func(o Options, batch supernet.Batch, share float64) (supernet.Result, []Weights) {
		o.Batch, o.Seed, o.NormMomentum, o.LabelSmoothing = size, 1, 0.1, 0.1
		trainer, err := NewTrainer(b.Backend, a, o)
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Finalize()
		r, err := trainer.StepMixed(batch, 0.1, share)
		if err != nil {
			t.Fatal(err)
		}
		w, err := trainer.Weights()
		if err != nil {
			t.Fatal(err)
		}
		return r, w
	}
	near := func(x, y float64) bool { return math.Abs(x-y) <= 1e-5*(1+math.Abs(y)) }

	plain, plainWeights := step(Options{}, batch, 1)
	alone, aloneWeights := step(Options{Mixup: true}, batch, 1)
	if !near(alone.Loss, plain.Loss) || alone.Correct != plain.Correct {
		t.Errorf("with a share of 1: %+v, without mixup: %+v", alone, plain)
	}
	mixed, mixedWeights := step(Options{Mixup: true}, batch, share)
	own := supernet.Batch{Images: make([]float32, len(batch.Images)), Labels: batch.Labels, Valid: size}
	other := supernet.Batch{Images: own.Images, Labels: make([]int32, size), Valid: size}
	pixels := len(batch.Images) / size
	for i := range batch.Images {
		own.Images[i] = share*batch.Images[i] + (1-share)*batch.Images[(i+pixels)%len(batch.Images)]
	}
	for i := range batch.Labels {
		other.Labels[i] = batch.Labels[(i+1)%size]
	}
	byOwn, ownWeights := step(Options{}, own, 1)
	byOther, otherWeights := step(Options{}, other, 1)
	if want := share*byOwn.Loss + (1-share)*byOther.Loss; !near(mixed.Loss, want) || mixed.Correct != byOwn.Correct {
		t.Errorf("mixed: %+v, want a loss of %g and %d correct", mixed, want, byOwn.Correct)
	}
	// A first step moves weights by the gradient, which is linear in the labels.
	moved := false
	for i := range mixedWeights {
		for k := range mixedWeights[i].Params {
			for j, got := range mixedWeights[i].Params[k] {
				want := share*float64(ownWeights[i].Params[k][j]) + (1-share)*float64(otherWeights[i].Params[k][j])
				if math.Abs(float64(got)-want) > 1e-4 {
					t.Fatalf("layer %d, parameter %d: value %d is %g, want %g", i, k, j, got, want)
				}
				if math.Abs(float64(aloneWeights[i].Params[k][j])-float64(plainWeights[i].Params[k][j])) > 1e-4 {
					t.Fatalf("layer %d, parameter %d: value %d differs with a share of 1", i, k, j)
				}
				moved = moved || math.Abs(float64(got-plainWeights[i].Params[k][j])) > 1e-3
			}
		}
	}
	if !moved {
		t.Error("mixing changes no weight")
	}
	trainer, err := NewTrainer(b.Backend, a, Options{Batch: size, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Finalize()
	if _, err := trainer.StepMixed(batch, 0.1, 0.5); err == nil {
		t.Error("images were mixed without mixup")
	}
}

// Layers start from the weights that they are given; those that are given none are drawn as ever.
func TestTrainerStartsFromWeights(t *testing.T) {
	b := backendstest.Go(t)
	a := testNetwork(t, true)
	open := func(o Options) (*Trainer, []Weights) {
		trainer, err := NewTrainer(b.Backend, a, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(trainer.Finalize)
		w, err := trainer.Weights()
		if err != nil {
			t.Fatal(err)
		}
		return trainer, w
	}
	trainer, _ := open(Options{Batch: 6, Seed: 1, NormMomentum: 0.5})
	if _, err := trainer.Step(randomBatch(a, 6, 1), 0.1); err != nil {
		t.Fatal(err)
	}
	start, err := trainer.Weights()
	if err != nil {
		t.Fatal(err)
	}
	_, drawn := open(Options{Batch: 6, Seed: 2})
	start[0] = Weights{}
	_, got := open(Options{Batch: 6, Seed: 2, Start: start})
	want := append([]Weights{drawn[0]}, start[1:]...)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, wrong := range map[string][]Weights{
		"a layer less":       start[1:],
		"another layer's":    append([]Weights{start[1]}, start[1:]...),
		"without statistics": append([]Weights{{Params: drawn[0].Params}}, start[1:]...),
	} {
		if _, err := NewTrainer(b.Backend, a, Options{Batch: 6, Start: wrong}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// What is no number is traced to the layer that it came up in, though one step carries it to all others.
func TestTrainerNamesTheLayerOfNonFiniteNumbers(t *testing.T) {
	a := testNetwork(t, true)
	trainer, err := NewTrainer(backendstest.Go(t).Backend, a, Options{Batch: 4, Seed: 1, Momentum: 0.9, NormMomentum: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Finalize()
	good, err := trainer.State()
	if err != nil {
		t.Fatal(err)
	}
	batch := randomBatch(a, 4, 1)
	check := func(what, wantLayer, wantOperation string) {
		t.Helper()
		if layer, operation, err := trainer.NonFinite(); err != nil || layer != wantLayer || operation != wantOperation {
			t.Errorf("%s: %s at %q, %v; want %s at %q", what, operation, layer, err, wantOperation, wantLayer)
		}
	}
	check("all are numbers", "", "")
	ops := a.Ops()
	for _, i := range []int{0, 2, len(ops) - 1} {
		layer := fmt.Sprintf("layer%d", i)
		bad := slices.Clone(good)
		at := slices.IndexFunc(bad, func(v supernet.NamedTensor) bool { return strings.HasPrefix(v.Name, layer+"/") })
		bad[at].Data = append([]float32{float32(math.Inf(1))}, bad[at].Data[1:]...)
		if err := trainer.SetState(bad); err != nil {
			t.Fatal(err)
		}
		r, err := trainer.Step(batch, 0.05)
		if err != nil {
			t.Fatal(err)
		}
		if !math.IsNaN(r.Loss) && !math.IsInf(r.Loss, 0) {
			t.Fatalf("%s is not finite, and the loss is %g", layer, r.Loss)
		}
		check("behind a step", layer, ops[i].Key())
	}
}
