package search

import (
	"fmt"
	"math"
)

// Options of a search. Units are in the names; the defaults stand in the configuration files of package rundir.
type Options struct {
	// Epochs is the length of the search; architecture parameters are trained from ArchitectureEpoch on (counted from 0).
	Epochs, ArchitectureEpoch int
	// For the first SingleCandidateEpochs epochs each layer trains only the candidate that most others extend; then these take over its
	// weights ([supernet.Network.Extend]). Sampled from the start, as in the paper, which has 0 here, candidates take
	// turns in what they make of a layer's output, and in a short search the layers behind it do not learn. Below ArchitectureEpoch, or 0.
	SingleCandidateEpochs int
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
}

// Check reports the first option that is out of range.
func (o Options) Check() error {
	return inRange([]ranged{
		{"epochs", float64(o.Epochs), 1, 1e6},
		{"architecture epoch", float64(o.ArchitectureEpoch), 0, 1e6},
		{"single-candidate epochs", float64(o.SingleCandidateEpochs), 0, float64(max(o.ArchitectureEpoch-1, 0))},
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
	})
}

// ranged is an option with its range.
type ranged struct {
	name             string
	value, low, high float64
}

func inRange(options []ranged) error {
	for _, c := range options {
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
