package derive

import (
	"math"

	"densenas/internal/exit"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// Plain derives the architecture of the most probable path with every layer's most probable candidate. Of equals the first
// counts, of paths that with the nearest predecessor. Skipped layers are left out. Parameters that do not fit the space are bad
// input.
func Plain(s *space.Space, p *space.Parameters) (*space.Architecture, error) {
	if err := p.Check(s); err != nil {
		return nil, exit.AsBadInput(err)
	}
	return newPreferences(s, p).plain().architecture(s), nil
}

// preferences are the logarithms of what the parameters make of every choice.
type preferences struct {
	space *space.Space
	beta  [][]float64 // [block][outgoing connection]: of its probability
	// Of a candidate's probability relative to that of its layer's most probable, so that a layer off the path, which is left
	// at its most probable, and one on the path at its most probable weigh the same: nothing.
	head  [][][]float64 // [block][incoming connection][candidate]
	stack [][][]float64 // [block][layer][candidate]
}

func newPreferences(s *space.Space, p *space.Parameters) *preferences {
	relative := func(rows [][]float64) [][]float64 {
		out := make([][]float64, len(rows))
		for i, logits := range rows {
			out[i] = objective.LogSoftmax(logits)
			highest := out[i][first(out[i])]
			for j := range out[i] {
				out[i][j] -= highest
			}
		}
		return out
	}
	prefer := &preferences{space: s, head: make([][][]float64, 1), stack: make([][][]float64, 1)}
	for b, logits := range p.Beta {
		prefer.beta = append(prefer.beta, objective.LogSoftmax(logits))
		if b > 0 {
			prefer.head = append(prefer.head, relative(p.AlphaHead[b-1]))
			prefer.stack = append(prefer.stack, relative(p.AlphaStack[b-1]))
		}
	}
	return prefer
}

// first is the index of the largest element; of equals the first.
func first(row []float64) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}

// selection is one network of a space: the connections of its path, and for each but the last, which leads to the final 1×1
// convolution, the candidates chosen in the block that it leads to.
type selection struct {
	path   []space.Connection
	heads  []int
	stacks [][]int
}

// plain is the selection of Plain.
func (f *preferences) plain() selection {
	n := len(f.space.Blocks)
	score := make([]float64, n+1)
	best := make([]space.Connection, n+1)
	for to := 1; to <= n; to++ {
		score[to] = math.Inf(-1)
		for _, c := range f.space.Incoming(to) {
			if v := score[c.From] + f.beta[c.From][c.Outgoing]; v > score[to] {
				score[to], best[to] = v, c
			}
		}
	}
	var chosen selection
	for at := n; at > 0; at = best[at].From {
		chosen.path = append([]space.Connection{best[at]}, chosen.path...)
	}
	for _, c := range chosen.path[:len(chosen.path)-1] {
		chosen.heads = append(chosen.heads, first(f.head[c.To][c.Incoming]))
		stack := make([]int, len(f.stack[c.To]))
		for layer, row := range f.stack[c.To] {
			stack[layer] = first(row)
		}
		chosen.stacks = append(chosen.stacks, stack)
	}
	return chosen
}

// architecture writes the selection out, skips left out.
func (x selection) architecture(s *space.Space) *space.Architecture {
	path, heads, stacks := []int{0}, []space.Op(nil), [][]space.Op(nil)
	for i, c := range x.path {
		ops := s.HeadOps(c)
		if c.To == len(s.Blocks) {
			heads = append(heads, ops[0])
			break
		}
		path, heads = append(path, c.To), append(heads, ops[x.heads[i]])
		var stack []space.Op
		for _, candidate := range x.stacks[i] {
			stack = append(stack, s.StackOps(c.To)[candidate])
		}
		stacks = append(stacks, stack)
	}
	return s.Network(path, heads, stacks)
}

// cost of the architecture, in ms where costs are latencies. Summands are added in the order of the network, as a table does when it predicts a network,
// so that both come to the same last digit. What is left of a block's stacked layers moves up: the costs are those of the
// first layers, whichever were skipped.
func (x selection) cost(c *objective.Costs) float64 {
	total := c.StemAndFirst
	for i, connection := range x.path {
		if connection.To == len(c.Space.Blocks) {
			total += c.Final[connection.Incoming]
			break
		}
		total += c.Head[connection.To][connection.Incoming][x.heads[i]]
		kept := 0
		for _, candidate := range x.stacks[i] {
			if c.Space.StackCandidates[candidate].Kind != space.Skip {
				total += c.Stack[connection.To][kept][candidate]
				kept++
			}
		}
	}
	return total + c.Classifier + c.Call
}
