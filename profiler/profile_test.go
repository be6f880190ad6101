package profiler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"densenas/supernet/space"
)

// fakeRunner times nothing: a call of an operation takes base, with relative normal noise, and longer while it is cold.
type fakeRunner struct {
	base   map[space.Op]time.Duration
	noise  float64
	cold   int // calls that take three times as long
	random *rand.Rand
	open   int // executables
	most   int // of them at once
	calls  int
	failAt int // call that fails; 0: none
	onCall func(n int)

	compile  time.Duration
	compiled []space.Op
	now      time.Duration                           // what all calls took, and pauses
	load     func(at time.Duration) (factor float64) // of the device; nil: none
}

// pause advances the time.
func (r *fakeRunner) pause(_ context.Context, d time.Duration) error {
	r.now += d
	return nil
}

func (r *fakeRunner) clock() time.Time { return time.Unix(0, 0).Add(r.now) }

func (r *fakeRunner) Ops(_ context.Context, ops []space.Op) ([]Compiled, error) {
	var compiled []Compiled
	for _, op := range ops {
		base, known := r.base[op]
		if !known {
			for _, c := range compiled {
				c.Call.Close()
			}
			return nil, fmt.Errorf("%s: cannot be compiled", op.Key())
		}
		r.now += r.compile
		r.compiled = append(r.compiled, op)
		compiled = append(compiled, Compiled{r.call(base), "taps"})
	}
	return compiled, nil
}

func (r *fakeRunner) Empty() (Call, error) { return r.call(5 * time.Microsecond), nil }

func (r *fakeRunner) call(base time.Duration) Call {
	r.open++
	r.most = max(r.most, r.open)
	return &fakeCall{runner: r, base: base}
}

type fakeCall struct {
	runner *fakeRunner
	base   time.Duration
	calls  int
	total  time.Duration
}

func (c *fakeCall) Run() (time.Duration, error) {
	r := c.runner
	r.calls++
	c.calls++
	if r.onCall != nil {
		r.onCall(r.calls)
	}
	if r.calls == r.failAt {
		return 0, errors.New("device lost")
	}
	took := float64(c.base) * math.Exp(r.noise*r.random.NormFloat64())
	if c.calls <= r.cold {
		took *= 3
	}
	if r.load != nil {
		took *= r.load(r.now)
	}
	c.total += time.Duration(took)
	r.now += time.Duration(took)
	return time.Duration(took), nil
}

func (c *fakeCall) Close() { c.runner.open-- }

// fake makes a runner for n operations that take 10 µs, 20 µs, 30 µs, …
func fake(n int, noise float64) (*fakeRunner, []space.Op) {
	r := &fakeRunner{base: map[space.Op]time.Duration{}, noise: noise, random: rand.New(rand.NewPCG(1, 2))}
	var ops []space.Op
	for i := range n {
		op := space.Op{Kind: space.Skip, In: i + 1, Out: i + 1, Stride: 1, Resolution: 8}
		ops = append(ops, op)
		r.base[op] = time.Duration(i+1) * 10 * time.Microsecond
	}
	return r, ops
}

// job makes a job of operations, whose sentinel is the first.
func job(ops []space.Op) Job {
	j := Job{Sentinel: ops[0], Log: &Log{}}
	for i, op := range ops {
		j.Items = append(j.Items, space.OpCount{Op: op, Count: i%3 + 1})
	}
	return j
}

// soon is the default policy of rounds that may be over soon.
func soon() Policy {
	p := DefaultPolicy()
	p.Span = 0
	return p
}

