package objective

import (
	"math"
	"slices"

	"densenas/supernet/space"
)

// Costs are those of everything that a space can choose: latencies in ms, the call of an empty executable subtracted from each,
// or what Unit says.
type Costs struct {
	Space        *space.Space
	Unit         string        // ms, or what is counted
	StemAndFirst float64       // stem and, where the space has one, the first block's layer
	Head         [][][]float64 // [block][incoming connection][head candidate]; empty for the first block
	Stack        [][][]float64 // [block][stacked layer][stack candidate]; empty for the first block
	Final        []float64     // final 1×1 convolution, [incoming connection]
	Classifier   float64       // pool and linear layer
	Call         float64       // the call itself, once per network
	// Ends, [incoming connection of the final 1×1 convolution], is what architectures have in the place of Final and Classifier; nil
	// where they have these.
	Ends []float64
}

// Architectures are the costs of what architectures are made of, where that is not what the super network is made of.
func (c *Costs) Architectures() *Costs {
	if c.Ends == nil {
		return c
	}
	own := *c
	own.Final, own.Classifier, own.Ends = c.Ends, 0, nil
	return &own
}

// Chained is the expected latency in ms of the networks that the logits p choose, made of what the super network is made of, and its gradient with respect to those
// logits, in their shape. p must have passed Check with the costs' space.
func (c *Costs) Chained(p *space.Parameters) (ms float64, gradient *space.Parameters) {
	probabilities := eachRow(p, func(logits []float64) []float64 { return Softmax(logits) })
	for i, logits := range p.Beta {
		probabilities.Beta[i] = PathProbabilities(c.Space, logits)
	}
	ms, gradient = c.Expected(probabilities)
	for i, row := range gradient.Beta {
		gradient.Beta[i] = PathGradient(c.Space, probabilities.Beta[i], row)
	}
	for b := range gradient.AlphaHead {
		for i, row := range gradient.AlphaHead[b] {
			gradient.AlphaHead[b][i] = SoftmaxGradient(probabilities.AlphaHead[b][i], row)
		}
		for i, row := range gradient.AlphaStack[b] {
			gradient.AlphaStack[b][i] = SoftmaxGradient(probabilities.AlphaStack[b][i], row)
		}
	}
	return ms, gradient
}

// Expected is the expected latency in ms where the rows of p are probabilities already, and its gradient with respect to them.
// From the last block to the first,
//
//	cost(b) = Σ_i beta(b→i) · (head(b→i) + stack(i) + cost(i))
//
// where the final 1×1 convolution is the last block's head with nothing behind it. Rows need not sum to one: a search that
// mixes two sampled candidates leaves the others at zero.
func (c *Costs) Expected(p *space.Parameters) (ms float64, gradient *space.Parameters) {
	s := c.Space
	n := len(s.Blocks)
	gradient = s.NewParameters()

	// behind[b]: stack(b) + cost(b); the final convolution has none.
	behind := make([]float64, n+1)
	cost := make([]float64, n)
	for b := n - 1; b >= 0; b-- {
		for _, o := range s.Outgoing(b) {
			towards := c.head(o, p) + behind[o.To]
			gradient.Beta[b][o.Outgoing] = towards // still without the probability of coming through b
			cost[b] += p.Beta[b][o.Outgoing] * towards
		}
		behind[b] = cost[b]
		if b > 0 {
			for layer, row := range p.AlphaStack[b-1] {
				behind[b] += dot(row, c.Stack[b][layer])
			}
		}
	}

	// reach[b]: the probability that the path comes through b, which scales all that is chosen there.
	reach := make([]float64, n+1)
	reach[0] = 1
	for b := range n {
		for _, o := range s.Outgoing(b) {
			gradient.Beta[b][o.Outgoing] *= reach[b]
			weight := reach[b] * p.Beta[b][o.Outgoing]
			reach[o.To] += weight
			if o.To < n {
				scaled(gradient.AlphaHead[o.To-1][o.Incoming], weight, c.Head[o.To][o.Incoming])
			}
		}
		if b > 0 {
			for layer := range p.AlphaStack[b-1] {
				scaled(gradient.AlphaStack[b-1][layer], reach[b], c.Stack[b][layer])
			}
		}
	}
	return c.StemAndFirst + cost[0] + c.Classifier + c.Call, gradient
}

// head is the expected latency of the head layer on a connection.
func (c *Costs) head(o space.Connection, p *space.Parameters) float64 {
	if o.To == len(c.Space.Blocks) {
		return c.Final[o.Incoming]
	}
	return dot(p.AlphaHead[o.To-1][o.Incoming], c.Head[o.To][o.Incoming])
}

// Fastest is the latency in ms of the fastest architecture of the space. Architectures leave skipped layers out, so those take
// no time here.
func (c *Costs) Fastest() float64 {
	return c.extreme(slices.Min, func(a, b float64) float64 { return min(a, b) })
}

// Slowest is the latency in ms of the slowest architecture of the space.
func (c *Costs) Slowest() float64 {
	return c.extreme(slices.Max, func(a, b float64) float64 { return max(a, b) })
}

func (c *Costs) extreme(among func([]float64) float64, between func(a, b float64) float64) float64 {
	c = c.Architectures()
	s := c.Space
	n := len(s.Blocks)
	total := make([]float64, n+1) // up to and with the block
	total[0] = c.StemAndFirst
	for to := 1; to <= n; to++ {
		total[to] = math.NaN()
		for _, i := range s.Incoming(to) {
			head := 0.0
			if to == n {
				head = c.Final[i.Incoming]
			} else {
				head = among(c.Head[to][i.Incoming])
			}
			if t := total[i.From] + head; math.IsNaN(total[to]) {
				total[to] = t
			} else {
				total[to] = between(total[to], t)
			}
		}
		if to < n {
			for _, layer := range c.Stack[to] {
				total[to] += among(c.withoutSkip(layer))
			}
		}
	}
	return total[n] + c.Classifier + c.Call
}

// withoutSkip is a stacked layer's costs with none for a skip.
func (c *Costs) withoutSkip(layer []float64) []float64 {
	costs := slices.Clone(layer)
	for i, candidate := range c.Space.StackCandidates {
		if candidate.Kind == space.Skip {
			costs[i] = 0
		}
	}
	return costs
}

// eachRow applies f to every row of logits or probabilities.
func eachRow(p *space.Parameters, f func([]float64) []float64) *space.Parameters {
	rows := func(t [][]float64) [][]float64 {
		var out [][]float64
		for _, row := range t {
			out = append(out, f(row))
		}
		return out
	}
	out := &space.Parameters{Space: p.Space, Beta: rows(p.Beta)}
	for _, block := range p.AlphaHead {
		out.AlphaHead = append(out.AlphaHead, rows(block))
	}
	for _, block := range p.AlphaStack {
		out.AlphaStack = append(out.AlphaStack, rows(block))
	}
	return out
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func scaled(dst []float64, factor float64, row []float64) {
	for i, v := range row {
		dst[i] = factor * v
	}
}
