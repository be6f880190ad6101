package derive

import (
	"fmt"
	"math"
	"slices"

	"densenas/internal/exit"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// Within derives the most probable architecture whose latency, the sum of its layers' costs and one call, is at most limit
// (ms): of all that are within, one that maximizes
//
//	Σ log softmax(beta) over the connections of its path + Σ log (softmax(alpha)_c / max softmax(alpha)) over the layers on it,
//
// which is the joint probability of the path and of all layers' choices where the layers off the path are left at their most
// probable. With a limit that Plain's architecture meets, it is that one. Skipped layers take no time, as they are left out.
//
// The search is exact. It extends partial networks layer by layer and drops one only where another one at the same place is at
// least as probable and as fast, or where a bound on what can follow shows that it cannot be within the limit or not better than
// a network already known. The bounds are Lagrangian: the most that log-probability − λ·latency can reach from a place on, for
// several prices λ of a millisecond.
//
// Parameters that do not fit the space are bad input, and so is a limit below the fastest architecture.
func Within(s *space.Space, p *space.Parameters, costs *objective.Costs, limit float64) (*space.Architecture, error) {
	if err := p.Check(s); err != nil {
		return nil, exit.AsBadInput(err)
	}
	if math.IsNaN(limit) {
		return nil, exit.BadInput("the latency limit is not a number of milliseconds")
	}
	if fastest := costs.Fastest(); limit < fastest {
		return nil, exit.BadInput("no architecture of space %s takes %.6g ms or less: the fastest takes %s ms; raise the limit to that at least",
			s.Name, limit, roundedUp(fastest))
	}
	f := newPreferences(s, p)
	chosen := f.plain()
	if chosen.latency(costs) > limit {
		chosen = newSearch(f, costs, limit).best()
	}
	return chosen.architecture(s), nil
}

// roundedUp writes a positive number with five significant digits that are not less than it.
func roundedUp(v float64) string {
	if v == 0 {
		return "0"
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-4)
	return fmt.Sprintf("%.5g", math.Ceil(v/unit)*unit)
}

// place is where a partial network can stand: in a block before the stacked layer of that number, with so many of the layers
// before kept. A kept layer costs what the first free layer of the block does (see selection.latency). Where all layers of a
// block cost the same, kept is always 0.
type place struct{ block, layer, kept int }

// search is one run of Within.
type search struct {
	*preferences
	costs *objective.Costs
	limit float64
	slots [][]int // [block][layer]: number of places' kept before that layer; 0 in no block
	skip  int     // index of the skip among the stack candidates, -1 for none
	// fastest bounds what follows by latency alone, priced by probability at each of several prices.
	fastest bound
	priced  []bound
	// known is a network within the limit, known whether there is one; score is its.
	incumbent selection
	known     bool
	score     float64
}

// bound is the largest value of probability·Σlog-probability − price·Σlatency of what follows a place, classifier and call included.
type bound struct {
	probability, price float64
	values             [][][]float64 // by place
}

func newSearch(f *preferences, costs *objective.Costs, limit float64) *search {
	x := &search{preferences: f, costs: costs, limit: limit, score: math.Inf(-1)}
	x.skip = slices.IndexFunc(f.space.StackCandidates, func(c space.Candidate) bool { return c.Kind == space.Skip })
	for b, block := range f.space.Blocks {
		slots := make([]int, block.Layers+1)
		for layer := range slots {
			slots[layer] = 1
			if b > 0 && !alike(costs.Stack[b]) {
				slots[layer] = layer + 1
			}
		}
		x.slots = append(x.slots, slots)
	}
	return x
}

func alike(rows [][]float64) bool {
	return !slices.ContainsFunc(rows, func(row []float64) bool { return !slices.Equal(row, rows[0]) })
}

// next is the place behind a stacked layer, with what its choice costs.
func (x *search) next(at place, candidate int) (place, float64) {
	to := place{at.block, at.layer + 1, at.kept}
	if candidate == x.skip {
		return to, 0
	}
	if x.slots[at.block][to.layer] > 1 {
		to.kept++
	}
	return to, x.costs.Stack[at.block][at.kept][candidate]
}

// bound computes the values from the last block to the first.
func (x *search) bound(probability, price float64) bound {
	b := bound{probability, price, make([][][]float64, len(x.space.Blocks))}
	for block := len(x.space.Blocks) - 1; block >= 0; block-- {
		layers := x.space.Blocks[block].Layers
		b.values[block] = make([][]float64, layers+1)
		for layer := layers; layer >= 0; layer-- {
			b.values[block][layer] = make([]float64, x.slots[block][layer])
			for kept := range b.values[block][layer] {
				at := place{block, layer, kept}
				if layer == layers {
					_, _, b.values[block][layer][kept] = x.bestConnection(b, block)
				} else {
					_, b.values[block][layer][kept] = x.bestLayer(b, at)
				}
			}
		}
	}
	return b
}

// bestConnection is the best way out of a block for a bound.
func (x *search) bestConnection(b bound, block int) (connection space.Connection, head int, value float64) {
	value = math.Inf(-1)
	for _, c := range x.space.Outgoing(block) {
		base := b.probability * x.beta[block][c.Outgoing]
		if c.To == len(x.space.Blocks) {
			if v := base - b.price*(x.costs.Final[c.Incoming]+x.costs.Classifier+x.costs.Call); v > value {
				connection, head, value = c, 0, v
			}
			continue
		}
		base += b.values[c.To][0][0]
		for i, ms := range x.costs.Head[c.To][c.Incoming] {
			if v := base + b.probability*x.head[c.To][c.Incoming][i] - b.price*ms; v > value {
				connection, head, value = c, i, v
			}
		}
	}
	return connection, head, value
}

// bestLayer is the best candidate of a stacked layer for a bound.
func (x *search) bestLayer(b bound, at place) (candidate int, value float64) {
	value = math.Inf(-1)
	for i, preference := range x.stack[at.block][at.layer] {
		to, ms := x.next(at, i)
		if v := b.probability*preference - b.price*ms + b.values[to.block][to.layer][to.kept]; v > value {
			candidate, value = i, v
		}
	}
	return candidate, value
}

// optimum is the selection that reaches a bound's value from the first block on.
func (x *search) optimum(b bound) selection {
	var chosen selection
	for block := 0; ; {
		c, head, _ := x.bestConnection(b, block)
		chosen.path = append(chosen.path, c)
		if c.To == len(x.space.Blocks) {
			return chosen
		}
		block = c.To
		var stack []int
		at := place{block: block}
		for at.layer < x.space.Blocks[block].Layers {
			candidate, _ := x.bestLayer(b, at)
			stack = append(stack, candidate)
			at, _ = x.next(at, candidate)
		}
		chosen.heads, chosen.stacks = append(chosen.heads, head), append(chosen.stacks, stack)
	}
}

// logProbability of a selection, as Within has it.
func (f *preferences) logProbability(x selection) float64 {
	total := 0.0
	for i, c := range x.path {
		total += f.beta[c.From][c.Outgoing]
		if c.To == len(f.space.Blocks) {
			break
		}
		total += f.head[c.To][c.Incoming][x.heads[i]]
		for layer, candidate := range x.stacks[i] {
			total += f.stack[c.To][layer][candidate]
		}
	}
	return total
}

// offer keeps a selection that is within the limit and better than the one known, and says whether it is within.
func (x *search) offer(chosen selection) bool {
	if chosen.latency(x.costs) > x.limit {
		return false
	}
	if score := x.logProbability(chosen); !x.known || score > x.score {
		x.incumbent, x.score, x.known = chosen, score, true
	}
	return true
}

// prepare computes the bounds, around the price at which the best value is just within the limit, and a first network.
func (x *search) prepare() {
	x.fastest = x.bound(0, 1)
	x.offer(x.optimum(x.fastest))
	low, high := 0.0, 1.0
	for range 100 {
		if x.offer(x.optimum(x.bound(1, high))) {
			break
		}
		low, high = high, 2*high
	}
	for range 40 {
		if middle := (low + high) / 2; x.offer(x.optimum(x.bound(1, middle))) {
			high = middle
		} else {
			low = middle
		}
	}
	for _, factor := range []float64{0, 0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.4, 2, 4} {
		x.priced = append(x.priced, x.bound(1, factor*high))
	}
}

// label is a partial network: what it costs and how probable it is up to a place, and the step that led there.
type label struct {
	latency, logProbability float64
	from                    int32 // index of the label before, -1 for none
	incoming                int16 // of the connection into the block, or -1: the step chose a stacked layer
	candidate               int16
	block                   int16
}

// hopeless says that a partial network cannot become one that is within the limit and better than the one known. Bounds are
// summed in another order than networks, so they count only beyond rounding.
func (x *search) hopeless(at place, latency, logProbability float64) bool {
	const rounding = 1e-9
	if latency-x.fastest.values[at.block][at.layer][at.kept] > x.limit+rounding*math.Abs(x.limit) {
		return true
	}
	if !x.known {
		return false
	}
	for _, b := range x.priced {
		most := logProbability + b.values[at.block][at.layer][at.kept] + b.price*(x.limit-latency)
		if most < x.score-rounding*(1+math.Abs(x.score)+b.price*math.Abs(x.limit)) {
			return true
		}
	}
	return false
}

// undominated sorts labels by latency and keeps those that are more probable than all that are as fast.
func undominated(labels []label) []label {
	slices.SortStableFunc(labels, func(a, b label) int {
		switch {
		case a.latency != b.latency:
			if a.latency < b.latency {
				return -1
			}
			return 1
		case a.logProbability > b.logProbability:
			return -1
		case a.logProbability < b.logProbability:
			return 1
		}
		return 0
	})
	kept := labels[:0]
	for _, l := range labels {
		if len(kept) == 0 || l.logProbability > kept[len(kept)-1].logProbability {
			kept = append(kept, l)
		}
	}
	return kept
}

// best runs the search. There is a network within the limit: the fastest.
func (x *search) best() selection {
	x.prepare()
	n := len(x.space.Blocks)
	arena := []label{{latency: x.costs.StemAndFirst, from: -1}}
	leaving := make([][2]int, n) // the part of the arena with the labels that leave a block
	leaving[0] = [2]int{0, 1}
	for block := 1; block <= n; block++ {
		entering := x.enter(block, arena, leaving)
		if block == n {
			for _, l := range undominated(entering) {
				x.offer(x.trace(append(arena, l)))
			}
			break
		}
		// by kept; labels move from layer to layer
		current := [][]label{undominated(entering)}
		for layer := range x.space.Blocks[block].Layers {
			following := make([][]label, x.slots[block][layer+1])
			for kept, labels := range current {
				for _, l := range labels {
					arena = append(arena, l)
					for candidate, preference := range x.stack[block][layer] {
						to, ms := x.next(place{block, layer, kept}, candidate)
						latency, logProbability := l.latency+ms, l.logProbability+preference
						if !x.hopeless(to, latency, logProbability) {
							following[to.kept] = append(following[to.kept], label{latency, logProbability, int32(len(arena) - 1), -1, int16(candidate), int16(block)})
						}
					}
				}
			}
			for kept := range following {
				following[kept] = undominated(following[kept])
			}
			current = following
		}
		start := len(arena)
		arena = append(arena, undominated(slices.Concat(current...))...)
		leaving[block] = [2]int{start, len(arena)}
	}
	return x.incumbent
}

// enter extends the labels that leave the blocks before by a head layer; those that enter the final convolution are whole.
func (x *search) enter(block int, arena []label, leaving [][2]int) []label {
	var entering []label
	for _, c := range x.space.Incoming(block) {
		for i := leaving[c.From][0]; i < leaving[c.From][1]; i++ {
			l := arena[i]
			logProbability := l.logProbability + x.beta[c.From][c.Outgoing]
			if block == len(x.space.Blocks) {
				// In the order of selection.latency.
				latency := l.latency + x.costs.Final[c.Incoming] + x.costs.Classifier + x.costs.Call
				if latency <= x.limit {
					entering = append(entering, label{latency, logProbability, int32(i), int16(c.Incoming), 0, int16(block)})
				}
				continue
			}
			for candidate, ms := range x.costs.Head[block][c.Incoming] {
				latency, logProbability := l.latency+ms, logProbability+x.head[block][c.Incoming][candidate]
				if !x.hopeless(place{block: block}, latency, logProbability) {
					entering = append(entering, label{latency, logProbability, int32(i), int16(c.Incoming), int16(candidate), int16(block)})
				}
			}
		}
	}
	return entering
}

// trace follows the last label back to the first block.
func (x *search) trace(arena []label) selection {
	var chosen selection
	var stack []int
	for l := arena[len(arena)-1]; l.from >= 0; l = arena[l.from] {
		if l.incoming < 0 {
			stack = append(stack, int(l.candidate))
			continue
		}
		chosen.path = append(chosen.path, x.space.Incoming(int(l.block))[l.incoming])
		if int(l.block) < len(x.space.Blocks) {
			slices.Reverse(stack)
			chosen.heads, chosen.stacks = append(chosen.heads, int(l.candidate)), append(chosen.stacks, stack)
			stack = nil
		}
	}
	slices.Reverse(chosen.path)
	slices.Reverse(chosen.heads)
	slices.Reverse(chosen.stacks)
	return chosen
}
