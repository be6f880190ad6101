package search

import (
	"math"
	"strings"
	"testing"
)

func TestCosine(t *testing.T) {
	o := Options{Rate: 0.2, MinRate: 1e-4}
	for _, c := range []struct {
		step int
		want float64
	}{
		{0, 0.2}, {50, 1e-4 + (0.2-1e-4)/2}, {100, 1e-4},
		{25, 1e-4 + (0.2-1e-4)*(1+math.Sqrt2/2)/2},
	} {
		if got := o.cosine(c.step, 100); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("rate at step %d of 100 is %g, want %g", c.step, got, c.want)
		}
	}
	for step := range 99 {
		if !(o.cosine(step+1, 100) < o.cosine(step, 100)) {
			t.Errorf("the rate does not fall at step %d", step)
		}
	}
}

// good are options that pass.
func good() Options {
	return Options{
		Epochs: 3, ArchitectureEpoch: 1, Batch: 4, Seed: 1, Rate: 0.2, MinRate: 1e-4, Momentum: 0.9, WeightDecay: 4e-5, NormMomentum: 0.1,
		Adam: AdamOptions{Rate: 0.01, Beta1: 0.5, Beta2: 0.999, WeightDecay: 1e-3},
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(o *Options){
		"epochs":                  func(o *Options) { o.Epochs = 0 },
		"architecture epoch":      func(o *Options) { o.ArchitectureEpoch = -1 },
		"single-candidate epochs": func(o *Options) { o.SingleCandidateEpochs = o.ArchitectureEpoch },
		"batch":                   func(o *Options) { o.Batch = 0 },
		"rate":                    func(o *Options) { o.Rate = math.NaN() },
		"minimum rate":            func(o *Options) { o.MinRate = -1 },
		"momentum":                func(o *Options) { o.Momentum = 1.5 },
		"weight decay":            func(o *Options) { o.WeightDecay = math.Inf(1) },
		"beta1":                   func(o *Options) { o.Adam.Beta1 = 1 },
	} {
		o := good()
		change(&o)
		if err := o.Check(); err == nil || !strings.HasPrefix(err.Error(), name+" is ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
