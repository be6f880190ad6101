package profiler

import (
	"cmp"
	"context"
	"slices"
	"time"

	"densenas/supernet/space"
)

// SentinelOf chooses the operation that tells how steady the device is: of a plan's residuals, or of all operations
// where there are none, the one of middling cost. It depends on the operations alone, not on their order.
func SentinelOf(items []space.OpCount) (op space.Op, ok bool) {
	var ops []space.Op
	for _, item := range items {
		if item.Op.Kind == space.MBConv || item.Op.Kind == space.Basic {
			ops = append(ops, item.Op)
		}
	}
	if len(ops) == 0 {
		for _, item := range items {
			ops = append(ops, item.Op)
		}
	}
	if len(ops) == 0 {
		return space.Op{}, false
	}
	slices.SortFunc(ops, func(a, b space.Op) int {
		return cmp.Or(cmp.Compare(a.MultiplyAdds(), b.MultiplyAdds()), cmp.Compare(a.Key(), b.Key()))
	})
	return ops[len(ops)/2], true
}

// SentinelNetwork chooses the one of middling cost of networks, by their multiply-adds: it tells how steady the device is while
// whole networks are measured. There has to be one.
func SentinelNetwork(networks []*space.Architecture) *space.Architecture {
	sorted := slices.SortedStableFunc(slices.Values(networks), func(a, b *space.Architecture) int {
		return cmp.Compare(a.MultiplyAdds(), b.MultiplyAdds())
	})
	return sorted[len(sorted)/2]
}

const (
	// checkLaps are timed at a check of the sentinel.
	checkLaps = 2
	// longLap is that of a sentinel which brings its data into the caches by itself, and of which one tells enough.
	longLap = 5 * time.Millisecond
	// checkEvery is how long turns go on within a round without a check.
	checkEvery = 20 * time.Millisecond
	// farOff is the deviation of the sentinel that its correction is not trusted beyond: operations do not all become slower by
	// the same factor.
	farOff = 0.5
	// maxMargin bounds how far a noisy sentinel may be off, so that a neighbour that takes half of a processor is seen.
	maxMargin = 0.5
	// calibration is the number of checks before the first round.
	calibration = 9
	// fasterRounds in succession show that the device was slower before than it can be.
	fasterRounds = 3
)

// watch is the sentinel: its time tells whether the device is as it was. Neighbours and throttling make it slower. What it is
// compared with is its median over the rounds that count; when it becomes faster than that for several rounds, the device was
// disturbed from the start, and the comparison starts again from there.
type watch struct {
	subject *subject
	before  int       // calls before it is timed, at least: as many as others have before their laps
	times   []float64 // ms, of the rounds that count; sorted
	faster  []float64 // ms, of the last rounds in succession that were faster than the reference allows
}

// newWatch warms the sentinel up. Times of earlier rounds, if there are any, are what it is compared with.
func newWatch(ctx context.Context, s *subject, earlier []float64, p Policy, rest func()) (*watch, error) {
	if err := warmUp(ctx, p, s); err != nil {
		return nil, err
	}
	w := &watch{subject: s, before: p.Refresh, times: slices.Sorted(slices.Values(earlier))}
	if len(w.times) > 0 {
		return w, nil
	}
	for range calibration {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ms, err := w.check(rest)
		if err != nil {
			return nil, err
		}
		w.add(ms)
	}
	return w, nil
}

// check is the time of the sentinel now, in ms.
func (w *watch) check(rest func()) (float64, error) {
	rest()
	ms, err := w.subject.refresh(w.before)
	if err != nil {
		return 0, err
	}
	laps := checkLaps
	if ms >= milliseconds(longLap) {
		if w.before == 0 {
			return rounded(ms), nil
		}
		laps = 1
	}
	// The mean, because a neighbour that shares the processor interrupts some laps and leaves others as they are.
	total := 0.0
	for range laps {
		ms, _, err := w.subject.lap(0)
		if err != nil {
			return 0, err
		}
		total += ms
	}
	return rounded(total / float64(laps)), nil
}

// reference is what the sentinel is compared with, in ms.
func (w *watch) reference() float64 {
	return (w.times[(len(w.times)-1)/2] + w.times[len(w.times)/2]) / 2
}

// slow says whether a time of the sentinel shows that the device is not as it was.
func (w *watch) slow(ms float64, p Policy) bool { return ms > (1+w.margin(p))*w.reference() }

// margin is how far the sentinel may be off, relative: by the policy, or by three standard deviations of its own, if it is
// short and so noisier than that. The deviation is taken from the quartiles, which outliers do not move.
func (w *watch) margin(p Policy) float64 {
	const fewest, normal, deviations = 8, 1.349, 3 // normal: distance of the quartiles of a normal distribution
	n := len(w.times)
	if n < fewest {
		return p.Off
	}
	return min(max(p.Off, deviations*(w.times[3*n/4]-w.times[n/4])/normal/w.reference()), maxMargin)
}

// add takes the time of a round that counts.
func (w *watch) add(ms float64) {
	at, _ := slices.BinarySearch(w.times, ms)
	w.times = slices.Insert(w.times, at, ms)
}

// follow takes the time of any round, and says whether the reference was too slow and has started again: then earlier rounds
// have to be judged anew.
func (w *watch) follow(ms float64, p Policy) bool {
	if ms >= (1-w.margin(p))*w.reference() {
		w.faster = w.faster[:0]
		return false
	}
	if w.faster = append(w.faster, ms); len(w.faster) < fasterRounds {
		return false
	}
	w.times = slices.Sorted(slices.Values(w.faster))
	w.faster = w.faster[:0]
	return true
}
