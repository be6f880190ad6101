package search

import (
	"cmp"
	"math"
	"slices"

	"densenas/search/objective"
	"densenas/supernet/space"
)

// How a search with targets goes through its architecture steps, as shares of them.
const (
	// approachUntil: so long the expected cost goes from where it stands at the beginning to the target, by equal factors, so that
	// the cross entropy has a say in what changes.
	approachUntil = 0.3
	// From settleFrom on choices are settled, those first that weigh most in the cost; at settleUntil all are that weigh more than
	// leastImpact of the target. What weighs less stays open, so that the expected cost can be kept.
	settleFrom, settleUntil = 0.4, 0.9
	leastImpact             = 0.02
)

const (
	// aim is what the expected cost is steered to, of the target: the network that is derived costs a little more or less than is
	// expected, and must not exceed the target.
	aim = 0.985
	// onTarget is how far, as a logarithm, the expected cost may be off for the next choice to be settled.
	onTarget = 0.005
	// corrections of a step, at most, each of which moves a logit by largestMove at most.
	corrections, largestMove = 10, 0.1
	// settledLogit is that of the candidate or connection that a choice is settled on; the others have 0 at most, and their distances from
	// each other, so that a derivation that cannot have it knows what comes next. Nothing but settling makes a logit exactly this, so
	// that choices say themselves that they are settled.
	settledLogit = 8
	// attempts, of corrections each, are made to find out whether the targets can be met with a choice.
	attempts = 20
)

// steered says whether any objective has a target.
func (s *Search) steered() bool {
	return slices.ContainsFunc(s.Objectives, func(o Objective) bool { return o.Target > 0 })
}

// architectureShare is the share of the architecture steps that are done, 0 to 1.
func (s *Search) architectureShare() float64 {
	each := s.Data.BatchCount(s.part(passArchitecture), s.batchOptions(0))
	total := (s.Options.Epochs - s.Options.ArchitectureEpoch) * each
	return float64((s.state.Epoch-s.Options.ArchitectureEpoch)*each+s.state.Step) / float64(max(total, 1))
}

// steer moves the logits behind a step of Adam, which began from before, so that the expected costs are on their way to the
// targets, and settles the next choice where it is time. The factors become the multipliers of the correction: each
// logit moves by the multiplier times the derivative of the logarithm of the cost.
func (s *Search) steer(before *space.Parameters) {
	p, share := s.state.Parameters, s.architectureShare()
	each(p, []*space.Parameters{before}, func(row []float64, rows [][]float64) {
		if settled(rows[0]) {
			copy(row, rows[0])
		}
	})
	wanted := s.wanted(share)
	if s.meet(p, wanted) {
		s.settleNext(p, share, wanted)
	}
	s.meet(p, wanted)
}

// meet corrects the logits until the expected costs are what is wanted, and says whether they are. One target is met from both sides: a
// faster network than asked for is rarely the most accurate one. Of several no more can be asked than that none is exceeded.
func (s *Search) meet(p *space.Parameters, wanted []float64) bool {
	for i, o := range s.Objectives {
		if o.Target > 0 {
			s.state.Factors[i] = 0
		}
	}
	for range corrections {
		met := true
		for i, o := range s.Objectives {
			if o.Target <= 0 {
				continue
			}
			cost, gradient := o.Costs.Chained(p)
			off := math.Log(cost / wanted[i])
			if s.distance(off) < onTarget/2 {
				continue
			}
			met = false
			s.state.Factors[i] += correct(p, gradient, cost, off)
		}
		if met {
			return true
		}
	}
	return s.off(p, wanted) <= onTarget
}

func (s *Search) targets() int {
	n := 0
	for _, o := range s.Objectives {
		if o.Target > 0 {
			n++
		}
	}
	return n
}

// wanted is what the expected cost of each objective with a target should be at a share of the architecture steps.
func (s *Search) wanted(share float64) []float64 {
	costs := make([]float64, len(s.Objectives))
	for i, o := range s.Objectives {
		if o.Target > 0 {
			start, _ := o.Costs.Chained(s.Space.NewParameters())
			costs[i] = start * math.Pow(aim*o.Target/start, min(1, share/approachUntil))
		}
	}
	return costs
}

