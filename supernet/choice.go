package supernet

import (
	"fmt"
	"slices"

	"densenas/supernet/space"
)

// Pick is one sampled operation of a mixed op.
type Pick struct {
	// Candidate is the index among the layer's candidates.
	Candidate int
	// Weight multiplies the operation's output; the weights of a layer's picks add up to one.
	Weight float64
}

// Choice says what one step of the super network runs: the picks of every mixed op, and the path probabilities.
type Choice struct {
	// Head is indexed by block from the second on, then by incoming connection (nearest predecessor first).
	Head [][][]Pick
	// Stack is indexed by block from the second on, then by stacked layer.
	Stack [][][]Pick
	// Beta holds path probabilities, by block and outgoing connection (nearest successor first); each block's add up to
	// one.
	Beta [][]float64
}

// check reports a choice that does not fit the space.
func (c *Choice) check(s *space.Space) error {
	if len(c.Head) != len(s.Blocks)-1 || len(c.Stack) != len(s.Blocks)-1 || len(c.Beta) != len(s.Blocks) {
		return fmt.Errorf("choice is for %d blocks, space %s has %d", len(c.Beta), s.Name, len(s.Blocks))
	}
	for i := range s.Blocks {
		if len(c.Beta[i]) != len(s.Outgoing(i)) {
			return fmt.Errorf("choice has %d path probabilities for block %d, want %d", len(c.Beta[i]), i, len(s.Outgoing(i)))
		}
	}
	for j := range c.Head {
		if len(c.Head[j]) != len(s.Incoming(j+1)) || len(c.Stack[j]) != s.Blocks[j+1].Layers {
			return fmt.Errorf("choice does not have the layers of block %d", j+1)
		}
		for _, layer := range c.Head[j] {
			if err := checkPicks(layer, len(s.HeadCandidates)); err != nil {
				return fmt.Errorf("head of block %d: %w", j+1, err)
			}
		}
		for _, layer := range c.Stack[j] {
			if err := checkPicks(layer, len(s.StackCandidates)); err != nil {
				return fmt.Errorf("stack of block %d: %w", j+1, err)
			}
		}
	}
	return nil
}

func checkPicks(picks []Pick, candidates int) error {
	if len(picks) == 0 {
		return fmt.Errorf("a layer has no pick")
	}
	for i, p := range picks {
		if p.Candidate < 0 || p.Candidate >= candidates {
			return fmt.Errorf("picks candidate %d of %d", p.Candidate, candidates)
		}
		if slices.ContainsFunc(picks[:i], func(q Pick) bool { return q.Candidate == p.Candidate }) {
			return fmt.Errorf("picks candidate %d twice", p.Candidate)
		}
	}
	return nil
}
