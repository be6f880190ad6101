package profiler

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// bands of the latency range that networks are drawn from in equal numbers.
const bands = 10

// FewestNetworks are needed for a fit with a cross-validation, and a share of the others that says something.
const FewestNetworks = 20

// MaxNetworks of a verification.
const MaxNetworks = 10_000

// DrawNetworks draws n different networks of a space, in equal numbers from ten bands between the fastest and the slowest that
// come up, by the plain sums of a table's entries. Within a band they are spread over paths and candidates: drawn with
// weights exp(-latency/t) of the operations, for many t of either sign, and kept if their band still has room.
func DrawNetworks(t *lut.Table, s *space.Space, n int, seed uint64) ([]*space.Architecture, error) {
	if n < FewestNetworks || n > MaxNetworks {
		return nil, exit.BadInput("%d networks, allowed are %d to %d", n, FewestNetworks, MaxNetworks)
	}
	plain := Unverified(t)
	ms := map[space.Op]float64{}
	highest := 0.0
	for _, c := range s.Ops() {
		if c.Op.Kind == space.Skip { // not in a network
			ms[c.Op] = 0
			continue
		}
		estimate, err := plain.Op(c.Op, nil)
		if err != nil {
			return nil, err
		}
		ms[c.Op] = estimate.MS
		highest = max(highest, estimate.MS)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	draw := func(rate float64) (*space.Architecture, float64, error) {
		a := s.Draw(r, func(op space.Op) float64 { return math.Exp(-rate * ms[op]) })
		total, _, err := plain.Network(a)
		return a, total.MS, err
	}
	// A rate at which the slowest operation is e^20 times less, or more, likely than one that takes no time. Where none takes
	// longer than a call, all are equally likely.
	steepest := 0.0
	if highest > 0 {
		steepest = min(20/highest, math.MaxFloat64)
	}
	low, high := math.Inf(1), 0.0
	for range 20 {
		for _, rate := range []float64{steepest, -steepest} {
			_, latency, err := draw(rate)
			if err != nil {
				return nil, err
			}
			low, high = min(low, latency), max(high, latency)
		}
	}
	var list []*space.Architecture
	seen := map[string]bool{}
	room := make([]int, bands)
	for i := range n {
		room[i%bands]++
	}
	// A space may have few networks, or few of a band: then what comes up fills the place.
	for try := 0; len(list) < n && try < 200*n; try++ {
		u := 2*r.Float64() - 1
		a, latency, err := draw(steepest * u * u * u)
		if err != nil {
			return nil, err
		}
		band := min(max(int(bands*(latency-low)/max(high-low, math.SmallestNonzeroFloat64)), 0), bands-1)
		if name := fmt.Sprint(a.Ops()); !seen[name] && (room[band] > 0 || try >= 100*n) {
			seen[name] = true
			room[band]--
			list = append(list, a)
		}
	}
	if len(list) < FewestNetworks {
		return nil, exit.BadInput("space %s has %d different networks, and %d are needed", s.Name, len(list), FewestNetworks)
	}
	return list, nil
}

// Unverified is a table as it is without its verification.
func Unverified(t *lut.Table) *lut.Table {
	plain := *t
	plain.Verification = nil
	return &plain
}

// Whole is a network as it was measured, and as a table predicts it.
type Whole struct {
	Network *space.Architecture
	// MedianMS is the median of the rounds that count, each divided by how much slower than usual the sentinel was in it.
	MedianMS float64
	// EvenMS and OddMS are the medians of every second of these rounds, of which the difference shows their noise.
	EvenMS, OddMS float64
	Noisy         bool // the time was used up before the interval was narrow enough
	Fitted        bool // in the half that the fit was made on
	SumMS         float64
	PredictedMS   float64
}

// Measured is what is known of the first networks already, and where more of them go.
type Measured struct {
	Networks []NetworkRounds
	// Save gets all that are known after each group; an error ends the measuring. It may be nil.
	Save func([]NetworkRounds) error
}

// MeasureNetworks measures networks as wholes, in groups whose executables are in memory together, in rounds that the sentinel
// watches, as operations are; but for the first ones, where they are known. Compile makes the executable of one; progress is
// called after each step, of which each network has two.
func MeasureNetworks(ctx context.Context, networks []*space.Architecture, compile func(*space.Architecture) (Call, error), sentinel Call, p Policy, known Measured, progress func(note string)) ([]Whole, error) {
	rounds := slices.Clone(known.Networks)
	for range rounds {
		progress("compiled")
		progress("measured")
	}
	if len(rounds) < len(networks) {
		before := past{}
		for _, r := range rounds {
			before.sentinel = append(before.sentinel, r.SentinelMS...)
		}
		b, err := newBench(ctx, sentinel, p, before, wait, time.Now)
		if err != nil {
			return nil, err
		}
		for members := range slices.Chunk(networks[len(rounds):], p.Group) {
			more, err := measureGroup(ctx, b, members, compile, progress)
			if err != nil {
				return nil, err
			}
			rounds = append(rounds, more...)
			if known.Save != nil {
				if err := known.Save(rounds); err != nil {
					return nil, err
				}
			}
		}
	}
	// One reference for all.
	var times []float64
	for _, r := range rounds {
		times = append(times, r.SentinelMS...)
	}
	reference := 0.0
	if len(times) > 0 {
		reference = median(times)
	}
	wholes := make([]Whole, len(networks))
	for i, r := range rounds {
		wholes[i] = r.whole(networks[i], reference)
	}
	return wholes, nil
}

// whole is the network as its rounds say, corrected by how much slower than its reference the sentinel was; 0: as they are.
func (r *NetworkRounds) whole(a *space.Architecture, reference float64) Whole {
	var all, even, odd []float64
	for k, ms := range r.MediansMS {
		if reference > 0 {
			ms *= reference / r.SentinelMS[k]
		}
		all = append(all, ms)
		if k%2 == 0 {
			even = append(even, ms)
		} else {
			odd = append(odd, ms)
		}
	}
	return Whole{Network: a, MedianMS: median(all), EvenMS: median(even), OddMS: median(odd), Noisy: r.Noisy}
}

// references of a verification.
const references = 5

// References chooses networks that tell how fast the device was, spread over the latencies of all: a device does not become slower
// for small networks and large ones alike. Of those that take about as long it is the one that took most nearly what the fit predicts for
// it: others were compiled or measured luckily or unluckily, which is not the device's speed. Those of which too little is known, or that
// are too large to be kept, are left out. The predictions are filled in by [Verify].
func References(wholes []Whole) []lut.Reference {
	var usable []Whole
	for _, w := range wholes {
		if !w.Noisy && w.Network.Parameters() <= lut.MaxReferenceParameters {
			usable = append(usable, w)
		}
	}
	slices.SortStableFunc(usable, func(a, b Whole) int { return cmp.Compare(a.MedianMS, b.MedianMS) })
	off := func(w Whole) float64 { return math.Abs(math.Log(w.MedianMS / w.PredictedMS)) }
	n := min(references, len(usable))
	var chosen []lut.Reference
	for i := range n {
		alike := usable[i*len(usable)/n : (i+1)*len(usable)/n]
		w := slices.MinFunc(alike, func(a, b Whole) int { return cmp.Compare(off(a), off(b)) })
		chosen = append(chosen, lut.Reference{Operations: w.Network.Keys(), MedianMS: w.MedianMS})
	}
	return chosen
}

func measureGroup(ctx context.Context, b *Bench, networks []*space.Architecture, compile func(*space.Architecture) (Call, error), progress func(note string)) ([]NetworkRounds, error) {
	var calls []Call
	defer func() {
		for _, call := range calls {
			call.Close()
		}
	}()
	for _, a := range networks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		call, err := compile(a)
		if err != nil {
			return nil, fmt.Errorf("a network of %d layers: %w", len(a.Layers), err)
		}
		calls = append(calls, call)
		progress("compiled")
	}
	series, err := b.Measure(ctx, calls, nil)
	if err != nil {
		return nil, err
	}
	var rounds []NetworkRounds
	for _, s := range series {
		r := NetworkRounds{MediansMS: s.Medians, Noisy: s.Noisy}
		for k := range s.Rounds {
			if !s.Rounds[k].Discarded && b.watch != nil {
				r.SentinelMS = append(r.SentinelMS, s.Rounds[k].SentinelMS)
			}
		}
		rounds = append(rounds, r)
		progress("measured")
	}
	return rounds, nil
}

