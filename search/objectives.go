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
	// Base and Factor weigh it: it adds Factor · log(cost)/log(Base) to the loss of an architecture step.
	Base, Factor float64
	// Target, in the costs' unit, makes the factor a Lagrange multiplier instead where it is above 0: the factor starts from zero
	// and grows by Options.MultiplierRate · log(cost/Target)/log(Base) at every architecture step, never below zero.
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

// start is the factor before the first step: a multiplier grows where the target is exceeded, and has no say before.
func (o Objective) start() float64 {
	if o.Target > 0 {
		return 0
	}
	return o.Factor
}

// moved is the factor behind an architecture step that expected a cost.
func (o Objective) moved(factor, cost, rate float64) float64 {
	if o.Target > 0 {
		return max(0, factor+rate*math.Log(cost/o.Target)/math.Log(o.Base))
	}
	return factor
}

// objectiveGradient is the gradient of Σ factor · log(cost)/log(base) over the objectives by the logits, and every expected cost.
func (s *Search) objectiveGradient(p *space.Parameters) (gradient *space.Parameters, costs []float64) {
	gradient = s.Space.NewParameters()
	for i, o := range s.Objectives {
		cost, own := o.Costs.Chained(p)
		costs = append(costs, cost)
		weight := s.state.Factors[i] / (cost * math.Log(o.Base))
		each(gradient, []*space.Parameters{own}, func(row []float64, others [][]float64) {
			for k, g := range others[0] {
				row[k] += weight * g
			}
		})
	}
	return gradient, costs
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
