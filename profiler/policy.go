package profiler

import (
	"time"

	"densenas/internal/exit"
)

// Policy says how an operation is sampled. Start from [DefaultPolicy].
type Policy struct {
	// Precision is the aimed half-width of the 95 % interval of the median, relative to the median: 0.02.
	Precision float64
	// MinRounds are measured before the interval is first looked at: 10. At least 6, below which there is no interval.
	MinRounds int
	// MinLap is how long a lap lasts at least; short operations are repeated within it: 1 ms.
	MinLap time.Duration
	// MaxLaps are timed per round; long operations get fewer: 5.
	MaxLaps int
	// RoundTime is what the timed laps of a round should last at most, though there is always one lap: 20 ms.
	RoundTime time.Duration
	// WarmUp bounds the warm-up of an operation whose times do not become flat: 500 ms.
	WarmUp time.Duration
	// Limit bounds the timed laps of an operation, all rounds together: 2 s. An operation that meets it before it is
	// precise is kept, flagged noisy, after at least 6 rounds.
	Limit time.Duration
	// Group is how many operations are in memory, and alternate, at once: 8. An interrupted run loses at most so many. Those
	// of a group become complete at about the same time, so that a small one has something to save early.
	Group int
	// Seed decides the order of the rounds.
	Seed uint64
}

// minInterval is the number of rounds below which a median has no 95 % interval.
const minInterval = 6

// DefaultPolicy is what a program uses that is told nothing else.
func DefaultPolicy() Policy {
	return Policy{
		Precision: 0.02,
		MinRounds: 10,
		MinLap:    time.Millisecond,
		MaxLaps:   5,
		RoundTime: 20 * time.Millisecond,
		WarmUp:    500 * time.Millisecond,
		Limit:     2 * time.Second,
		Group:     8,
		Seed:      1,
	}
}

// Check refuses what cannot be measured by, as bad input.
func (p Policy) Check() error {
	switch {
	case !(p.Precision > 0 && p.Precision < 1):
		return exit.BadInput("precision is %g, allowed is above 0 and below 1: 0.02 asks for an interval of ±2 %%", p.Precision)
	case p.MinRounds < minInterval || p.MinRounds > 10_000:
		return exit.BadInput("%d rounds, allowed are %d to 10000", p.MinRounds, minInterval)
	case p.Limit <= 0:
		return exit.BadInput("the time limit of an operation is %v, allowed is more than 0", p.Limit)
	case p.MinLap <= 0 || p.MaxLaps < 1 || p.RoundTime <= 0 || p.WarmUp < 0 || p.Group < 1:
		return exit.BadInput("laps, warm-up and group of the policy %+v: allowed are positive values", p)
	}
	return nil
}

// laps are the timed laps of a round, for laps of this length.
func (p Policy) laps(lap time.Duration) int {
	return min(max(int(p.RoundTime/max(lap, 1)), 1), p.MaxLaps)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
