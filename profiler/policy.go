package profiler

import (
	"time"

	"densenas/internal/exit"
	"densenas/lut"
)

// Policy says how an operation is sampled. Start from [DefaultPolicy].
type Policy struct {
	// Precision is the aimed half-width of the 95 % interval of the median, relative to the median: 0.01.
	Precision float64
	// MinRounds are measured before the interval is first looked at: 10. It is looked at again each time that the number of
	// rounds has doubled, and never in between. At least 6, below which there is no interval.
	MinRounds int
	// MaxRounds ends an operation like Limit: 1280.
	MaxRounds int
	// MinLap is how long a lap lasts at least; short operations are repeated within it: 1 ms.
	MinLap time.Duration
	// MaxLaps are timed per round; long operations get fewer: 2. The laps of a round differ less from each other than rounds do: more of
	// them would cost more than they tell.
	MaxLaps int
	// RoundTime is what the timed laps of a round should last at most, though there is always one lap: 20 ms.
	RoundTime time.Duration
	// Refresh is how many calls come before the timed laps of each turn at least, because others have had the caches since the last one: 0,
	// which leaves it at a quarter of a lap, and two where a lap is several calls. A network takes more until its weights are where they are
	// when it is called again and again. It goes for the sentinel as well.
	Refresh int
	// Settle is how long the operations of a group are warmed up at least, all together: 200 ms. The times of each have to be flat
	// too.
	Settle time.Duration
	// WarmUp bounds the warm-up of an operation whose times do not become flat: 1 s.
	WarmUp time.Duration
	// Span is how long the rounds of operations that are in memory together go on at least, by the clock, so that they meet more
	// than one spell of a neighbour that comes and goes: 15 s. It goes before Limit, but MaxRounds and fifty Limits go before it.
	Span time.Duration
	// Limit bounds the timed laps of an operation, all rounds that count together: 300 ms. An operation that meets it before it
	// is precise is kept, flagged noisy, after at least 6 rounds; so is one that after 40 or more shows that it would take longer.
	Limit time.Duration
	// Total bounds a whole run: 0, no bound. Every operation gets its MinRounds whatever the bound is; what is left of it goes
	// to the widest intervals first, see [Profile].
	Total time.Duration
	// Group is how many operations alternate in a round: 8.
	Group int
	// PassTime is how long it should take until all operations in memory have had their turn: 2 s. There are as many in memory as
	// that allows, a whole plan on a fast device, so that its drift hits all alike, but a Group at least, and 512 at most.
	PassTime time.Duration
	// Off is the deviation of the sentinel from its reference, relative, from which a round does not count: 0.1. A sentinel
	// that is noisier by itself may be off by three of its standard deviations.
	Off float64
	// MaxDiscarded rounds are discarded at most because the sentinel was off, for each Group of the operations in memory: 20. The pauses
	// after them last no longer than the Limits of these operations together, nor than ten seconds.
	// Further rounds count, and operations that have many in which the sentinel is off are flagged throttled.
	MaxDiscarded int
	// BackOff is the pause after a discarded round, doubled after each that follows it, up to 32-fold: 20 ms.
	BackOff time.Duration
	// Caches is what the processor's caches hold when an operation is called: lut.Warm or lut.Cold. The runner makes
	// them so; cold ones need laps of one call.
	Caches string
	// Seed decides the order of the rounds, and the values of inputs and weights.
	Seed uint64
}

// minInterval is the number of rounds below which a median has no 95 % interval.
const minInterval = 6

// DefaultPolicy is what a program uses that is told nothing else.
func DefaultPolicy() Policy {
	return Policy{
		Precision:    0.01,
		MinRounds:    10,
		MaxRounds:    1280,
		MinLap:       time.Millisecond,
		MaxLaps:      2,
		RoundTime:    20 * time.Millisecond,
		Settle:       200 * time.Millisecond,
		WarmUp:       time.Second,
		Span:         15 * time.Second,
		Limit:        300 * time.Millisecond,
		Group:        8,
		PassTime:     2 * time.Second,
		Off:          0.1,
		MaxDiscarded: 20,
		BackOff:      20 * time.Millisecond,
		Caches:       lut.Warm,
		Seed:         1,
	}
}

// Check refuses what cannot be measured by, as bad input.
func (p Policy) Check() error {
	switch {
	case !(p.Precision > 0 && p.Precision < 1):
		return exit.BadInput("precision is %g, allowed is above 0 and below 1: 0.02 asks for an interval of ±2 %%", p.Precision)
	case p.MinRounds < minInterval || p.MinRounds > maxRounds:
		return exit.BadInput("%d rounds, allowed are %d to %d", p.MinRounds, minInterval, maxRounds)
	case p.Limit <= 0:
		return exit.BadInput("the time limit of an operation is %v, allowed is more than 0", p.Limit)
	case p.Total < 0:
		return exit.BadInput("the budget is %v, allowed is more than 0, or 0 for none", p.Total)
	case p.Caches != lut.Warm && p.Caches != lut.Cold:
		return exit.BadInput("caches are to be %.40q, known are %s and %s", p.Caches, lut.Warm, lut.Cold)
	case p.MinLap <= 0 || p.MaxLaps < 1 || p.MaxLaps > maxLaps || p.RoundTime <= 0 || p.Refresh < 0 || p.Refresh > maxCallsPerLap || p.Settle < 0 || p.WarmUp < 0 || p.Span < 0 || p.Group < 1 || p.PassTime < 0 || p.MaxRounds > maxRounds:
		return exit.BadInput("laps, rounds, warm-up, span and group of the policy %+v: allowed are positive values, at most %d laps and %d rounds", p, maxLaps, maxRounds)
	case !(p.Off > 0 && p.Off < 1) || p.MaxDiscarded < 0 || p.BackOff < 0:
		return exit.BadInput("the sentinel may be off by %g, %d rounds and a pause of %v: allowed are above 0 and below 1, and from 0", p.Off, p.MaxDiscarded, p.BackOff)
	}
	return nil
}

// Bounds of a policy, and so of a journal.
const (
	maxRounds = 10_000
	maxLaps   = 100
)

const (
	// spanLimits bounds what rounds span by the limit for an operation, so that who asks for little gets it soon.
	spanLimits = 50
	// maxTogether bounds how many operations are in memory.
	maxTogether = 512
	// maxCompiled bounds how many operations are compiled at once.
	maxCompiled = 64
	// longestPatience bounds the pauses for operations that are in memory together: what makes the device slow for longer stays.
	longestPatience = 10 * time.Second
)

// laps are the timed laps of a round, for laps of this length.
func (p Policy) laps(lap time.Duration) int {
	return min(max(int(p.RoundTime/max(lap, 1)), 1), p.MaxLaps)
}

// further says how many operations to compile next for those in memory together, whose passes take so long: many at once, which
// leaves no processor idle, but no more than the pass has time for.
func (p Policy) further(taken int, pass time.Duration) int {
	if taken == 0 || pass <= 0 {
		return p.Group
	}
	room := int(float64(p.PassTime-pass) / float64(pass) * float64(taken))
	return max(min(room, taken, maxCompiled), p.Group)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
