package search

import (
	"math"

	"densenas/search/objective"
	"densenas/supernet"
	"densenas/supernet/space"
)

// each calls f for every row of logits with the rows of the others at the same place. All must have the same shape.
func each(p *space.Parameters, others []*space.Parameters, f func(row []float64, others [][]float64)) {
	rows := make([][]float64, len(others))
	for i := range p.Beta {
		for k, q := range others {
			rows[k] = q.Beta[i]
		}
		f(p.Beta[i], rows)
	}
	for _, tensor := range []func(*space.Parameters) [][][]float64{
		func(q *space.Parameters) [][][]float64 { return q.AlphaHead },
		func(q *space.Parameters) [][][]float64 { return q.AlphaStack },
	} {
		for i := range tensor(p) {
			for l := range tensor(p)[i] {
				for k, q := range others {
					rows[k] = tensor(q)[i][l]
				}
				f(tensor(p)[i][l], rows)
			}
		}
	}
}

// addProducts adds to gradient the derivatives of the cross entropy by all logits, from the inner products of an
// architecture step that ran choice. Logits of candidates that were not sampled get none.
func addProducts(s *space.Space, c *supernet.Choice, products *supernet.Products, gradient *space.Parameters) {
	beta := make([][]float64, len(c.Beta)) // derivatives by path probabilities
	for i := range beta {
		beta[i] = make([]float64, len(c.Beta[i]))
	}
	for j := range c.Head {
		for _, in := range s.Incoming(j + 1) {
			probability := c.Beta[in.From][in.Outgoing]
			byWeight := make([]float64, len(c.Head[j][in.Incoming]))
			for k, pick := range c.Head[j][in.Incoming] {
				product := products.Head[j][in.Incoming][k]
				beta[in.From][in.Outgoing] += pick.Weight * product
				byWeight[k] = probability * product
			}
			addPicks(c.Head[j][in.Incoming], byWeight, gradient.AlphaHead[j][in.Incoming])
		}
		for l, picks := range c.Stack[j] {
			addPicks(picks, products.Stack[j][l], gradient.AlphaStack[j][l])
		}
	}
	for _, in := range s.Incoming(len(s.Blocks)) {
		beta[in.From][in.Outgoing] += products.Final[in.Incoming]
	}
	for i := range beta {
		for k, g := range objective.PathGradient(s, c.Beta[i], beta[i]) {
			gradient.Beta[i][k] += g
		}
	}
}

// addPicks adds the derivatives by the logits of the picks, whose weights are the softmax of just these.
func addPicks(picks []supernet.Pick, byWeight, gradient []float64) {
	weights := make([]float64, len(picks))
	for k, p := range picks {
		weights[k] = p.Weight
	}
	for k, g := range objective.SoftmaxGradient(weights, byWeight) {
		gradient[picks[k].Candidate] += g
	}
}

// logSumExp is log Σ exp over the picked logits.
func logSumExp(logits []float64, picks []supernet.Pick) float64 {
	largest := math.Inf(-1)
	for _, p := range picks {
		largest = max(largest, logits[p.Candidate])
	}
	sum := 0.0
	for _, p := range picks {
		sum += math.Exp(logits[p.Candidate] - largest)
	}
	return largest + math.Log(sum)
}

// rescale adds log(Σexp before / Σexp after) to the picked logits of every layer, so that a step on a pair does not change
// the pair's share against the candidates that were not sampled.
func rescale(before, after *space.Parameters, c *supernet.Choice) {
	layer := func(before, after []float64, picks []supernet.Pick) {
		shift := logSumExp(before, picks) - logSumExp(after, picks)
		for _, p := range picks {
			after[p.Candidate] += shift
		}
	}
	for j := range c.Head {
		for i, picks := range c.Head[j] {
			layer(before.AlphaHead[j][i], after.AlphaHead[j][i], picks)
		}
		for l, picks := range c.Stack[j] {
			layer(before.AlphaStack[j][l], after.AlphaStack[j][l], picks)
		}
	}
}

// clone copies p.
func clone(p *space.Parameters) *space.Parameters {
	q := &space.Parameters{Space: p.Space}
	for _, row := range p.Beta {
		q.Beta = append(q.Beta, append([]float64(nil), row...))
	}
	deep := func(t [][][]float64) [][][]float64 {
		out := make([][][]float64, len(t))
		for i := range t {
			out[i] = make([][]float64, len(t[i]))
			for l := range t[i] {
				out[i][l] = append([]float64(nil), t[i][l]...)
			}
		}
		return out
	}
	q.AlphaHead, q.AlphaStack = deep(p.AlphaHead), deep(p.AlphaStack)
	return q
}

// entropies returns the mean entropy of what the rows of alpha and of beta make, each as a share of its largest possible value: 1
// where nothing is decided, or nothing is to decide, 0 where all is. Rows with a single choice do not count.
func entropies(s *space.Space, p *space.Parameters) (alpha, beta float64) {
	mean := func(rows [][]float64, probabilities func([]float64) []float64) (total float64, count int) {
		for _, logits := range rows {
			if len(logits) < 2 {
				continue
			}
			h := 0.0
			for _, q := range probabilities(logits) {
				if q > 0 {
					h -= q * math.Log(q)
				}
			}
			total += h / math.Log(float64(len(logits)))
			count++
		}
		return total, count
	}
	total, count := 0.0, 0
	for _, tensor := range [][][][]float64{p.AlphaHead, p.AlphaStack} {
		for _, block := range tensor {
			t, n := mean(block, objective.Softmax)
			total, count = total+t, count+n
		}
	}
	alpha, beta = 1, 1
	if count > 0 {
		alpha = total / float64(count)
	}
	paths := func(logits []float64) []float64 { return objective.PathProbabilities(s, logits) }
	if total, count = mean(p.Beta, paths); count > 0 {
		beta = total / float64(count)
	}
	return alpha, beta
}

// skipShare is the mean probability of skip over all stacked layers; 0 where none can be skipped.
func skipShare(s *space.Space, p *space.Parameters) float64 {
	total, count := 0.0, 0
	for _, block := range p.AlphaStack {
		for _, logits := range block {
			for k, q := range objective.Softmax(logits) {
				if s.StackCandidates[k].Kind == space.Skip {
					total += q
				}
			}
			count++
		}
	}
	if count == 0 {
		return 0
	}
	return total / float64(count)
}
