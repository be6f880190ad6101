package profiler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Bench measures executables that are in memory together, in rounds: in each, every one that is not done takes its turn, in a
// new random order, between runs of the sentinel. What the bench knows of the sentinel goes from one group of executables to
// the next. Use it from one goroutine.
type Bench struct {
	policy    Policy
	random    *rand.Rand
	watch     *watch // nil: no sentinel
	clock     time.Duration
	collector *collector
	number    int // of the last round
	ended     int // number of the last round that was not cut short
	allowance int // rounds that the next group may discard
	pause     func(ctx context.Context, d time.Duration) error
	now       func() time.Time
}

// NewBench makes a bench with a sentinel, which it warms up; nil for none. The caller closes the sentinel.
func NewBench(ctx context.Context, sentinel Call, p Policy) (*Bench, error) {
	return newBench(ctx, sentinel, p, past{}, wait, time.Now)
}

// past is what is known of the rounds before, of a run that is continued.
type past struct {
	rounds   int       // number of the last
	sentinel []float64 // ms, in those that count
}

func newBench(ctx context.Context, sentinel Call, p Policy, before past, pause func(context.Context, time.Duration) error, now func() time.Time) (*Bench, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	b := &Bench{
		policy: p, random: rand.New(rand.NewPCG(p.Seed, uint64(before.rounds))), clock: resolution(), collector: newCollector(),
		number: before.rounds, ended: before.rounds, allowance: p.MaxDiscarded, pause: pause, now: now,
	}
	if sentinel == nil {
		return b, nil
	}
	defer b.collector.hold()()
	var err error
	if b.watch, err = newWatch(ctx, b.subject(sentinel), before.sentinel, p, b.collector.tidy); err != nil {
		return nil, fmt.Errorf("the sentinel: %w", err)
	}
	return b, nil
}

// wait pauses, unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (b *Bench) subject(call Call) *subject { return &subject{call: call, clock: b.clock} }

// Series is what was measured of one executable.
type Series struct {
	// Rounds are all rounds, discarded ones too.
	Rounds []Round
	// Medians are the medians of the laps in each round that counts, in ms, as they were observed.
	Medians []float64
	// Ratios are those of the sentinel's time around these laps to its reference: above 1, the device was slower. Empty without
	// a sentinel.
	Ratios []float64
	// Noisy: the time was used up before the interval was narrow enough. Throttled: the sentinel was far off in more than a
	// quarter of the rounds that count.
	Noisy, Throttled bool
}

// At describes the rounds that count as they would be did the sentinel take so long, in ms, with an interval that is wider by what that
// is uncertain; 0: as they were observed.
func (s Series) At(sentinelMS float64) Summary {
	now := s.SentinelMS()
	if sentinelMS == 0 || now == 0 {
		return summarize(s.Rounds, 0)
	}
	return summarize(s.Rounds, now).scaled(sentinelMS / now)
}

// SentinelMS is the median of the sentinel's times around the laps of the rounds that count, in ms; 0 without a sentinel.
func (s Series) SentinelMS() float64 { return middle(s.Rounds) }

// Measure warms executables up and measures them in rounds until each meets the policy's stopping rule. It closes none. After
// each turn it calls observe, if that is not nil, with the number of the round, the index of the executable and the median of
// the turn; whether the round counts is known only at its end.
func (b *Bench) Measure(ctx context.Context, calls []Call, observe func(round, call int, ms float64)) ([]Series, error) {
	subjects := make([]*subject, len(calls))
	for i, call := range calls {
		subjects[i] = b.subject(call)
	}
	if err := warmUp(ctx, b.policy, subjects...); err != nil {
		return nil, err
	}
	turned := func(s *subject) {
		if observe != nil {
			for i := range subjects {
				if subjects[i] == s {
					observe(b.number, i, median(s.rounds[len(s.rounds)-1].LapsMS))
				}
			}
		}
	}
	if err := b.rounds(ctx, subjects, follower{turned: turned}); err != nil {
		return nil, err
	}
	series := make([]Series, len(calls))
	for i, s := range subjects {
		series[i] = b.series(s)
	}
	return series, nil
}

