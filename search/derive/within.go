package derive

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"densenas/internal/exit"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// Limit is what the cost of an architecture may be at most.
type Limit struct {
	Costs *objective.Costs
	Most  float64 // in the costs' unit; math.Inf(1): anything
}

// maxLimits bounds the limits that hold at once.
const maxLimits = 6

// vector has a number for each limit; behind them it is zero.
type vector [maxLimits]float64

// Within derives the most probable architectures whose cost, the sum of their layers' costs and one call, is within every limit:
// of all that are, the top ones, or as many as there are, by
//
//	Σ log softmax(beta) over the connections of its path + Σ log (softmax(alpha)_c / max softmax(alpha)) over the layers on it,
//
// which is the joint probability of the path and of all layers' choices where the layers off the path are left at their most
// probable. The most probable comes first; with limits that Plain's architecture meets, it is that one. Skipped layers cost
// nothing, as they are left out; an architecture, a path with its layers, that several choices of skips lead to counts once, as the
// most probable of them.
//
// The search is exact. It extends partial networks layer by layer and drops one only where as many others as are wanted, at the
// same place, are at least as probable and cost no more, or where a bound on what can follow shows that it cannot be within the
// limits or not better than as many networks already known. The bounds are Lagrangian: the most that log-probability − λ·cost can
// reach from a place on, for several prices λ.
//
// Parameters that do not fit the space are bad input, and so are a limit below the cheapest architecture and limits that no
// architecture meets together. There are at most maxLimits limits.
func Within(s *space.Space, p *space.Parameters, limits []Limit, top int) ([]*space.Architecture, error) {
	if err := p.Check(s); err != nil {
		return nil, exit.AsBadInput(err)
	}
	if len(limits) == 0 || len(limits) > maxLimits {
		return nil, exit.BadInput("%d limits hold at once, allowed are 1 to %d", len(limits), maxLimits)
	}
	if top < 1 || top > MaxTop {
		return nil, exit.BadInput("%d architectures are wanted, allowed are 1 to %d", top, MaxTop)
	}
	limits = slices.Clone(limits)
	for i, l := range limits {
		limits[i].Costs = l.Costs.Architectures()
		unit := l.Costs.Unit
		if math.IsNaN(l.Most) {
			return nil, exit.BadInput("the limit is not a number of %s", unit)
		}
		if least := l.Costs.Fastest(); l.Most < least {
			return nil, exit.BadInput("no architecture of space %s needs %.6g %s or less: the least is %s %s; raise the limit to that at least",
				s.Name, l.Most, unit, roundedUp(least), unit)
		}
	}
	var found []*space.Architecture
	for _, chosen := range newSearch(newPreferences(s, p), limits, top).best() {
		found = append(found, chosen.architecture(s))
	}
	if len(found) == 0 {
		return nil, exit.BadInput("no architecture of space %s is within all limits at once; raise one of them", s.Name)
	}
	return found, nil
}

// MaxTop bounds how many architectures are derived at once.
const MaxTop = 1000

// roundedUp writes a positive number with five significant digits that are not less than it.
func roundedUp(v float64) string {
	if v == 0 {
		return "0"
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-4)
	return fmt.Sprintf("%.5g", math.Ceil(v/unit)*unit)
}

// place is where a partial network can stand: in a block before the stacked layer of that number, with so many of the layers
// before kept. A kept layer costs what the first free layer of the block does (see selection.cost). Where all layers of a
// block cost the same, kept is always 0.
type place struct{ block, layer, kept int }

// search is one run of Within.
type search struct {
	*preferences
	costs []*objective.Costs
	limit vector
	top   int
	slots [][]int // [block][layer]: number of places' kept before that layer; 0 in no block
	skip  int     // index of the skip among the stack candidates, -1 for none
	// cheapest bounds what follows by each cost alone, priced by probability at several prices of all of them.
	cheapest []bound
	priced   []bound
	// known are the most probable networks within the limits that are known, the best first, top of them at most.
	known []ranked
}

// ranked is a network with its log-probability; key tells it from others.
type ranked struct {
	selection
	score float64
	key   string
}

// bound is the largest value of probability·Σlog-probability − Σ price·cost of what follows a place, classifier and call included.
type bound struct {
	probability float64
	price       vector
	values      [][][]float64 // by place
}

