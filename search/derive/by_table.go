package derive

import (
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// ByTable derives Within's architectures, top at most, that the table predicts to take at most limit ms (math.Inf(1): anything).
// They carry the prediction. Bad input is what is for Within, and a table that lacks ops.
func ByTable(s *space.Space, p *space.Parameters, table *lut.Table, limit float64, top int) ([]*space.Architecture, error) {
	if top == 1 {
		a, err := Plain(s, p)
		if err != nil {
			return nil, err
		}
		// Nothing is more probable, and the table may lack what is not in it.
		if a.Predicted, err = table.Predict(a); err != nil || a.Predicted.LatencyMS <= limit {
			return []*space.Architecture{a}, err
		}
	}
	costs, err := objective.FromTable(s, table)
	if err != nil {
		return nil, err
	}
	for allowed := limit; ; {
		found, err := Within(s, p, []Limit{{costs, allowed}}, top)
		if err != nil {
			return nil, err
		}
		over := 0.0
		for _, a := range found {
			if a.Predicted, err = table.Predict(a); err != nil {
				return nil, err
			}
			over = max(over, a.Predicted.LatencyMS-limit)
		}
		if !(over > 0) {
			return found, nil
		}
		// The table adds times and calls in another order than the costs, so the last digit may differ.
		allowed -= 2 * over
	}
}