func (b *Bench) series(s *subject) Series {
	series := Series{Rounds: s.rounds, Medians: corrected(s.rounds, 0), Noisy: s.noisy, Throttled: s.throttled}
	if b.watch != nil {
		reference := b.watch.reference()
		for i := range s.rounds {
			if !s.rounds[i].Discarded {
				series.Ratios = append(series.Ratios, s.rounds[i].SentinelMS/reference)
			}
		}
	}
	return series
}

// Interleave measures compiled executables in interleaved rounds with a sentinel, which may be nil, on a bench of their own.
func Interleave(ctx context.Context, calls []Call, sentinel Call, p Policy, observe func(round, call int, ms float64)) ([]Series, error) {
	b, err := NewBench(ctx, sentinel, p)
	if err != nil {
		return nil, err
	}
	return b.Measure(ctx, calls, observe)
}

// Sample measures one executable, alternating with an empty call, beside a sentinel, which may be nil. It closes none. The empty call is
// measured for as long as the executable takes to be precise.
func Sample(ctx context.Context, call, empty, sentinel Call, p Policy) (of, ofEmpty Series, err error) {
	b, err := NewBench(ctx, sentinel, p)
	if err != nil {
		return Series{}, Series{}, err
	}
	subjects := []*subject{b.subject(call), b.subject(empty)}
	subjects[1].companion = true
	if err := warmUp(ctx, p, subjects...); err != nil {
		return Series{}, Series{}, err
	}
	if err := b.rounds(ctx, subjects, follower{}); err != nil {
		return Series{}, Series{}, fmt.Errorf("measuring: %w", err)
	}
	return b.series(subjects[0]), b.series(subjects[1]), nil
}

// round says how a round went.
type round struct {
	number    int
	sentinel  float64 // ms, the median of its checks; 0 without one
	discarded bool
}

// follower follows rounds. Its functions may be nil.
type follower struct {
	turned func(*subject)    // after each turn
	ended  func(round) error // after each round; an error ends the rounds
	enough func() bool       // ends the rounds: what is not done by then is noisy
}

// rounds measures subjects, which are warmed up, until all but companions are done. Where there are many, a round has a part of
// them, and each gets its turn before one gets a second.
func (b *Bench) rounds(ctx context.Context, subjects []*subject, follow follower) error {
	defer b.collector.hold()()
	discarded, inARow := 0, 0
	patience := min(time.Duration(len(subjects))*b.policy.Limit, longestPatience) // for pauses
	last := 0.0                                                                   // time of the sentinel at the end of the round before; 0: unknown
	var queue []*subject                                                          // that have not had their turn since all of them had
	begin := b.now()
	allowance := b.allowance * max(1, len(subjects)/b.policy.Group)
	for {
		var pending []*subject
		wanted := false
		for _, s := range subjects {
			if !s.done {
				pending, wanted = append(pending, s), wanted || !s.companion
			}
		}
		if !wanted {
			break
		}
		if queue = slices.DeleteFunc(queue, func(s *subject) bool { return s.done }); len(queue) == 0 {
			queue = slices.Clone(pending)
			b.random.Shuffle(len(queue), func(i, k int) { queue[i], queue[k] = queue[k], queue[i] })
		}
		pending, queue = split(queue, b.policy.Group)
		b.number++
		mayDiscard := discarded < allowance && patience > 0
		r, off, end, err := b.round(ctx, pending, last, mayDiscard, follow.turned)
		if err != nil {
			return err
		}
		last, b.ended = end, b.number
		for _, s := range subjects { // so that a round is known of in which none had a turn
			if n := len(s.rounds); s.companion && r.discarded && (n == 0 || s.rounds[n-1].Number != b.number) {
				s.rounds = append(s.rounds, Round{Number: b.number, LapsMS: []float64{}, SentinelMS: r.sentinel, Discarded: true})
				s.perRound = append(s.perRound, 0)
			}
		}
		for _, s := range pending {
			n := len(s.rounds)
			if n == 0 || s.rounds[n-1].Number != b.number {
				continue // the round ended before the turn
			}
			s.rounds[n-1].Discarded = r.discarded
		}
		if b.watch != nil && b.watch.follow(r.sentinel, b.policy) {
			b.judge(subjects)
		} else if b.watch != nil && !off {
			b.watch.add(r.sentinel)
		}
		for _, s := range pending {
			s.count()
			s.throttled = b.throttled(s)
		}
		spanned := b.now().Sub(begin) >= min(b.policy.Span, spanLimits*b.policy.Limit)
		enough := follow.enough != nil && follow.enough()
		for _, s := range subjects {
			if !s.done {
				s.spanned = s.spanned || spanned
				s.done, s.noisy = stop(s.medians, s.spent, s.spanned, b.policy)
				if !s.done && enough && len(s.medians) >= minInterval {
					s.done, s.noisy = true, true
				}
			}
		}
		if follow.ended != nil {
			if err := follow.ended(r); err != nil {
				return err
			}
		}
		if !r.discarded {
			inARow = 0
			continue
		}
		pause := min(b.policy.BackOff<<min(inARow, 5), patience)
		if err := b.pause(ctx, pause); err != nil {
			return err
		}
		patience -= pause
		discarded, inARow, last = discarded+1, inARow+1, 0
	}
	// On a device that stays slow, groups should not wait as long as the first one, in vain.
	if discarded > 0 && (discarded >= allowance || patience <= 0) {
		b.allowance = max(b.allowance/2, 1)
	} else {
		b.allowance = b.policy.MaxDiscarded
	}
	return nil
}

