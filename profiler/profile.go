package profiler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"densenas/supernet/space"
)

// Runner makes executables for one device, with one runtime, at one batch. It is used from one goroutine.
type Runner interface {
	// Op compiles an operation, in the fastest way the runner knows to write it, which it names; "" where there is one.
	Op(ctx context.Context, op space.Op) (call Call, lowering string, err error)
	// Empty compiles a graph of next to no work that the runtime calls as it calls operations: what it takes is the time of a
	// call.
	Empty() (Call, error)
}

// Job is what a run measures.
type Job struct {
	// Items are all operations of the run, with the number of places of each, which decides where a budget is spent.
	Items []space.OpCount
	// Sentinel is the operation that tells how steady the device is, see [SentinelOf].
	Sentinel space.Op
	// Log is what was measured before, by a run that is continued; nil: nothing.
	Log *Log
}

// remaining are the operations that have not been measured completely.
func (j Job) remaining() []space.Op {
	var ops []space.Op
	for _, item := range j.Items {
		if m := j.Log.entry(item.Op); m == nil || m.Partial {
			ops = append(ops, item.Op)
		}
	}
	return ops
}

// Finished says whether nothing is left to measure: no operation is missing, and no budget is left for those that are not
// precise.
func (j Job) Finished(p Policy) bool {
	return len(j.remaining()) == 0 && (j.Log == nil || j.Log.Elapsed() >= p.Total || len(j.worth(p)) == 0)
}

// Observer follows a profile. Either function may be nil.
type Observer struct {
	// Save gets each visit to an operation as soon as it is complete. An error ends the profile.
	Save func(Record) error
	// Progress counts steps, of which there are [Steps], and names what was done.
	Progress func(steps int, note string)

	pause func(context.Context, time.Duration) error // nil: waits
	now   func() time.Time                           // nil: that of package time
}

// Steps is the number of steps of a profile: of each operation the rounds that it takes at least, and as many for its
// preparation, which is mostly compiling.
func Steps(operations int, p Policy) int { return operations * 2 * p.MinRounds }

// Profile measures the operations that the job's log lacks, in groups. When ctx ends it returns its error; what is complete has
// been saved.
// Operations that were complete before the device turned out to be faster than it was then are measured anew at the end.
//
// With a budget (Policy.Total), each operation gets its first rounds, and then the budget that is left goes to those that are
// not precise, in the order of how much the uncertainty of the whole space shrinks by it: the width of the interval times the
// number of places. Such an operation is compiled again, so it is visited only if the budget lasts for that.
func Profile(ctx context.Context, r Runner, job Job, p Policy, o Observer) (err error) {
	if err := p.Check(); err != nil {
		return err
	}
	if job.Log == nil {
		job.Log = &Log{}
	}
	o.pause, o.now = orWait(o.pause), orNow(o.now)
	s := session{runner: r, policy: p, observer: o, job: job, log: job.Log, start: o.now(), before: job.Log.Elapsed()}
	ops := job.remaining()
	if job.Finished(p) {
		return nil
	}
	if s.empty, err = r.Empty(); err != nil {
		return fmt.Errorf("compiling the empty call: %w", err)
	}
	defer s.empty.Close()
	sentinel, _, err := r.Op(ctx, job.Sentinel)
	if err != nil {
		return fmt.Errorf("the sentinel, %s: %w", job.Sentinel.Key(), err)
	}
	defer sentinel.Close()
	if s.bench, err = newBench(ctx, sentinel, p, job.Log.past(), o.pause); err != nil {
		return err
	}
	if p.Total > 0 {
		s.bench.policy.MaxRounds = p.MinRounds // for now
	}
	// The first groups are small: whenever a run ends, it has saved about as much as it loses.
	for rest, most := ops, p.Group; len(rest) > 0; most *= 2 {
		taken, err := s.group(ctx, rest[:min(len(rest), most)], false, nil)
		if err != nil {
			return err
		}
		rest = rest[taken:]
	}
	if len(ops) > 0 {
		if err := s.repeat(ctx); err != nil {
			return err
		}
	}
	s.bench.policy.MaxRounds = p.MaxRounds
	return s.refine(ctx)
}

