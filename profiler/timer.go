package profiler

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Call is an executable whose inputs lie on the device.
type Call interface {
	// Run executes it once and says how long that took, until the result is ready. What it allocates is freed outside of
	// that time.
	Run() (time.Duration, error)
	// Close frees the executable and its inputs.
	Close()
}

const (
	// maxCallsPerLap bounds the repetitions within a lap for calls that take next to no time.
	maxCallsPerLap = 10_000
	// singles are the calls of a round whose own times are kept, at most.
	singles = 8
	// resolvable calls last so many times the resolution of the clock.
	resolvable = 100
)

// Round is what was measured of one executable in one round. Times are in ms, to a tenth of a nanosecond.
type Round struct {
	Number int `json:"round"` // of the run, from 1; executables that were measured in the same round share it
	// LapsMS are the times per call of the timed laps; none in a round that was discarded before it began.
	LapsMS []float64 `json:"laps_ms"`
	// CallsMS are the times of single calls, evenly picked from the laps, and MinMS that of the shortest of all. None where a
	// lap is one call, or where calls are too short for the clock.
	CallsMS []float64 `json:"calls_ms,omitempty"`
	MinMS   float64   `json:"min_ms,omitempty"`
	// SentinelMS is the time of the sentinel around the laps, the mean of its checks right before and right after them; 0 without
	// one.
	SentinelMS float64 `json:"sentinel_ms,omitempty"`
	// Outliers are the indices, ascending, of the laps that lie far from the others of the visit. They count like all.
	Outliers []int `json:"outlier_laps,omitempty"`
	// Discarded rounds do not count: the sentinel was off.
	Discarded bool `json:"discarded,omitempty"`
}

// subject is an executable under measurement.
type subject struct {
	name      string // for errors; may be empty
	call      Call
	clock     time.Duration // its resolution
	calls     int           // per lap
	rounds    []Round
	companion bool      // measured along with others, for as long as they are
	earlier   int       // of the rounds were measured by a visit before
	spanned   bool      // the rounds span enough time; those of several visits do
	medians   []float64 // of the rounds that count, corrected by the sentinel
	spent     time.Duration
	perRound  []time.Duration // that each round took
	done      bool
	noisy     bool
	throttled bool // the sentinel was off in many rounds that count

	single   []float64 // of the round at hand
	shortest time.Duration
}

// lap runs the calls of a lap. It returns the time per call in ms, and of all. Every so many calls, one's own time is kept;
// 0: none. It allocates nothing.
func (s *subject) lap(every int) (float64, time.Duration, error) {
	var total time.Duration
	for i := range s.calls {
		took, err := s.call.Run()
		if err != nil {
			return 0, 0, err
		}
		total += took
		if every > 0 {
			s.shortest = min(s.shortest, took)
			if i%every == every/2 && len(s.single) < cap(s.single) {
				s.single = append(s.single, rounded(milliseconds(took)))
			}
		}
	}
	return rounded(milliseconds(total) / float64(s.calls)), total, nil
}

// rounded keeps what a clock can tell, so that journals are short, and never 0.
func rounded(ms float64) float64 { return max(math.Round(ms*1e7), 1) / 1e7 }

// try says about how long a call takes: the second one, for the first is cold.
func (s *subject) try() (time.Duration, error) {
	if _, err := s.call.Run(); err != nil {
		return 0, err
	}
	return s.call.Run()
}

