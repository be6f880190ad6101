package profiler

import (
	"context"
	"testing"
	"time"

	"densenas/supernet/space"
)

func TestBudgetGoesWhereItHelps(t *testing.T) {
	run := func(total time.Duration) (*fakeRunner, []space.Op, *Log) {
		r, ops := fake(20, 0.05)
		for op := range r.base {
			r.base[op] *= 200
		}
		r.compile = 100 * time.Millisecond
		p := soon()
		p.Total, p.Group, p.MaxDiscarded, p.Limit = total, 4, 0, 500*time.Millisecond
		j := job(ops)
		if err := Profile(t.Context(), r, j, p, Observer{pause: r.pause, now: r.clock}); err != nil {
			t.Fatal(err)
		}
		return r, ops, j.Log
	}
	rounds := func(l *Log) map[space.Op]int {
		all := map[space.Op]int{}
		for _, m := range l.Measurements() {
			all[m.Op] = m.Summary.Rounds
		}
		return all
	}

	// Nothing but the first rounds, whatever the budget.
	r, ops, least := run(time.Nanosecond)
	minimum := r.now
	for op, n := range rounds(least) {
		if n != soon().MinRounds {
			t.Errorf("%s: %d rounds without a budget to spend", op.Key(), n)
		}
	}
	if len(least.Measurements()) != len(ops) || len(r.compiled) != len(ops)+1 {
		t.Errorf("%d measured, %d compiled", len(least.Measurements()), len(r.compiled))
	}

	// Some more: the operations whose interval is the widest in ms, times their places, get it.
	total := minimum + 4*time.Second
	r, _, some := run(total)
	if r.now > total+time.Second || r.now < total-2*time.Second {
		t.Errorf("took %v of %v", r.now, total)
	}
	after := rounds(some)
	more, weight, other := 0, 0.0, 0.0
	for i, m := range least.Measurements() {
		share := (m.HighMS - m.LowMS) * float64(places(ops, m.Op))
		if after[m.Op] > least.Measurements()[i].Summary.Rounds {
			more++
			weight += share
		} else if m.Noisy {
			other += share
		}
	}
	if more == 0 || more == len(ops) {
		t.Fatalf("%d of %d operations got more rounds", more, len(ops))
	}
	if weight/float64(more) <= other/float64(len(ops)-more) {
		t.Errorf("those with more rounds were uncertain by %g in the mean, the others by %g", weight/float64(more), other/float64(len(ops)-more))
	}
	for _, m := range some.Measurements() {
		if m.Visits > 2 || len(m.Rounds) < m.Summary.Rounds {
			t.Errorf("%s: %d visits", m.Op.Key(), m.Visits)
		}
	}

	// Enough for all: none is noisy that would not be when its limit is met, and the rest is not spent.
	r, _, all := run(time.Hour)
	if r.now > 10*time.Minute {
		t.Errorf("took %v", r.now)
	}
	for _, m := range all.Measurements() {
		p := soon()
		if took := spent(m.Rounds, p); m.Noisy && took < p.Limit && !beyond(m.RoundMedians(true), took, p) {
			t.Errorf("%s is noisy still", m.Op.Key())
		}
	}

	// A continued run has what the runs before left of it.
	j := Job{Items: job(ops).Items, Sentinel: ops[0], Log: some}
	r, _ = fake(20, 0.05)
	p := soon()
	p.Total = total
	if err := Profile(t.Context(), r, j, p, Observer{pause: r.pause, now: r.clock}); err != nil {
		t.Fatal(err)
	}
	if r.now > 2*time.Second {
		t.Errorf("the budget was spent again: %v", r.now)
	}
}

// places are those that job gives an operation.
func places(ops []space.Op, op space.Op) int {
	for i := range ops {
		if ops[i] == op {
			return i%3 + 1
		}
	}
	return 0
}

// rewriting is a runner that finds another way faster than before, for some operations.
type rewriting struct {
	*fakeRunner
	now map[space.Op]bool
}

func (r rewriting) Ops(ctx context.Context, ops []space.Op) ([]Compiled, error) {
	compiled, err := r.fakeRunner.Ops(ctx, ops)
	for i := range compiled {
		if r.now[ops[i]] {
			compiled[i].Lowering = "grouped"
		}
	}
	return compiled, err
}

// Operations that cannot become better do not use up the budget of others that come after them.
func TestBudgetPassesOverWhatWasVisited(t *testing.T) {
	r, ops := fake(20, 0.05)
	for op := range r.base {
		r.base[op] *= 200
	}
	r.compile = 100 * time.Millisecond
	p := soon()
	p.Total, p.Group, p.MaxDiscarded = time.Nanosecond, 4, 0
	j := job(ops)
	if err := Profile(t.Context(), r, j, p, Observer{pause: r.pause, now: r.clock}); err != nil {
		t.Fatal(err)
	}
	p.Total = j.Log.Elapsed() + 5400*time.Millisecond
	most := rewriting{r, map[space.Op]bool{}}
	for _, op := range j.worth(p)[:12] {
		most.now[op] = true
	}
	if err := Profile(t.Context(), most, j, p, Observer{pause: r.pause, now: r.clock}); err != nil {
		t.Fatal(err)
	}
	again := 0
	for _, m := range j.Log.Measurements() {
		if m.Visits > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("nothing became more precise, although the budget was not used up")
	}
}
