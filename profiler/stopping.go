package profiler

import (
	"math"
	"time"
)

// look says whether an interval is looked at after so many rounds: after the first ones, and each time that their number has
// doubled. A rule that looked after every round would stop where the interval happens to be narrow, and its intervals would
// hold the median less often than they say.
func look(rounds, first int) bool {
	for rounds > first && rounds%2 == 0 {
		rounds /= 2
	}
	return rounds == first
}

// hopeful is the number of rounds from which on an executable ends at a look that shows that its limit will not do.
const hopeful = 40

// stop is the rule that ends the sampling of an executable, from the medians of its rounds that count, and the time that they
// took. Before the rounds have spanned enough time, only their greatest number ends it. Noisy says that it ended before the interval
// was narrow enough.
func stop(medians []float64, spent time.Duration, spanned bool, p Policy) (done, noisy bool) {
	n := len(medians)
	exhausted := p.MaxRounds > 0 && n >= max(p.MaxRounds, p.MinRounds)
	switch {
	case !spanned && !exhausted:
		return false, false
	case look(n, p.MinRounds) && precise(medians, p.Precision):
		return true, false
	case n >= hopeful && look(n, p.MinRounds) && beyond(medians, spent, p):
		return true, true
	case n >= minInterval && (spent >= p.Limit || exhausted):
		return true, !precise(medians, p.Precision)
	}
	return false, false
}

// flat says whether times do not change any more: the median of the last ones, as many as the window, and that of those
// before differ little.
func flat(times []float64, window int) bool {
	const little = 0.03
	n := len(times)
	if n < 2*window {
		return false
	}
	before, last := median(times[n-2*window:n-window]), median(times[n-window:])
	return math.Abs(before-last) <= little*last
}

// beyond says whether an interval that goes on to become narrower as it should, by the square root of the number of rounds, would be
// narrow enough only after the limit.
func beyond(medians []float64, spent time.Duration, p Policy) bool {
	centre, low, high := interval(medians)
	factor := (high - low) / 2 / centre / p.Precision
	return factor*factor*float64(spent) > float64(p.Limit)
}
