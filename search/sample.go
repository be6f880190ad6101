package search

import (
	"math/rand/v2"

	"densenas/search/objective"
	"densenas/supernet"
	"densenas/supernet/space"
)

// Uniform samples one candidate of every mixed op, all with the same probability: the method's first phase.
func Uniform(s *space.Space, p *space.Parameters, r *rand.Rand) *supernet.Choice {
	return choose(s, p, func(logits []float64) []supernet.Pick {
		return []supernet.Pick{{Candidate: r.IntN(len(logits)), Weight: 1}}
	})
}

// BaseOnly takes the [space.Base] of every mixed op: weight steps of [Options.SingleCandidateEpochs].
func BaseOnly(s *space.Space, p *space.Parameters, _ *rand.Rand) *supernet.Choice {
	head, stack := space.Base(s.HeadCandidates), space.Base(s.StackCandidates)
	c := choose(s, p, func([]float64) []supernet.Pick { return []supernet.Pick{{Candidate: head, Weight: 1}} })
	for _, block := range c.Stack {
		for _, layer := range block {
			layer[0].Candidate = stack
		}
	}
	return c
}

// ByProbability samples one candidate of every mixed op by softmax(alpha): weight steps of the second phase.
func ByProbability(s *space.Space, p *space.Parameters, r *rand.Rand) *supernet.Choice {
	return choose(s, p, func(logits []float64) []supernet.Pick {
		return []supernet.Pick{{Candidate: draw(objective.Softmax(logits), r), Weight: 1}}
	})
}

// Pairs samples two candidates of every mixed op without replacement by softmax(alpha), or all where there are fewer, and
// mixes them by the softmax of their two logits: architecture steps.
func Pairs(s *space.Space, p *space.Parameters, r *rand.Rand) *supernet.Choice {
	return choose(s, p, func(logits []float64) []supernet.Pick { return pair(logits, r) })
}

func pair(logits []float64, r *rand.Rand) []supernet.Pick {
	if len(logits) == 1 {
		return []supernet.Pick{{Candidate: 0, Weight: 1}}
	}
	first := draw(objective.Softmax(logits), r)
	// The second is drawn from the softmax over what is left: computed again rather than by zeroing the first's share, so
	// that it is right even where the first has nearly all of the probability.
	rest := make([]float64, 0, len(logits)-1)
	rest = append(append(rest, logits[:first]...), logits[first+1:]...)
	second := draw(objective.Softmax(rest), r)
	if second >= first {
		second++
	}
	w := objective.Softmax([]float64{logits[first], logits[second]})
	return []supernet.Pick{{Candidate: first, Weight: w[0]}, {Candidate: second, Weight: w[1]}}
}

func choose(s *space.Space, p *space.Parameters, sample func(logits []float64) []supernet.Pick) *supernet.Choice {
	c := &supernet.Choice{
		Head:  make([][][]supernet.Pick, len(s.Blocks)-1),
		Stack: make([][][]supernet.Pick, len(s.Blocks)-1),
		Beta:  make([][]float64, len(s.Blocks)),
	}
	for i, logits := range p.Beta {
		c.Beta[i] = objective.PathProbabilities(s, logits)
	}
	for j := range c.Head {
		for _, logits := range p.AlphaHead[j] {
			c.Head[j] = append(c.Head[j], sample(logits))
		}
		for _, logits := range p.AlphaStack[j] {
			c.Stack[j] = append(c.Stack[j], sample(logits))
		}
	}
	return c
}

// draw returns an index with the given probabilities.
func draw(probabilities []float64, r *rand.Rand) int {
	u := r.Float64()
	for i, p := range probabilities {
		if u -= p; u < 0 {
			return i
		}
	}
	// Rounding can leave a rest: it belongs to the last candidate that can be drawn at all.
	for i := len(probabilities) - 1; i > 0; i-- {
		if probabilities[i] > 0 {
			return i
		}
	}
	return 0
}