// warmUp runs executables that are in memory together in turns, for Settle in all at least, and each until its times are flat. It
// settles how many calls a lap of each has. What a device needs time for, its clock and its heat, it gets from all of them
// together; what each needs for itself, code and data in caches, shows in its times.
func warmUp(ctx context.Context, p Policy, subjects ...*subject) error {
	var total time.Duration
	states := make([]warming, len(subjects))
	for cold := len(subjects); cold > 0 || total < p.Settle && len(subjects) > 0; {
		for i, s := range subjects {
			w := &states[i]
			if w.done && total >= p.Settle {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			took, err := w.lap(s, p)
			if err != nil && s.name != "" {
				err = fmt.Errorf("%s: %w", s.name, err)
			}
			if err != nil {
				return err
			}
			total += took
			if !w.done && total >= p.Settle && (w.spent >= p.WarmUp || flat(w.laps, w.window)) {
				w.done = true
				cold--
			}
		}
	}
	return nil
}

// warming is what is known of an executable that is warmed up.
type warming struct {
	laps   []float64 // ms per call, without the first
	window int       // laps whose median has to stay: fewer for long operations
	spent  time.Duration
	done   bool // the times have been flat, or there was no time left
}

// lap runs one lap, two at first: the first call is cold and says nothing, the second how long a lap will be.
func (w *warming) lap(s *subject, p Policy) (time.Duration, error) {
	var took time.Duration
	if w.laps == nil {
		s.calls = 1
		_, first, err := s.lap(0)
		if err != nil {
			return 0, err
		}
		took = first
	}
	perCall, lap, err := s.lap(0)
	if err != nil {
		return 0, err
	}
	if w.laps == nil {
		w.window = p.laps(lap)
	}
	w.laps = append(w.laps, perCall)
	s.fit(median(w.laps[max(0, len(w.laps)-w.window):]), p)
	w.spent += took + lap
	return took + lap, nil
}

// fit chooses the calls of a lap for a time per call in ms.
func (s *subject) fit(perCall float64, p Policy) {
	s.calls = int(min(max(math.Ceil(milliseconds(p.MinLap)/max(perCall, 1e-9)), 1), maxCallsPerLap))
}

// refresh brings code and data back into the caches after the others' turns, by a part of a lap, of least calls at least. It
// returns the time of the last call, in ms.
func (s *subject) refresh(least int) (float64, error) {
	const part = 4
	var took time.Duration
	for range max(min(2, s.calls), s.calls/part, least) {
		var err error
		if took, err = s.call.Run(); err != nil {
			return 0, err
		}
	}
	return milliseconds(took), nil
}

// turn is the subject's part of a round, which it adds as one that counts. Between laps, rest may do what must not happen
// within one.
func (s *subject) turn(number int, p Policy, rest func()) error {
	rest()
	perCall, err := s.refresh(p.Refresh)
	if err != nil {
		return err
	}
	n := p.laps(time.Duration(perCall * float64(s.calls) * float64(time.Millisecond)))
	every := 0
	if s.calls > 1 && perCall >= resolvable*milliseconds(s.clock) {
		every = max((n*s.calls+singles-1)/singles, 1)
		if every > s.calls { // less than one per lap
			every = s.calls
		}
	}
	s.single, s.shortest = make([]float64, 0, singles), math.MaxInt64
	laps := make([]float64, 0, n)
	var spent time.Duration
	for range n {
		rest()
		perCall, took, err := s.lap(every)
		if err != nil {
			return err
		}
		spent += took
		laps = append(laps, perCall)
	}
	round := Round{Number: number, LapsMS: laps}
	if len(s.single) > 0 {
		round.CallsMS, round.MinMS = s.single, rounded(milliseconds(s.shortest))
	}
	s.rounds = append(s.rounds, round)
	s.perRound = append(s.perRound, spent)
	return nil
}

// count brings medians and time up to date with what counts among the rounds.
func (s *subject) count() {
	s.medians, s.spent = corrected(s.rounds, middle(s.rounds)), 0
	for i := range s.rounds {
		if !s.rounds[i].Discarded && i < len(s.perRound) {
			s.spent += s.perRound[i]
		}
	}
}

// corrected are the medians of the rounds that count, in ms, as they would be were the sentinel's time the reference, in ms;
// 0: as they were observed.
func corrected(rounds []Round, reference float64) []float64 {
	var medians []float64
	for i := range rounds {
		if r := &rounds[i]; !r.Discarded {
			medians = append(medians, median(r.LapsMS)*r.correction(reference))
		}
	}
	return medians
}

// correction is by how much faster the device would have been in a round, were the sentinel's time the reference.
func (r *Round) correction(reference float64) float64 {
	if reference == 0 || r.SentinelMS == 0 {
		return 1
	}
	return reference / r.SentinelMS
}

// middle is the median of the sentinel's times, in ms, in the rounds that count; 0 without a sentinel.
func middle(rounds []Round) float64 {
	var times []float64
	for i := range rounds {
		if r := &rounds[i]; !r.Discarded && r.SentinelMS > 0 {
			times = append(times, r.SentinelMS)
		}
	}
	if len(times) == 0 {
		return 0
	}
	return median(times)
}

// resolution is the smallest step of the clock.
func resolution() time.Duration {
	smallest := time.Duration(math.MaxInt64)
	for range 100 {
		start := time.Now()
		step := time.Since(start)
		for step == 0 {
			step = time.Since(start)
		}
		smallest = min(smallest, step)
	}
	return smallest
}