// repeat measures operations anew, once, that were complete before the sentinel showed that the device can be faster; unless it
// is slow now.
func (s *session) repeat(ctx context.Context) error {
	reference := s.bench.watch.reference()
	var ops []space.Op
	for _, item := range s.job.Items {
		if m := s.log.entries[item.Op.Key()]; m != nil && m.slow(reference) {
			ops = append(ops, item.Op)
		}
	}
	for rest := ops; len(rest) > 0; {
		now, err := s.bench.watch.check(s.bench.collector.tidy)
		if err != nil {
			return err
		}
		if s.bench.watch.slow(now, s.policy) || s.policy.Total > 0 && s.elapsed() >= s.policy.Total {
			return nil
		}
		taken, err := s.group(ctx, rest, true, nil)
		if err != nil {
			return err
		}
		rest = rest[taken:]
	}
	return nil
}

func orWait(pause func(context.Context, time.Duration) error) func(context.Context, time.Duration) error {
	if pause == nil {
		return wait
	}
	return pause
}

func orNow(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// session is a profile under way.
type session struct {
	runner   Runner
	policy   Policy
	observer Observer
	bench    *Bench
	job      Job
	log      *Log
	start    time.Time
	before   time.Duration // that the run took before it was continued

	empty Call
}

func (s *session) elapsed() time.Duration { return s.before + s.observer.now().Sub(s.start) }

// refine spends what is left of the budget.
func (s *session) refine(ctx context.Context) error {
	visited := map[space.Op]bool{} // those that met their limit, and would not become better
	for {
		var group []space.Op
		left := s.policy.Total - s.elapsed()
		for _, op := range s.job.worth(s.policy) {
			if visited[op] {
				continue
			}
			if left -= s.log.entries[op.Key()].Compile + s.policy.Settle/time.Duration(s.policy.Group); len(group) == s.policy.Group || left <= 0 {
				break
			}
			group, visited[op] = append(group, op), true
		}
		if len(group) == 0 {
			return nil
		}
		if _, err := s.group(ctx, group, false, func() bool { return s.elapsed() >= s.policy.Total }); err != nil {
			return err
		}
	}
}

// worth are the operations that a budget should make more precise, the most uncertain first; none without a budget.
func (j Job) worth(p Policy) []space.Op {
	if p.Total == 0 {
		return nil
	}
	gain := map[space.Op]float64{}
	var ops []space.Op
	for _, item := range j.Items {
		m := j.Log.entries[item.Op.Key()]
		if m == nil || m.Partial || !m.Noisy || spent(m.Rounds, p) >= p.Limit || m.Summary.Rounds >= p.MaxRounds {
			continue
		}
		ops = append(ops, item.Op)
		gain[item.Op] = (m.HighMS - m.LowMS) * float64(item.Count)
	}
	slices.SortStableFunc(ops, func(a, b space.Op) int { return cmp.Compare(gain[b], gain[a]) })
	return ops
}

// spent estimates the time of the timed laps of rounds that count.
func spent(rounds []Round, p Policy) time.Duration {
	var total time.Duration
	for i := range rounds {
		if !rounds[i].Discarded {
			total += took(&rounds[i], p)
		}
	}
	return total
}

func took(r *Round, p Policy) time.Duration {
	var total time.Duration
	for _, ms := range r.LapsMS {
		total += max(time.Duration(ms*float64(time.Millisecond)), p.MinLap)
	}
	return total
}

// visit is an operation while it is measured.
type visit struct {
	*subject
	op       space.Op
	record   Record
	first    bool // visit to the operation
	complete bool
}

// group measures the first of the operations, as many as should be in memory together, until each is done, or there is enough; anew,
// or in addition to what is known of them. It says how many it took.
func (s *session) group(ctx context.Context, ops []space.Op, anew bool, enough func() bool) (taken int, err error) {
	var visits []*visit
	defer func() {
		for _, v := range visits {
			v.call.Close()
		}
	}()
	var subjects []*subject
	var pass time.Duration
	for _, op := range ops {
		if taken >= s.policy.Group && pass >= s.policy.PassTime || taken == maxTogether {
			break
		}
		taken++
		v, err := s.prepare(ctx, op, anew)
		if v != nil {
			visits, subjects = append(visits, v), append(subjects, v.subject)
		}
		if err != nil {
			return 0, err
		}
		if v != nil && len(ops) > s.policy.Group && s.policy.PassTime > 0 {
			lap, err := v.try()
			if err != nil {
				return 0, fmt.Errorf("%s: %w", op.Key(), err)
			}
			lap = max(lap, s.policy.MinLap)
			pass += lap * time.Duration(1+s.policy.laps(lap))
		}
	}
	empty := s.bench.subject(s.empty)
	empty.name = "the empty call"
	if err := warmUp(ctx, s.policy, append(subjects[:len(subjects):len(subjects)], empty)...); err != nil {
		return 0, err
	}
	written := 0 // rounds of the empty call
	ended := func(r round) error {
		for _, v := range visits {
			if v.complete {
				continue
			}
			tookPart := len(v.rounds) > v.earlier && v.rounds[len(v.rounds)-1].Number == r.number
			if tookPart && !v.done && v.first && len(v.medians) > 0 && len(v.medians) < s.policy.MinRounds {
				s.progress(1, v.op.Key())
			}
			if !v.done {
				continue
			}
			v.complete = true
			if v.first {
				s.progress(max(s.policy.MinRounds-len(v.medians), 0)+1, v.op.Key())
			}
			if err := s.save(v, empty.rounds[written:]); err != nil {
				return err
			}
			written = len(empty.rounds)
		}
		return nil
	}
	err = s.bench.rounds(ctx, subjects, []*subject{empty}, follower{ended: ended, enough: enough})
	if err == nil || ctx.Err() == nil || anew {
		return taken, err
	}
	// Interrupted: what was measured of operations that are not complete is kept, but for the round at hand.
	calls := s.bench.whole(empty.rounds)
	for _, v := range visits {
		if m := s.log.entry(v.op); v.complete || m != nil && !m.Partial {
			continue
		}
		if v.rounds = s.bench.whole(v.rounds); len(v.rounds) == v.earlier {
			continue
		}
		v.record.Partial = true
		if saving := s.save(v, calls[written:]); saving != nil {
			return taken, errors.Join(err, saving)
		}
		written = len(calls)
	}
	return taken, err
}

// prepare compiles an operation. What it returns beside an error has to be closed too. It returns nothing for
// an operation that was written otherwise before.
func (s *session) prepare(ctx context.Context, op space.Op, anew bool) (*visit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	start := s.observer.now()
	call, lowering, err := s.runner.Op(ctx, op)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.Key(), err)
	}
	v := &visit{subject: s.bench.subject(call), op: op}
	v.name = op.Key()
	v.record = Record{Key: op.Key(), Visit: 1, Lowering: lowering, CompileMS: rounded(milliseconds(s.observer.now().Sub(start)))}
	v.first = true
	if m := s.log.entries[op.Key()]; m != nil && anew {
		v.first, v.record.Visit, v.record.Anew = false, m.Visits+1, true
	} else if m != nil && m.Partial && m.Lowering != lowering {
		v.record.Visit, v.record.Anew = m.Visits+1, true
	} else if m != nil {
		if m.Lowering != lowering {
			// Both ways take about as long. What is known of one stays.
			call.Close()
			return nil, nil
		}
		v.first, v.record.Visit, v.earlier = m.Partial, m.Visits+1, len(m.Rounds)
		v.rounds = slices.Clone(m.Rounds)
		for i := range v.rounds {
			v.perRound = append(v.perRound, took(&v.rounds[i], s.policy))
		}
	}
	if v.first {
		s.progress(s.policy.MinRounds, op.Key())
	}
	return v, nil
}

// save hands a visit over, with the rounds of the empty call since the one before.
func (s *session) save(v *visit, call []Round) error {
	r := v.record
	r.ElapsedMS = rounded(milliseconds(s.elapsed()))
	r.Noisy, r.Throttled = v.noisy, v.throttled
	r.Rounds, r.Call = slices.Clone(v.rounds[v.earlier:]), slices.Clone(call)
	r.Outliers = labelOutliers(r.Rounds, middle(r.Rounds))
	if err := s.log.Add(r); err != nil {
		return fmt.Errorf("not saved: %w", err)
	}
	if s.observer.Save == nil {
		return nil
	}
	return s.observer.Save(r)
}

func (s *session) progress(steps int, note string) {
	if s.observer.Progress != nil {
		s.observer.Progress(steps, note)
	}
}
