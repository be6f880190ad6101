package profiler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"densenas/supernet/space"
)

// Call is an executable whose inputs lie on the device.
type Call interface {
	// Run executes it once and says how long that took, until the result is ready. What it allocates is freed outside of
	// that time.
	Run() (time.Duration, error)
	// Close frees the executable and its inputs.
	Close()
}

// Runner makes executables for one device, with one runtime, at one batch. It is used from one goroutine.
type Runner interface {
	// Op compiles an operation, in the fastest way the runner knows to write it, which it names; "" where there is one.
	Op(ctx context.Context, op space.Op) (call Call, lowering string, err error)
	// Empty compiles the smallest graph that there is: what it takes is the time of a call.
	Empty() (Call, error)
}

// maxCallsPerLap bounds the repetitions within a lap for calls that take next to no time.
const maxCallsPerLap = 10_000

// subject is an executable under measurement.
type subject struct {
	call    Call
	calls   int         // per lap
	rounds  [][]float64 // ms per call of each timed lap
	medians []float64   // of the rounds
	spent   time.Duration
	done    bool
	noisy   bool
}

// lap runs the calls of a lap. It returns the time per call in ms, and of all.
func (s *subject) lap() (float64, time.Duration, error) {
	var total time.Duration
	for range s.calls {
		took, err := s.call.Run()
		if err != nil {
			return 0, 0, err
		}
		total += took
	}
	return float64(total) / float64(s.calls) / float64(time.Millisecond), total, nil
}

// warmUp runs the executable until its times are flat: the medians of the last laps and of those before differ little. It
// settles how many calls a lap has.
func (s *subject) warmUp(ctx context.Context, p Policy) error {
	const flat = 0.03
	s.calls = 1
	// The first call is cold and says nothing, the second how long a lap will be.
	if _, _, err := s.lap(); err != nil {
		return err
	}
	perCall, spent, err := s.lap()
	if err != nil {
		return err
	}
	s.fit(perCall, p)
	laps := []float64{perCall}
	window := p.laps(spent) // fewer for long operations
	for ctx.Err() == nil && spent < p.WarmUp {
		perCall, took, err := s.lap()
		if err != nil {
			return err
		}
		spent += took
		laps = append(laps, perCall)
		if n := len(laps); n >= 2*window {
			before, last := median(laps[n-2*window:n-window]), median(laps[n-window:])
			if math.Abs(before-last) <= flat*last {
				break
			}
		}
	}
	s.fit(median(laps[max(0, len(laps)-window):]), p)
	return ctx.Err()
}

// fit chooses the calls of a lap for a time per call in ms.
func (s *subject) fit(perCall float64, p Policy) {
	minLap := float64(p.MinLap) / float64(time.Millisecond)
	s.calls = int(min(max(math.Ceil(minLap/max(perCall, 1e-9)), 1), maxCallsPerLap))
}

// turn is the subject's part of a round.
func (s *subject) turn(p Policy) error {
	// Untimed: brings code and data back into the caches after the others' turns.
	_, took, err := s.lap()
	if err != nil {
		return err
	}
	var round []float64
	for range p.laps(took) {
		perCall, took, err := s.lap()
		if err != nil {
			return err
		}
		s.spent += took
		round = append(round, perCall)
	}
	s.rounds = append(s.rounds, round)
	s.medians = append(s.medians, median(round))
	if len(s.rounds) >= p.MinRounds && precise(s.medians, p.Precision) {
		s.done = true
	} else if len(s.rounds) >= minInterval && s.spent >= p.Limit {
		s.done, s.noisy = true, !precise(s.medians, p.Precision)
	}
	return nil
}

// rounds measures subjects, which are warmed up, in turns until all but the companions are done. Companions take part as
// long as there are rounds. After each turn it calls progress, and ends early with progress's error.
func rounds(ctx context.Context, subjects, companions []*subject, p Policy, random *rand.Rand, progress func(*subject) error) error {
	for {
		var pending []*subject
		left := 0
		for _, s := range subjects {
			if !s.done {
				pending = append(pending, s)
				left++
			}
		}
		if left == 0 {
			return nil
		}
		for _, s := range companions {
			if !s.done {
				pending = append(pending, s)
			}
		}
		random.Shuffle(len(pending), func(i, k int) { pending[i], pending[k] = pending[k], pending[i] })
		for _, s := range pending {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.turn(p); err != nil {
				return err
			}
			if err := progress(s); err != nil {
				return err
			}
		}
	}
}

// Sample measures one executable, alternating with an empty call, and the time of the call. It closes neither. Noisy says
// that the time was used up before the executable's interval was narrow enough.
func Sample(ctx context.Context, call, empty Call, p Policy) (s, emptyCall Summary, noisy bool, err error) {
	subjects := []*subject{{call: call}, {call: empty}}
	for _, s := range subjects {
		if err := s.warmUp(ctx, p); err != nil {
			return Summary{}, Summary{}, false, err
		}
	}
	random := rand.New(rand.NewPCG(p.Seed, 0))
	if err := rounds(ctx, subjects[:1], subjects[1:], p, random, func(*subject) error { return nil }); err != nil {
		return Summary{}, Summary{}, false, fmt.Errorf("measuring: %w", err)
	}
	return summarize(subjects[0].rounds), summarize(subjects[1].rounds), subjects[0].noisy, nil
}