// whole are the rounds that were not cut short.
func (b *Bench) whole(rounds []Round) []Round {
	for n := len(rounds); n > 0 && rounds[n-1].Number > b.ended; n-- {
		rounds = rounds[:n-1]
	}
	return rounds
}

// split takes up to n subjects off the queue.
func split(queue []*subject, n int) (taken, rest []*subject) {
	n = min(n, len(queue))
	return slices.Clone(queue[:n]), queue[n:]
}

// round gives each of the subjects its turn, between checks of the sentinel: at the beginning, which the end of the round
// before may have been, at the end, and in between. If the round may be discarded, it ends as soon as the sentinel is off.
func (b *Bench) round(ctx context.Context, pending []*subject, last float64, mayDiscard bool, turned func(*subject)) (r round, off bool, end float64, err error) {
	r.number = b.number
	var checks []float64
	var since time.Duration
	var turns []*Round // since the last check
	check := func() error {
		if b.watch == nil {
			return nil
		}
		ms, err := b.watch.check(b.collector.tidy)
		for _, turn := range turns {
			turn.SentinelMS = rounded((checks[len(checks)-1] + ms) / 2)
		}
		checks, since, turns = append(checks, ms), 0, turns[:0]
		off = off || err == nil && b.watch.slow(ms, b.policy)
		return err
	}
	if last > 0 {
		checks, off = append(checks, last), b.watch.slow(last, b.policy)
	} else if err := check(); err != nil {
		return r, false, 0, err
	}
	for _, s := range pending {
		if err := ctx.Err(); err != nil {
			return r, false, 0, err
		}
		if off && mayDiscard {
			break
		}
		if err := s.turn(b.number, b.policy, b.collector.tidy); err != nil {
			return r, false, 0, err
		}
		if turned != nil {
			turned(s)
		}
		turns = append(turns, &s.rounds[len(s.rounds)-1])
		if since += s.perRound[len(s.perRound)-1]; since >= checkEvery {
			if err := check(); err != nil {
				return r, false, 0, err
			}
		}
	}
	if len(turns) > 0 {
		if err := check(); err != nil {
			return r, false, 0, err
		}
	}
	r.discarded = off && mayDiscard
	if b.watch == nil {
		return r, false, 0, nil
	}
	r.sentinel = median(checks)
	return r, off, checks[len(checks)-1], nil
}

// judge discards those of the earlier rounds in which the sentinel was slower than its new reference allows.
func (b *Bench) judge(subjects []*subject) {
	for _, s := range subjects {
		if s.done {
			continue
		}
		for i := s.earlier; i < len(s.rounds); i++ {
			if r := &s.rounds[i]; r.SentinelMS > 0 && b.watch.slow(r.SentinelMS, b.policy) {
				r.Discarded = true
			}
		}
	}
}

// throttled says whether the sentinel was far off in more than a quarter of the rounds that count: fewer hardly move a median.
func (b *Bench) throttled(s *subject) bool {
	if b.watch == nil {
		return false
	}
	off := 0
	for i := range s.rounds {
		if r := &s.rounds[i]; !r.Discarded && r.SentinelMS > (1+farOff)*b.watch.reference() {
			off++
		}
	}
	return 4*off > len(s.medians)
}
