package search

import (
	"context"
	"fmt"
	"slices"

	"densenas/search/dataset"
	"densenas/supernet"
	"densenas/supernet/space"
)

// Evaluator runs a super network forward only; [supernet.Network] is one.
type Evaluator interface {
	Evaluate(b supernet.Batch, c *supernet.Choice) (supernet.Result, error)
}

// EvaluateInside runs a over all held-out images inside the super network of s: with its weights as they are, and with the statistics of each
// batch, which are what a search sees: so batches mix the classes, in an order that the data's seed decides, and images that do not fill a
// batch are left out. The architecture parameters p say, as for [Inherit], which of a block's layers a skips.
func EvaluateInside(ctx context.Context, n Evaluator, a *space.Architecture, s *space.Space, p *space.Parameters, data *dataset.Dataset, batch int) (Sums, error) {
	choice, err := choiceOf(a, s, p)
	if err != nil {
		return Sums{}, fmt.Errorf("the architecture is none of space %s: %w", s.Name, err)
	}
	var sums Sums
	err = overBatches(ctx, data, dataset.HeldOut, 0, dataset.BatchOptions{Size: batch, Shuffle: true, DropLast: true}, func(b supernet.Batch) error {
		r, err := n.Evaluate(b, choice)
		if err == nil {
			sums.add(r, b.Valid)
		}
		return err
	})
	return sums, err
}

// choiceOf makes the super network compute a: along its path, whatever else runs counts nothing.
func choiceOf(a *space.Architecture, s *space.Space, p *space.Parameters) (*supernet.Choice, error) {
	l, err := locate(a, s, p)
	if err != nil {
		return nil, err
	}
	c := choose(s, p, func([]float64) []supernet.Pick { return []supernet.Pick{{Candidate: 0, Weight: 1}} })
	for _, row := range c.Beta {
		for k := range row {
			row[k] = 0
		}
		row[0] = 1
	}
	skip := slices.IndexFunc(s.StackCandidates, func(c space.Candidate) bool { return c.Kind == space.Skip })
	for i, connection := range l.connections {
		row := c.Beta[connection.From]
		row[0] = 0
		row[connection.Outgoing] = 1
		if i == len(l.heads) {
			break
		}
		block := connection.To - 1
		c.Head[block][connection.Incoming][0].Candidate = l.heads[i]
		for _, picks := range c.Stack[block] {
			picks[0].Candidate = max(0, skip)
		}
		for k, layer := range l.layers[i] {
			c.Stack[block][layer][0].Candidate = l.kept[i][k]
		}
	}
	return c, nil
}