// Verify fits a table's entries to one half of measured networks, and holds the fit, and the plain sum, against the other. It
// fills in what the networks are predicted to take. The halves are drawn pair by pair in order of latency, so that both span
// the range.
func Verify(t *lut.Table, s *space.Space, wholes []Whole, seed uint64) (*lut.Verification, error) {
	plain := Unverified(t)
	order := make([]int, len(wholes))
	for i := range wholes {
		total, _, err := plain.Network(wholes[i].Network)
		if err != nil {
			return nil, err
		}
		wholes[i].SumMS = total.MS
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(wholes[a].SumMS, wholes[b].SumMS) })
	r := rand.New(rand.NewPCG(seed, 1))
	var chosen []*space.Architecture
	for i := 0; i < len(order); i += 2 {
		pick := i
		if i+1 < len(order) {
			pick += r.IntN(2)
		}
		wholes[order[pick]].Fitted = true
		chosen = append(chosen, wholes[order[pick]].Network)
	}
	patterns := groups(chosen)
	var fitted []whole
	noise := 0.0
	for i := range wholes {
		w := &wholes[i]
		noise += math.Abs(w.EvenMS-w.OddMS) / w.MedianMS / 2 / float64(len(wholes))
		if !w.Fitted {
			continue
		}
		sums, err := parts(plain, w.Network, patterns)
		if err != nil {
			return nil, err
		}
		fitted = append(fitted, whole{sums, len(w.Network.Ops()), w.MedianMS})
	}
	r.Shuffle(len(fitted), func(i, k int) { fitted[i], fitted[k] = fitted[k], fitted[i] }) // folds should not follow the latency
	v := &lut.Verification{Space: s.Name, Resolution: s.Resolution, Seed: int64(seed), Fit: fit(patterns, fitted), NoiseShare: noise}
	verified := Unverified(t)
	verified.Verification = v
	var sums, predictions, measured []float64
	for i := range wholes {
		w := &wholes[i]
		total, _, err := verified.Network(w.Network)
		if err != nil {
			return nil, err
		}
		w.PredictedMS = total.MS
		if !w.Fitted {
			sums, predictions, measured = append(sums, w.SumMS), append(predictions, w.PredictedMS), append(measured, w.MedianMS)
		}
	}
	v.HeldOut, v.Sum = lut.NewAccuracy(predictions, measured), lut.NewAccuracy(sums, measured)
	if err := verified.Check(); err != nil {
		return nil, fmt.Errorf("entries do not add up to networks, perhaps because most take no longer than a call (%w); measure at a larger resolution or batch", err)
	}
	return v, nil
}