func newSearch(f *preferences, limits []Limit, top int) *search {
	x := &search{preferences: f, top: top}
	for i, l := range limits {
		// What nothing exceeds is a limit like others; bounds need a number.
		x.costs, x.limit[i] = append(x.costs, l.Costs), min(l.Most, 1.001*l.Costs.Slowest())
	}
	x.skip = slices.IndexFunc(f.space.StackCandidates, func(c space.Candidate) bool { return c.Kind == space.Skip })
	for b, block := range f.space.Blocks {
		slots := make([]int, block.Layers+1)
		for layer := range slots {
			slots[layer] = 1
			if b > 0 && slices.ContainsFunc(x.costs, func(c *objective.Costs) bool { return !alike(c.Stack[b]) }) {
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

// of collects a number of each cost.
func (x *search) of(number func(c *objective.Costs) float64) (v vector) {
	for i, c := range x.costs {
		v[i] = number(c)
	}
	return v
}

func (v vector) plus(w vector) vector {
	for i := range v {
		v[i] += w[i]
	}
	return v
}

// dot is Σ v·w.
func (v vector) dot(w vector) float64 {
	total := 0.0
	for i := range v {
		total += v[i] * w[i]
	}
	return total
}

// within says that no element is above that of the limit.
func (v vector) within(limit vector) bool {
	for i := range v {
		if v[i] > limit[i] {
			return false
		}
	}
	return true
}

// headCost is a head layer's.
func (x *search) headCost(c space.Connection, candidate int) vector {
	return x.of(func(costs *objective.Costs) float64 { return costs.Head[c.To][c.Incoming][candidate] })
}

// finish adds what follows the last block, in the order of selection.cost.
func (x *search) finish(before vector, c space.Connection) vector {
	for i, costs := range x.costs {
		before[i] = before[i] + costs.Final[c.Incoming] + costs.Classifier + costs.Call
	}
	return before
}

// next is the place behind a stacked layer, with what its choice costs.
func (x *search) next(at place, candidate int) (place, vector) {
	to := place{at.block, at.layer + 1, at.kept}
	if candidate == x.skip {
		return to, vector{}
	}
	if x.slots[at.block][to.layer] > 1 {
		to.kept++
	}
	return to, x.of(func(c *objective.Costs) float64 { return c.Stack[at.block][at.kept][candidate] })
}

// bound computes the values from the last block to the first.
func (x *search) bound(probability float64, price vector) bound {
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
			if v := base - b.price.dot(x.finish(vector{}, c)); v > value {
				connection, head, value = c, 0, v
			}
			continue
		}
		base += b.values[c.To][0][0]
		for i, preference := range x.head[c.To][c.Incoming] {
			if v := base + b.probability*preference - b.price.dot(x.headCost(c, i)); v > value {
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
		to, cost := x.next(at, i)
		if v := b.probability*preference - b.price.dot(cost) + b.values[to.block][to.layer][to.kept]; v > value {
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

// key is equal for selections that make the same network: their skips do not count.
func (x *search) key(chosen selection) string {
	var key []byte
	for i, c := range chosen.path {
		key = append(key, byte(c.To), 0xff)
		if c.To == len(x.space.Blocks) {
			break
		}
		key = append(key, byte(chosen.heads[i]))
		for _, candidate := range chosen.stacks[i] {
			if candidate != x.skip {
				key = append(key, byte(candidate))
			}
		}
		key = append(key, 0xff)
	}
	return string(key)
}

// offer keeps a selection that is within the limits and better than one of those known, and says whether it is within.
func (x *search) offer(chosen selection) bool {
	if !x.of(chosen.cost).within(x.limit) {
		return false
	}
	score := x.logProbability(chosen)
	if len(x.known) == x.top && score <= x.known[x.top-1].score {
		return true
	}
	key := x.key(chosen)
	if i := slices.IndexFunc(x.known, func(r ranked) bool { return r.key == key }); i >= 0 {
		if score <= x.known[i].score {
			return true
		}
		x.known = slices.Delete(x.known, i, i+1)
	}
	at := len(x.known)
	for at > 0 && score > x.known[at-1].score {
		at--
	}
	x.known = slices.Insert(x.known, at, ranked{chosen, score, key})
	x.known = x.known[:min(len(x.known), x.top)]
	return true
}

// prepare computes the bounds, around the prices at which the best value is just within the limits, and first networks.
func (x *search) prepare() {
	for i := range x.costs {
		var price vector
		price[i] = 1
		x.cheapest = append(x.cheapest, x.bound(0, price))
		x.offer(x.optimum(x.cheapest[i]))
	}
	var price vector
	rounds := 1
	if len(x.costs) > 1 {
		rounds = 4 // each price depends on the others
		x.offerMixtures()
	}
	for range rounds {
		for i := range x.costs {
			price[i] = x.priceOf(i, price)
		}
	}
	for _, factor := range []float64{0, 0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.4, 2, 4} {
		scaled := price
		for i := range scaled {
			scaled[i] *= factor
		}
		x.priced = append(x.priced, x.bound(1, scaled))
		if scaled == price && factor == 0 {
			break // the limits exclude nothing that is probable, and all prices are the same
		}
	}
	x.offerNeighbours()
}

// priceOf is about the least price of a cost, those of the others given, at which the best value keeps that cost's limit. On the
// way it offers what it meets.
func (x *search) priceOf(i int, price vector) float64 {
	kept := func(p float64) bool {
		price[i] = p
		chosen := x.optimum(x.bound(1, price))
		x.offer(chosen)
		return chosen.cost(x.costs[i]) <= x.limit[i]
	}
	if kept(0) {
		return 0
	}
	low, high := 0.0, 1.0
	for range 100 {
		if kept(high) {
			break
		}
		low, high = high, 2*high
	}
	for range 40 {
		if middle := (low + high) / 2; kept(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// offerMixtures offers networks that are cheap by several costs at once, each as a share of its limit.
func (x *search) offerMixtures() {
	const steps = 8
	for i := range x.costs {
		for j := range i {
			for step := range steps {
				var price vector
				price[i] = float64(step) * x.limit[j]
				price[j] = float64(steps-step) * x.limit[i]
				x.offer(x.optimum(x.bound(0, price)))
			}
		}
	}
}

// offerNeighbours offers networks that differ in one layer from the best known, until as many are known as are wanted: bounds
// exclude nothing before.
func (x *search) offerNeighbours() {
	if x.top == 1 {
		return
	}
	expanded := map[string]bool{}
	for range x.top {
		i := slices.IndexFunc(x.known, func(r ranked) bool { return !expanded[r.key] })
		if i < 0 {
			return
		}
		at := x.known[i]
		expanded[at.key] = true
		for j := range at.heads {
			c := at.path[j]
			for head := range x.head[c.To][c.Incoming] {
				other := at.selection
				other.heads = slices.Clone(at.heads)
				other.heads[j] = head
				x.offer(other)
			}
			for layer, row := range x.stack[c.To] {
				for candidate := range row {
					other := at.selection
					other.stacks = slices.Clone(at.stacks)
					other.stacks[j] = slices.Clone(at.stacks[j])
					other.stacks[j][layer] = candidate
					x.offer(other)
				}
			}
		}
	}
}

// label is a partial network: what it costs and how probable it is up to a place, and the step that led there.
type label struct {
	cost           vector
	logProbability float64
	network        int32 // equal for labels of the same partial network, whichever layers were skipped
	from           int32 // index of the label before, -1 for none
	incoming       int16 // of the connection into the block, or -1: the step chose a stacked layer
	candidate      int16
	block          int16
}

// hopeless says that a partial network cannot become one that is within the limits and better than those known. Bounds are
// summed in another order than networks, so they count only beyond rounding.
func (x *search) hopeless(at place, cost vector, logProbability float64) bool {
	const rounding = 1e-9
	for i, b := range x.cheapest {
		if cost[i]-b.values[at.block][at.layer][at.kept] > x.limit[i]+rounding*math.Abs(x.limit[i]) {
			return true
		}
	}
	if len(x.known) < x.top {
		return false
	}
	score := x.known[x.top-1].score
	for _, b := range x.priced {
		free, scale := 0.0, 0.0
		for i := range x.costs {
			free += b.price[i] * (x.limit[i] - cost[i])
			scale += b.price[i] * math.Abs(x.limit[i])
		}
		if logProbability+b.values[at.block][at.layer][at.kept]+free < score-rounding*(1+math.Abs(score)+scale) {
			return true
		}
	}
	return false
}

// undominated keeps the labels of a place that fewer than top others, of other networks, equal or beat in probability and every
// cost. Of labels of one network, which cost the same, it keeps the most probable. The order is that of the first cost.
func (x *search) undominated(labels []label) []label {
	slices.SortStableFunc(labels, func(a, b label) int {
		return cmp.Or(cmp.Compare(a.cost[0], b.cost[0]), cmp.Compare(b.logProbability, a.logProbability))
	})
	kept := labels[:0]
	if x.top == 1 && len(x.costs) == 1 { // one comparison each
		for _, l := range labels {
			if len(kept) == 0 || l.logProbability > kept[len(kept)-1].logProbability {
				kept = append(kept, l)
			}
		}
		return kept
	}
	seen := make(map[int32]bool, len(labels))
	var highest []float64 // of the log-probabilities of those kept, top of them at most, ascending
	for _, l := range labels {
		if seen[l.network] {
			continue
		}
		seen[l.network] = true // sorted: the first of a network is its most probable
		if len(x.costs) == 1 {
			at, _ := slices.BinarySearch(highest, l.logProbability)
			if len(highest) == x.top {
				if l.logProbability <= highest[0] {
					continue
				}
				highest, at = slices.Delete(highest, 0, 1), at-1
			}
			highest = slices.Insert(highest, at, l.logProbability)
			kept = append(kept, l)
			continue
		}
		better := 0
		for _, k := range kept {
			if k.logProbability >= l.logProbability && k.cost.within(l.cost) {
				if better++; better == x.top {
					break
				}
			}
		}
		if better < x.top {
			kept = append(kept, l)
		}
	}
	return kept
}

// networks numbers partial networks.
type networks map[networkStep]int32

// networkStep is a partial network, longer by a head layer, or by a stacked layer that is not skipped.
type networkStep struct {
	before                     int32
	block, incoming, candidate int16
}

func (n networks) number(step networkStep) int32 {
	number, there := n[step]
	if !there {
		number = int32(len(n) + 1)
		n[step] = number
	}
	return number
}

// best runs the search.
func (x *search) best() []selection {
	// Nothing is more probable than the plain one.
	if within := x.offer(x.plain()); !within || x.top > 1 {
		x.prepare()
		x.extend()
	}
	var found []selection
	for _, r := range x.known {
		found = append(found, r.selection)
	}
	return found
}

// extend extends partial networks from block to block and offers those that become whole.
func (x *search) extend() {
	n := len(x.space.Blocks)
	numbers := networks{}
	arena := []label{{cost: x.of(func(c *objective.Costs) float64 { return c.StemAndFirst }), from: -1}}
	leaving := make([][2]int, n) // the part of the arena with the labels that leave a block
	leaving[0] = [2]int{0, 1}
	for block := 1; block <= n; block++ {
		entering := x.enter(block, arena, leaving, numbers)
		if block == n {
			for _, l := range x.undominated(entering) {
				x.offer(x.trace(append(arena, l)))
			}
			return
		}
		// by kept; labels move from layer to layer
		current := [][]label{x.undominated(entering)}
		for layer := range x.space.Blocks[block].Layers {
			following := make([][]label, x.slots[block][layer+1])
			for kept, labels := range current {
				for _, l := range labels {
					arena = append(arena, l)
					for candidate, preference := range x.stack[block][layer] {
						to, cost := x.next(place{block, layer, kept}, candidate)
						longer := label{cost: l.cost.plus(cost), logProbability: l.logProbability + preference, network: l.network,
							from: int32(len(arena) - 1), incoming: -1, candidate: int16(candidate), block: int16(block)}
						if x.hopeless(to, longer.cost, longer.logProbability) {
							continue
						}
						if candidate != x.skip {
							longer.network = numbers.number(networkStep{l.network, int16(block), -1, int16(candidate)})
						}
						following[to.kept] = append(following[to.kept], longer)
					}
				}
			}
			for kept := range following {
				following[kept] = x.undominated(following[kept])
			}
			current = following
		}
		start := len(arena)
		arena = append(arena, x.undominated(slices.Concat(current...))...)
		leaving[block] = [2]int{start, len(arena)}
	}
}

// enter extends the labels that leave the blocks before by a head layer; those that enter the final convolution are whole.
func (x *search) enter(block int, arena []label, leaving [][2]int, numbers networks) []label {
	var entering []label
	for _, c := range x.space.Incoming(block) {
		for i := leaving[c.From][0]; i < leaving[c.From][1]; i++ {
			l := arena[i]
			longer := label{logProbability: l.logProbability + x.beta[c.From][c.Outgoing], from: int32(i), incoming: int16(c.Incoming), block: int16(block)}
			if block == len(x.space.Blocks) {
				longer.cost = x.finish(l.cost, c)
				if longer.cost.within(x.limit) {
					longer.network = numbers.number(networkStep{l.network, int16(block), int16(c.Incoming), 0})
					entering = append(entering, longer)
				}
				continue
			}
			for candidate, preference := range x.head[block][c.Incoming] {
				head := longer
				head.cost, head.candidate = l.cost.plus(x.headCost(c, candidate)), int16(candidate)
				head.logProbability += preference
				if !x.hopeless(place{block: block}, head.cost, head.logProbability) {
					head.network = numbers.number(networkStep{l.network, int16(block), int16(c.Incoming), int16(candidate)})
					entering = append(entering, head)
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