// correct moves the logits that are not settled against the gradient of a cost, whose logarithm is off by so much, and returns the
// multiplier. It is the least change that would make up for it were the cost a straight line, or less of it where
// a logit would move too far.
func correct(p, gradient *space.Parameters, cost, off float64) float64 {
	square, largest := 0.0, 0.0
	each(gradient, []*space.Parameters{p}, func(row []float64, rows [][]float64) {
		if settled(rows[0]) {
			clear(row)
		}
		for k := range row {
			row[k] /= cost
			square += row[k] * row[k]
			largest = max(largest, math.Abs(row[k]))
		}
	})
	if square < 1e-10 { // nothing that is open weighs anything
		return 0
	}
	multiplier := off / square
	if move := math.Abs(multiplier) * largest; move > largestMove {
		multiplier *= largestMove / move
	}
	each(p, []*space.Parameters{gradient}, func(row []float64, rows [][]float64) {
		for k := range row {
			row[k] -= multiplier * rows[0][k]
		}
	})
	return multiplier
}

// settleNext settles the choice that weighs most in the costs of those that are open, if it weighs enough for its turn: on the most probable
// candidate or connection with which what stays open can still meet the targets, or, where there is none, the one with which it comes closest.
func (s *Search) settleNext(p *space.Parameters, share float64, wanted []float64) {
	if share < settleFrom {
		return
	}
	probabilities := clone(p)
	each(probabilities, nil, func(row []float64, _ [][]float64) { copy(row, objective.Softmax(row)) })
	for block, logits := range p.Beta {
		probabilities.Beta[block] = objective.PathProbabilities(s.Space, logits)
	}
	most := math.Pow(leastImpact, min(1, (share-settleFrom)/(settleUntil-settleFrom)))
	var next []float64
	for _, o := range s.Objectives {
		if o.Target <= 0 {
			continue
		}
		_, byShare := o.Costs.Expected(probabilities)
		each(p, []*space.Parameters{byShare}, func(row []float64, rows [][]float64) {
			if settled(row) {
				return
			}
			if impact := (slices.Max(rows[0]) - slices.Min(rows[0])) / o.Target; impact > most {
				next, most = row, impact
			}
		})
	}
	if next == nil {
		return
	}
	before := clone(p)
	closest, least := 0, math.Inf(1)
	for _, chosen := range byLogit(next) {
		settle(next, chosen)
		met := false
		for range attempts {
			if met = s.meet(p, wanted); met {
				break
			}
		}
		off := s.off(p, wanted)
		assign(p, before)
		if met {
			closest = chosen
			break
		}
		if off < least {
			closest, least = chosen, off
		}
	}
	settle(next, closest)
}

// off is how far the expected costs are from what is wanted, the largest distance of a logarithm.
func (s *Search) off(p *space.Parameters, wanted []float64) float64 {
	off := 0.0
	for i, o := range s.Objectives {
		if o.Target > 0 {
			cost, _ := o.Costs.Chained(p)
			off = max(off, s.distance(math.Log(cost/wanted[i])))
		}
	}
	return off
}

// distance is how far a cost that is off by so much, as a logarithm, is from being met. Of several targets only what exceeds them counts.
func (s *Search) distance(off float64) float64 {
	if s.targets() == 1 {
		return math.Abs(off)
	}
	return off
}

// byLogit lists the candidates or connections of a choice, the most probable first.
func byLogit(row []float64) []int {
	order := make([]int, len(row))
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(row[b], row[a]) })
	return order
}

// settle settles a choice on one of its candidates or connections.
func settle(row []float64, chosen int) {
	best := row[chosen]
	for k := range row {
		row[k] = min(row[k]-best, 0)
	}
	row[chosen] = settledLogit
}

// assign copies the logits of another into p.
func assign(p, from *space.Parameters) {
	each(p, []*space.Parameters{from}, func(row []float64, rows [][]float64) { copy(row, rows[0]) })
}

// settled says whether a choice is settled, or none.
func settled(row []float64) bool {
	if len(row) < 2 {
		return true
	}
	chosen := 0
	for _, logit := range row {
		switch {
		case logit == settledLogit:
			chosen++
		case logit > 0:
			return false
		}
	}
	return chosen == 1
}
