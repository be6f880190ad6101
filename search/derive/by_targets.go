package derive

import (
	"math"

	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// Target is what an architecture is held to: the latency that a table predicts, or what is counted.
type Target struct {
	Table *lut.Table // nil: Costs and Count say what counts
	Costs *objective.Costs
	Count func(*space.Architecture) int64
	Most  float64 // in ms, or as counted; math.Inf(1): anything
}

// of is what the target counts of an architecture. The architecture gets the prediction of the first table that makes one.
func (t Target) of(a *space.Architecture) (float64, error) {
	if t.Table == nil {
		return float64(t.Count(a)), nil
	}
	predicted, err := t.Table.Predict(a)
	if err != nil {
		return 0, err
	}
	if a.Predicted == nil {
		a.Predicted = predicted
	}
	return predicted.LatencyMS, nil
}

// ByTargets derives Within's architectures, top at most, that meet every target; without one, the most probable of all. They carry
// the prediction of the first table. Bad input is what is for Within, and a table that lacks ops.
func ByTargets(s *space.Space, p *space.Parameters, targets []Target, top int) ([]*space.Architecture, error) {
	if top == 1 {
		a, err := Plain(s, p)
		if err != nil {
			return nil, err
		}
		// Nothing is more probable, and a table may lack what is not in it.
		if over, err := excess([]*space.Architecture{a}, targets); err != nil || over == nil {
			return []*space.Architecture{a}, err
		}
	}
	var limits []Limit
	for _, t := range targets {
		costs := t.Costs
		if t.Table != nil {
			var err error
			if costs, err = objective.FromTable(s, t.Table); err != nil {
				return nil, err
			}
		}
		limits = append(limits, Limit{costs, t.Most})
	}
	if len(limits) == 0 {
		limits = []Limit{{objective.MultiplyAdds(s), math.Inf(1)}}
	}
	for {
		found, err := Within(s, p, limits, top)
		if err != nil {
			return nil, err
		}
		over, err := excess(found, targets)
		if err != nil || over == nil {
			return found, err
		}
		// A table adds times and calls in another order than the costs, so the last digit may differ.
		for i := range over {
			limits[i].Most -= 2 * over[i]
		}
	}
}

// excess is by how much the architectures exceed each target at most; nil where they meet all.
func excess(found []*space.Architecture, targets []Target) ([]float64, error) {
	over, any := make([]float64, len(targets)), false
	for _, a := range found {
		for i, t := range targets {
			value, err := t.of(a)
			if err != nil {
				return nil, err
			}
			if value > t.Most {
				over[i], any = max(over[i], value-t.Most), true
			}
		}
	}
	if !any {
		return nil, nil
	}
	return over, nil
}