func TestProfileFindsTheTimes(t *testing.T) {
	r, ops := fake(40, 0.05)
	r.cold = 5
	p := soon()
	p.Group, p.PassTime = 16, 0
	steps, saved := 0, 0
	observer := Observer{
		Save:     func(all ...Record) error { saved += len(all); return nil },
		Progress: func(n int, _ string) { steps += n },
	}
	j := job(ops)
	if err := Profile(t.Context(), r, j, p, observer); err != nil {
		t.Fatal(err)
	}
	done, empty := j.Log.Measurements(), j.Log.Call()
	if len(done) != len(ops) || saved != len(ops) || r.open != 0 || r.most != p.Group+2 || steps != Steps(len(ops), p) {
		t.Fatalf("%d of %d measured, %d left open, at most %d open, %d of %d steps", len(done), len(ops), r.open, r.most, steps, Steps(len(ops), p))
	}
	for _, m := range done {
		want := milliseconds(r.base[m.Op])
		if math.Abs(m.MedianMS-want) > 0.03*want || m.Noisy || m.Lowering != "taps" {
			t.Errorf("%s: %+v, want about %g ms", m.Op.Key(), m, want)
		}
		if !(m.MinMS <= m.P10MS && m.P10MS <= m.MedianMS && m.MedianMS <= m.P90MS && m.LowMS <= m.MedianMS && m.MedianMS <= m.HighMS) {
			t.Errorf("%s: out of order: %+v", m.Op.Key(), m)
		}
		if (m.HighMS-m.LowMS)/2 > p.Precision*m.MedianMS || !look(m.Summary.Rounds, p.MinRounds) || m.Count < m.Summary.Rounds {
			t.Errorf("%s: not precise: %+v", m.Op.Key(), m)
		}
	}
	if math.Abs(empty.MedianMS-0.005) > 0.0002 || empty.Rounds < 3*p.MinRounds {
		t.Errorf("empty call %+v", empty)
	}
}

func TestNoisyOperationsAreFlagged(t *testing.T) {
	r, ops := fake(1, 0)
	r.base[ops[0]] = 50 * time.Millisecond // one call per lap, one lap per round: nothing averages the noise
	r.noise = 1
	p := soon()
	p.Precision, p.Limit, p.MaxDiscarded = 0.001, time.Second, 0
	j := job(ops)
	if err := Profile(t.Context(), r, j, p, Observer{}); err != nil {
		t.Fatal(err)
	}
	if m := j.Log.Measurements()[0]; !m.Noisy || m.Summary.Rounds < minInterval || m.Summary.Rounds > 60 || m.HighMS <= m.LowMS {
		t.Errorf("%+v: want it noisy, after about %v", m, p.Limit)
	}
}

// What a long group has measured so far is saved now and then, and what is saved of an operation adds up to what one that goes
// on knows of it.
func TestLongGroupsAreSavedInBetween(t *testing.T) {
	r, ops := fake(20, 0.05)
	for op := range r.base {
		r.base[op] = 20 * time.Millisecond
	}
	var saved Log
	partial, last := 0, time.Duration(0)
	j := job(ops)
	p := soon()
	p.Limit = 10 * time.Second
	save := func(records ...Record) error {
		for _, record := range records {
			if record.Partial {
				if partial++; r.now-last < keepEvery && r.now != last {
					t.Errorf("saved at %v and at %v", last, r.now)
				}
				last = r.now
			}
			if err := saved.Add(record); err != nil {
				return err
			}
		}
		return nil
	}
	if err := Profile(t.Context(), r, j, p, Observer{Save: save, pause: r.pause, now: r.clock}); err != nil {
		t.Fatal(err)
	}
	if partial < len(ops) || saved.Partial() > 0 {
		t.Errorf("%d saved in between, %d operations not complete", partial, saved.Partial())
	}
	want, got := j.Log.Measurements(), saved.Measurements()
	if len(want) != len(ops) || !slices.EqualFunc(want, got, func(a, b Measurement) bool {
		return a.Summary == b.Summary && a.Op == b.Op && reflect.DeepEqual(a.Rounds, b.Rounds)
	}) {
		t.Errorf("saved %+v, measured %+v", got, want)
	}
}

