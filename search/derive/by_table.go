package derive

import (
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// ByTable derives Plain's architecture if the table predicts at most limit ms for it (math.Inf(1): in any case), else Within's.
// The architecture carries the prediction, which is at most the limit. Bad input is what is for Plain and Within, and a table
// that lacks ops.
func ByTable(s *space.Space, p *space.Parameters, table *lut.Table, limit float64) (*space.Architecture, error) {
	a, err := Plain(s, p)
	if err != nil {
		return nil, err
	}
	if a.Predicted, err = table.Predict(a); err != nil || a.Predicted.LatencyMS <= limit {
		return a, err
	}
	costs, err := objective.FromTable(s, table)
	if err != nil {
		return nil, err
	}
	for allowed := limit; ; {
		if a, err = Within(s, p, costs, allowed); err != nil {
			return nil, err
		}
		if a.Predicted, err = table.Predict(a); err != nil {
			return nil, err
		}
		over := a.Predicted.LatencyMS - limit
		if !(over > 0) {
			return a, nil
		}
		// The table adds times and calls in another order than the costs, so the last digit may differ.
		allowed -= 2 * over
	}
}
