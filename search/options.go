package search

import (
	"fmt"
	"math"
)

// Options of a search. Units are in the names; the defaults stand in the configuration files of package rundir.
type Options struct {
	// Epochs is the length of the search; architecture parameters are trained from ArchitectureEpoch on (counted from 0).
	Epochs, ArchitectureEpoch int
	// Batch is the number of images of a step.
	Batch int
	// Seed decides initial weights, sampling, the order of the data and its augmentation.
	Seed uint64
	// Rate falls to MinRate along a cosine over all weight steps.
	Rate, MinRate float64
	// Momentum and WeightDecay (coupled L2) of SGD.
	Momentum, WeightDecay float64
	// NormMomentum is the share by which running statistics of batch norm move.
	NormMomentum float64
	// Adam moves alpha and beta.
	Adam AdamOptions
	// Base and Factor weigh the objective: the loss of an architecture step is cross entropy plus
	// Factor · log(cost in ms)/log(Base).
	Base, Factor float64
	// TargetMS, where above 0, makes the factor a Lagrange multiplier instead, that starts from zero and grows by
	// MultiplierRate · log(cost/target)/log(Base) at every architecture step, never below zero.
	TargetMS, MultiplierRate float64
}

// Check reports the first option that is out of range.
func (o Options) Check() error {
	for _, c := range []struct {
		name      string
		value     float64
		low, high float64
	}{
		{"epochs", float64(o.Epochs), 1, 1e6},
		{"architecture epoch", float64(o.ArchitectureEpoch), 0, 1e6},
		{"batch", float64(o.Batch), 1, 1 << 20},
		{"rate", o.Rate, 0, 1e3},
		{"minimum rate", o.MinRate, 0, 1e3},
		{"momentum", o.Momentum, 0, 1},
		{"weight decay", o.WeightDecay, 0, 1},
		{"norm momentum", o.NormMomentum, 0, 1},
		{"architecture rate", o.Adam.Rate, 0, 1e3},
		{"architecture weight decay", o.Adam.WeightDecay, 0, 1},
		{"beta1", o.Adam.Beta1, 0, math.Nextafter(1, 0)},
		{"beta2", o.Adam.Beta2, 0, math.Nextafter(1, 0)},
		{"base", o.Base, math.Nextafter(1, 2), 1e12},
		{"factor", o.Factor, 0, 1e6},
		{"target latency", o.TargetMS, 0, 1e9},
		{"multiplier rate", o.MultiplierRate, 0, 1e6},
	} {
		if !(c.value >= c.low && c.value <= c.high) {
			return fmt.Errorf("%s is %g, allowed is %g to %g", c.name, c.value, c.low, c.high)
		}
	}
	return nil
}

// cosine is the learning rate at step of steps.
func (o Options) cosine(step, steps int) float64 {
	return o.MinRate + (o.Rate-o.MinRate)*(1+math.Cos(math.Pi*float64(step)/float64(steps)))/2
}