// An operation that takes longer than its limit still gets an interval.
func TestLongOperationsGetAnInterval(t *testing.T) {
	r, ops := fake(1, 0.01)
	r.base[ops[0]] = time.Minute
	j := job(ops)
	if err := Profile(t.Context(), r, j, soon(), Observer{}); err != nil {
		t.Fatal(err)
	}
	if m := j.Log.Measurements()[0]; m.Summary.Rounds != minInterval || m.Count != minInterval || math.IsInf(m.HighMS, 0) || m.HighMS <= m.LowMS {
		t.Errorf("%+v", m)
	}
}

func TestShortOperationsShareALap(t *testing.T) {
	r, _ := fake(1, 0)
	s := &subject{call: r.call(10 * time.Microsecond)}
	if err := warmUp(t.Context(), soon(), s); err != nil {
		t.Fatal(err)
	}
	if s.calls != 100 {
		t.Errorf("%d calls of 10 µs in a lap of 1 ms", s.calls)
	}
	perCall, took, err := s.lap(0)
	if err != nil || math.Abs(perCall-0.01) > 1e-9 || took != time.Millisecond {
		t.Errorf("a lap takes %v, %g ms per call, %v", took, perCall, err)
	}
}

func TestCancelledProfileSavesWhatIsComplete(t *testing.T) {
	r, ops := fake(12, 0.05)
	p := soon()
	p.Group, p.PassTime = 4, 0
	ctx, cancel := context.WithCancel(t.Context())
	// The second group begins when the fifth operation is prepared.
	observer := Observer{
		Progress: func(_ int, note string) {
			if note == ops[5].Key() {
				cancel()
			}
		},
	}
	j := job(ops)
	if err := Profile(ctx, r, j, p, observer); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	if done := j.Log.Measurements(); len(done) != 4 || r.open != 0 {
		t.Errorf("%d saved, want the 4 of the first group; %d left open", len(done), r.open)
	}
}

