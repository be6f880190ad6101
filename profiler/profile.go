package profiler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"densenas/supernet/space"
)

// Measurement is a completely measured operation.
type Measurement struct {
	Op       space.Op
	Lowering string // how it was written, where there is a choice
	Summary
	Noisy bool // the time was used up before the interval was narrow enough
}

// Observer follows a profile. Either function may be nil.
type Observer struct {
	// Save gets all complete measurements, and the empty call as measured so far: at the end, and in between every ten
	// seconds or so when there are new ones. An error ends the profile.
	Save func(done []Measurement, empty Summary) error
	// Progress counts steps, of which there are [Steps], and names what was done.
	Progress func(steps int, note string)
}

// Steps is the number of steps of a profile: of each operation the rounds that it takes at least, and as many for its
// preparation, which is mostly compiling.
func Steps(operations int, p Policy) int { return operations * 2 * p.MinRounds }

// saveEvery is how much work an abrupt end may lose.
const saveEvery = 10 * time.Second

// Profile measures operations in groups. When ctx ends it returns its error, and what is complete has been saved: all of the
// groups before, and of the one at hand the operations that met the policy's stopping rule.
func Profile(ctx context.Context, r Runner, ops []space.Op, p Policy, o Observer) error {
	if err := p.Check(); err != nil {
		return err
	}
	empty, err := r.Empty()
	if err != nil {
		return fmt.Errorf("compiling the empty call: %w", err)
	}
	defer empty.Close()
	s := session{runner: r, policy: p, observer: o, empty: empty, random: rand.New(rand.NewPCG(p.Seed, 0)), saved: time.Now()}
	for group := range slices.Chunk(ops, p.Group) {
		if err := s.group(ctx, group); err != nil {
			if saveErr := s.save(); saveErr != nil {
				return saveErr
			}
			return err
		}
	}
	return nil
}

type session struct {
	runner   Runner
	policy   Policy
	observer Observer
	random   *rand.Rand

	empty       Call
	emptyRounds [][]float64 // of all groups
	done        []Measurement
	unsaved     int
	saved       time.Time
}

// group measures operations that are in memory together.
func (s *session) group(ctx context.Context, ops []space.Op) (err error) {
	var subjects []*subject
	lowerings := map[*subject]string{}
	defer func() {
		for _, subject := range subjects {
			subject.call.Close()
		}
	}()
	for _, op := range ops {
		if err := ctx.Err(); err != nil {
			return err
		}
		call, lowering, err := s.runner.Op(ctx, op)
		if err != nil {
			return fmt.Errorf("%s: %w", op.Key(), err)
		}
		subject := &subject{call: call}
		subjects = append(subjects, subject)
		lowerings[subject] = lowering
		if err := subject.warmUp(ctx, s.policy); err != nil {
			return fmt.Errorf("%s: %w", op.Key(), err)
		}
		s.progress(s.policy.MinRounds, op.Key())
	}
	empty := &subject{call: s.empty}
	if err := empty.warmUp(ctx, s.policy); err != nil {
		return fmt.Errorf("the empty call: %w", err)
	}
	turn := func(subject *subject) error {
		if subject == empty {
			s.emptyRounds = append(s.emptyRounds, subject.rounds[len(subject.rounds)-1])
			return nil
		}
		op := ops[slices.Index(subjects, subject)]
		switch n := len(subject.rounds); {
		case subject.done:
			s.progress(max(s.policy.MinRounds-n, 0)+1, op.Key())
			s.done = append(s.done, Measurement{op, lowerings[subject], summarize(subject.rounds), subject.noisy})
			s.unsaved++
		case n < s.policy.MinRounds:
			s.progress(1, op.Key())
		}
		if time.Since(s.saved) >= saveEvery {
			return s.save()
		}
		return nil
	}
	if err := rounds(ctx, subjects, []*subject{empty}, s.policy, s.random, turn); err != nil {
		return err
	}
	return s.save()
}

func (s *session) progress(steps int, note string) {
	if s.observer.Progress != nil {
		s.observer.Progress(steps, note)
	}
}

// save hands over what is complete, if there is something new.
func (s *session) save() error {
	if s.unsaved == 0 || s.observer.Save == nil {
		return nil
	}
	if err := s.observer.Save(slices.Clone(s.done), summarize(s.emptyRounds)); err != nil {
		return err
	}
	s.unsaved, s.saved = 0, time.Now()
	return nil
}
