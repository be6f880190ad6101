package space

import (
	"math"
	"math/rand/v2"
)

// Draw draws an architecture of the space, each with a probability in proportion to the product of the weights of its
// operations, a skip that stands for a stacked layer included. Weights are above 0 and finite. With weight 1 everywhere all
// choices of path and candidates are equally likely; with exp(-latency/t) fast architectures are the more likely the smaller
// t is.
//
// It is exact: the sums of all ways to go on from a block are known before a way is chosen.
func (s *Space) Draw(r *rand.Rand, weight func(Op) float64) *Architecture {
	n := len(s.Blocks)
	logSums := make([]float64, n) // of the products of the weights of all ways to go on from a block, its own stacked layers aside
	onward := func(c Connection) float64 {
		if c.To == n {
			sum := 0.0
			for _, op := range s.EndOps(c) {
				sum += math.Log(weight(op))
			}
			return sum
		}
		sum := math.Log(total(s.HeadOps(c), weight)) + logSums[c.To]
		if layers := s.Blocks[c.To].Layers; layers > 0 {
			sum += float64(layers) * math.Log(total(s.StackOps(c.To), weight))
		}
		return sum
	}
	for from := n - 1; from >= 0; from-- {
		logSums[from] = math.Inf(-1)
		for _, c := range s.Outgoing(from) {
			logSums[from] = logAdd(logSums[from], onward(c))
		}
	}
	path := []int{0}
	var heads []Op
	var stacks [][]Op
	for at := 0; at < n; {
		out := s.Outgoing(at)
		weights := make([]float64, len(out))
		for i, c := range out {
			weights[i] = math.Exp(onward(c) - logSums[at])
		}
		c := out[pick(r, weights)]
		if at = c.To; at == n {
			heads = append(heads, s.FinalOp(c))
			break
		}
		path, heads = append(path, at), append(heads, choose(r, s.HeadOps(c), weight))
		var stack []Op
		for range s.Blocks[at].Layers {
			stack = append(stack, choose(r, s.StackOps(at), weight))
		}
		stacks = append(stacks, stack)
	}
	return s.Network(path, heads, stacks)
}

func total(ops []Op, weight func(Op) float64) float64 {
	sum := 0.0
	for _, op := range ops {
		sum += weight(op)
	}
	return sum
}

func choose(r *rand.Rand, ops []Op, weight func(Op) float64) Op {
	weights := make([]float64, len(ops))
	for i, op := range ops {
		weights[i] = weight(op)
	}
	return ops[pick(r, weights)]
}

// pick draws an index in proportion to the weights.
func pick(r *rand.Rand, weights []float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	at := r.Float64() * sum
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// logAdd is log(exp(a) + exp(b)).
func logAdd(a, b float64) float64 {
	high, low := max(a, b), min(a, b)
	if math.IsInf(high, -1) {
		return high
	}
	return high + math.Log1p(math.Exp(low-high))
}