// What was measured of operations that were not complete when a run was interrupted counts in the run that goes on.
func TestInterruptedRoundsAreKept(t *testing.T) {
	r, ops := fake(soon().Group, 0.05)
	p := soon()
	path := filepath.Join(t.TempDir(), "a.lut.json")
	plan := Plan{Items: job(ops).Items, Resolutions: []int{32}}
	s := settings()
	s.Policy = p
	var interrupted, whole *Log
	for _, log := range []**Log{&interrupted, &whole} {
		store, err := s.Open(path, plan, plan)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		rounds := 0
		observer := Observer{Save: store.Save, now: r.clock, Progress: func(int, string) {
			if rounds++; log == &interrupted && rounds == len(ops)*5 {
				cancel()
			}
		}}
		if err := Profile(ctx, r, store.Job, p, observer); (err != nil) != (log == &interrupted) {
			t.Fatal(err)
		}
		cancel()
		*log = store.Job.Log
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := interrupted.Partial(); n != len(ops) || len(interrupted.Measurements()) != 0 {
		t.Errorf("%d partial and %d complete of %d", n, len(interrupted.Measurements()), len(ops))
	}
	if n := whole.Partial(); n != 0 || len(whole.Measurements()) != len(ops) {
		t.Errorf("%d partial and %d complete of %d in the end", n, len(whole.Measurements()), len(ops))
	}
	for _, m := range whole.Measurements() {
		before := interrupted.entry(m.Op).Rounds
		if len(before) < 2 || m.Visits != 2 || !cmp.Equal(m.Rounds[:len(before)], before) || !look(m.Summary.Rounds, p.MinRounds) {
			t.Errorf("%s: %d rounds of %d visits, %d counted, after %d", m.Op.Key(), len(m.Rounds), m.Visits, m.Summary.Rounds, len(before))
		}
	}
}

func TestCancelledGroupSavesWhatIsComplete(t *testing.T) {
	r, ops := fake(soon().Group, 0.1)
	p := soon()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Operations need different numbers of rounds: the third that is complete ends the run.
	saved := 0
	observer := Observer{Save: func(all ...Record) error {
		for _, r := range all {
			if !r.Partial {
				saved++
			}
		}
		if saved >= 3 {
			cancel()
		}
		return nil
	}}
	j := job(ops)
	if err := Profile(ctx, r, j, p, observer); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	done := j.Log.Measurements()
	if len(done) != saved || saved < 3 || saved == len(ops) || r.open != 0 {
		t.Errorf("%d saved, %d measured, %d left open", saved, len(done), r.open)
	}
	for _, m := range done {
		if m.Summary.Rounds < p.MinRounds || (m.HighMS-m.LowMS)/2 > p.Precision*m.MedianMS {
			t.Errorf("saved before it met the stopping rule: %+v", m)
		}
	}
}

func TestProfileReportsFailures(t *testing.T) {
	r, ops := fake(3, 0)
	r.failAt = 500
	if err := Profile(t.Context(), r, job(ops), soon(), Observer{}); err == nil || r.open != 0 {
		t.Errorf("a lost device: %v, %d left open", err, r.open)
	}
	r, ops = fake(3, 0)
	delete(r.base, ops[1])
	if err := Profile(t.Context(), r, job(ops), soon(), Observer{}); err == nil || r.open != 0 {
		t.Errorf("an operation that cannot be compiled: %v, %d left open", err, r.open)
	}
	full := errors.New("disk full")
	r, ops = fake(3, 0)
	if err := Profile(t.Context(), r, job(ops), soon(), Observer{Save: func(...Record) error { return full }}); !errors.Is(err, full) {
		t.Errorf("saving failed: %v", err)
	}
}

func TestSample(t *testing.T) {
	r, _ := fake(0, 0.02)
	of, ofEmpty, err := Sample(t.Context(), r.call(3*time.Millisecond), r.call(5*time.Microsecond), nil, soon())
	if err != nil {
		t.Fatal(err)
	}
	if s, empty := of.At(0), ofEmpty.At(0); of.Noisy || of.SentinelMS() != 0 || math.Abs(s.MedianMS-3) > 0.06 || math.Abs(empty.MedianMS-0.005) > 0.0002 {
		t.Errorf("%+v, call %+v, noisy %v, sentinel %g ms", s, empty, of.Noisy, of.SentinelMS())
	}
}

// flaggingCall makes the device slower by a factor from one of its calls on.
type flaggingCall struct {
	deviceCall
	calls, at int
	to        float64
}

func (c *flaggingCall) Run() (time.Duration, error) {
	if c.calls++; c.calls == c.at {
		*c.slower = c.to
	}
	return c.deviceCall.Run()
}

// A sentinel tells how slow the device is, round by round, and what is observed stays as it is.
func TestSampleBesideASentinel(t *testing.T) {
	p := soon()
	p.MinRounds, p.MaxRounds = 10, 10
	sample := func(at int) (of Series, calls int) {
		slower := 1.0
		network := &flaggingCall{deviceCall: deviceCall{3 * time.Millisecond, &slower}, at: at, to: 1.08} // less than a sentinel may be off
		call := func(took time.Duration) Call { return deviceCall{took, &slower} }
		of, _, err := Sample(t.Context(), network, call(5*time.Microsecond), call(2*time.Millisecond), p)
		if err != nil {
			t.Fatal(err)
		}
		return of, network.calls
	}
	_, calls := sample(0)
	of, _ := sample(calls - 12) // in the middle of the rounds
	if of.At(0).MinMS > 3.01 || of.At(0).P90MS < 3.23 {
		t.Errorf("observed %+v, which does not change", of.At(0))
	}
	if s := of.At(2); math.Abs(s.MedianMS-3) > 1e-6 || math.Abs(s.LowMS-3) > 0.15 || math.Abs(s.HighMS-3) > 0.15 {
		t.Errorf("at the speed with which the sentinel takes 2 ms: %+v", s)
	}
	if s := of.At(4); math.Abs(s.MedianMS-6) > 1e-6 {
		t.Errorf("at half of that speed: %+v", s)
	}
	if ms := of.SentinelMS(); ms < 2 || ms > 2.16+1e-9 {
		t.Errorf("the sentinel takes %g ms", ms)
	}
}
