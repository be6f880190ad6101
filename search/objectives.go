package search

import (
	"fmt"
	"math"

	"densenas/search/objective"
	"densenas/supernet/space"
)

// Objective is what the architecture is trained for besides accuracy: that its cost be low, or meet a target.
type Objective struct {
	Costs *objective.Costs
	// Base and Factor weigh it where there is no target: it adds Factor · log(cost)/log(Base) to the loss of an architecture step.
	Base, Factor float64
	// Target, in the costs' unit, is steered to instead where it is above 0: every architecture step is corrected along the
	// gradient of the expected cost, by as much as it is off, and choices are settled towards the end.
	Target float64
}

// Check reports the first field that is out of range.
func (o Objective) Check() error {
	return inRange([]ranged{
		{"base", o.Base, math.Nextafter(1, 2), 1e12},
		{"factor", o.Factor, 0, 1e6},
		{"target", o.Target, 0, 1e15},
	})
}

// start is the factor before the first step: a multiplier has no say before.
func (o Objective) start() float64 {
	if o.Target > 0 {
		return 0
	}
	return o.Factor
}

// objectiveGradient is the gradient of Σ factor · log(cost)/log(base) over the objectives without a target by the logits.
func (s *Search) objectiveGradient(p *space.Parameters) *space.Parameters {
	gradient := s.Space.NewParameters()
	for i, o := range s.Objectives {
		if o.Target > 0 {
			continue
		}
		cost, own := o.Costs.Chained(p)
		weight := s.state.Factors[i] / (cost * math.Log(o.Base))
		each(gradient, []*space.Parameters{own}, func(row []float64, others [][]float64) {
			for k, g := range others[0] {
				row[k] += weight * g
			}
		})
	}
	return gradient
}

// expected is every objective's expected cost, in its unit.
func (s *Search) expected() []float64 {
	var costs []float64
	for _, o := range s.Objectives {
		cost, _ := o.Costs.Chained(s.state.Parameters)
		costs = append(costs, cost)
	}
	return costs
}

// checkObjectives checks them, and that there is a factor for each.
func (s *Search) checkObjectives(factors []float64) error {
	for i, o := range s.Objectives {
		if err := o.Check(); err != nil {
			return fmt.Errorf("objective %d: %w", i+1, err)
		}
	}
	if len(factors) != len(s.Objectives) {
		return fmt.Errorf("there are %d factors for %d objectives", len(factors), len(s.Objectives))
	}
	return nil
}
