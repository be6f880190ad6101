package band

import (
	"math"
	"math/rand/v2"
	"sort"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"
)

const (
	// maxGrid bounds the steps of the grid up to the band's upper end.
	maxGrid = 1 << 16
	// stepsPerTerm is how many steps of the grid the band is wide for each cost that is rounded.
	stepsPerTerm = 2
	// maxTries bounds the draws for one architecture.
	maxTries = 200_000
)

// Sampler draws architectures of a band of latency.
type Sampler struct {
	space     *space.Space
	table     *lut.Table
	costs     *objective.Costs
	low, high float64 // ms
	skips     bool    // stacked layers may be skipped
	step      float64 // of the grid, in ms

	// ways[b][i][t] is the number of ways to go on in block b behind i kept stacked layers that cost t steps; leave[b] of those
	// that leave the block at once.
	ways  [][][]float64
	leave [][]float64
	// totals are the cumulated numbers of architectures that cost first, first+1, … steps.
	first  int
	totals []float64
}

// New prepares to draw from the architectures of a space that a table predicts to take from low to high ms, both included. Bad input
// are a table that lacks ops, and a band that holds no architecture.
func New(s *space.Space, table *lut.Table, low, high float64) (*Sampler, error) {
	costs, err := objective.FromTable(s, table)
	if err != nil {
		return nil, err
	}
	costs = costs.Architectures()
	if !(low <= high) {
		return nil, exit.BadInput("the band from %g to %g ms is empty", low, high)
	}
	fastest, slowest := costs.Fastest(), costs.Slowest()
	none := func() error {
		return exit.BadInput("no architecture of space %s takes %.6g to %.6g ms: they take from %.6g to %.6g ms; widen or move the band", s.Name, low, high, fastest, slowest)
	}
	if high < fastest || low > slowest {
		return nil, none()
	}
	b := &Sampler{space: s, table: table, costs: costs, low: low, high: high}
	for _, c := range s.StackCandidates {
		b.skips = b.skips || c.Kind == space.Skip
	}
	// What every architecture has stands outside the grid.
	fixed := costs.StemAndFirst + costs.Classifier + costs.Call
	low, high = max(low, fastest)-fixed, min(high, slowest)-fixed
	terms := 1.0
	for _, block := range s.Blocks[1:] {
		terms += float64(1 + block.Layers)
	}
	b.step = max((high-low)/(stepsPerTerm*terms), high/maxGrid)
	if !(b.step > 0) {
		b.step = 1 // nothing costs anything
	}
	// Each term is rounded by half a step at most.
	slack := terms/2 + 1
	b.first = max(0, int(math.Floor(low/b.step-slack)))
	b.count(int(math.Ceil(high/b.step+slack)) + 1)
	sum := 0.0
	for _, number := range b.ways[0][0][b.first:] {
		sum += number
		b.totals = append(b.totals, sum)
	}
	if sum == 0 {
		return nil, none()
	}
	return b, nil
}

// steps is a cost on the grid.
func (b *Sampler) steps(ms float64) int { return int(math.Round(ms / b.step)) }

// count fills ways and leave, from the last block to the first, up to a number of steps.
func (b *Sampler) count(limit int) {
	n := len(b.space.Blocks)
	b.ways, b.leave = make([][][]float64, n), make([][]float64, n)
	for block := n - 1; block >= 0; block-- {
		layers := b.space.Blocks[block].Layers
		b.leave[block] = make([]float64, limit)
		for _, c := range b.space.Outgoing(block) {
			if c.To == n {
				if t := b.steps(b.costs.Final[c.Incoming]); t < limit {
					b.leave[block][t]++
				}
				continue
			}
			for _, ms := range b.costs.Head[c.To][c.Incoming] {
				add(b.leave[block], b.ways[c.To][0], b.steps(ms))
			}
		}
		b.ways[block] = make([][]float64, layers+1)
		for i := layers; i >= 0; i-- {
			ways := make([]float64, limit)
			if b.mayLeave(block, i) {
				copy(ways, b.leave[block])
			}
			if i < layers {
				b.eachLayer(block, i, func(_, steps int) { add(ways, b.ways[block][i+1], steps) })
			}
			b.ways[block][i] = ways
		}
	}
}

// mayLeave says whether a block may have that many stacked layers.
func (b *Sampler) mayLeave(block, kept int) bool {
	return b.skips || kept == b.space.Blocks[block].Layers
}

// eachLayer calls f with the candidates of a kept stacked layer and what they cost.
func (b *Sampler) eachLayer(block, i int, f func(candidate, steps int)) {
	for candidate, c := range b.space.StackCandidates {
		if c.Kind != space.Skip {
			f(candidate, b.steps(b.costs.Stack[block][i][candidate]))
		}
	}
}

// add adds numbers of ways that cost so many steps more.
func add(to, from []float64, steps int) {
	for t := steps; t < len(to); t++ {
		to[t] += from[t-steps]
	}
}

// Draw draws one architecture of the band, independent of others. It has the table's prediction. A band that is hit too rarely is bad
// input.
func (b *Sampler) Draw(r *rand.Rand) (*space.Architecture, error) {
	for range maxTries {
		a := b.draw(r)
		total, _, err := b.table.Network(a)
		if err != nil {
			return nil, err
		}
		if total.MS >= b.low && total.MS <= b.high {
			a.Predicted, err = b.table.Predict(a)
			return a, err
		}
	}
	return nil, exit.BadInput("of %d architectures near %.6g to %.6g ms none was within; widen the band", maxTries, b.low, b.high)
}

// draw draws one of the architectures that are counted.
func (b *Sampler) draw(r *rand.Rand) *space.Architecture {
	left := b.first + sort.SearchFloat64s(b.totals, math.Nextafter(r.Float64()*b.totals[len(b.totals)-1], math.Inf(1)))
	path, heads, stacks := []int{0}, []space.Op(nil), [][]space.Op(nil)
	for block, kept := 0, 0; ; {
		// One of all ways to go on that cost what is left: which it is, is decided by its number.
		var next choice
		number := r.Float64() * b.ways[block][kept][left]
		b.onward(block, kept, left, func(c choice) bool {
			next = c
			number -= c.ways
			return number < 0
		})
		left -= next.steps
		switch {
		case next.layer:
			last := len(stacks) - 1
			stacks[last] = append(stacks[last], b.space.StackOps(block)[next.candidate])
			kept++
		case next.connection.To == len(b.space.Blocks):
			return b.space.Network(path, append(heads, b.space.FinalOp(next.connection)), stacks)
		default:
			block, kept = next.connection.To, 0
			path, heads, stacks = append(path, block), append(heads, b.space.HeadOps(next.connection)[next.candidate]), append(stacks, nil)
		}
	}
}

// choice is a way to go on: a stacked layer, or a connection with its head layer.
type choice struct {
	layer      bool
	candidate  int
	connection space.Connection
	steps      int     // that it costs
	ways       float64 // to go on behind it with the rest
}

// onward offers the choices that some way goes on from with exactly the steps that are left, until one is taken.
func (b *Sampler) onward(block, kept, left int, take func(choice) bool) {
	taken := false
	offer := func(c choice, behind []float64) {
		if taken || c.steps > left {
			return
		}
		c.ways = 1
		if behind != nil {
			c.ways = behind[left-c.steps]
		} else if c.steps != left {
			return
		}
		if c.ways > 0 {
			taken = take(c)
		}
	}
	if kept < b.space.Blocks[block].Layers {
		b.eachLayer(block, kept, func(candidate, steps int) {
			offer(choice{layer: true, candidate: candidate, steps: steps}, b.ways[block][kept+1])
		})
	}
	if !b.mayLeave(block, kept) {
		return
	}
	for _, c := range b.space.Outgoing(block) {
		if c.To == len(b.space.Blocks) {
			offer(choice{connection: c, steps: b.steps(b.costs.Final[c.Incoming])}, nil)
			continue
		}
		for candidate, ms := range b.costs.Head[c.To][c.Incoming] {
			offer(choice{candidate: candidate, connection: c, steps: b.steps(ms)}, b.ways[c.To][0])
		}
	}
}

// Different draws architectures that all differ, each uniformly of those that are left, until there are n or, after many draws of
// what was there before, as many as there seem to be.
func (b *Sampler) Different(r *rand.Rand, n int) ([]*space.Architecture, error) {
	var found []*space.Architecture
	seen := map[string]bool{}
	for misses := 0; len(found) < n && misses < 100*(len(found)+10); {
		a, err := b.Draw(r)
		if err != nil {
			return nil, err
		}
		if key := identity(a); seen[key] {
			misses++
		} else {
			seen[key], misses = true, 0
			found = append(found, a)
		}
	}
	return found, nil
}

// identity is equal for equal architectures of a space.
func identity(a *space.Architecture) string {
	var key []byte
	for _, l := range a.Layers {
		key = append(append(key, byte(l.Block+1)), l.Op.Key()...)
	}
	return string(key)
}
