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
	// Ops compiles operations, each in the fastest way the runner knows to write it. An error names the operation; nothing has to be
	// closed then.
	Ops(ctx context.Context, ops []space.Op) ([]Compiled, error)
	// Empty compiles a graph of next to no work that the runtime calls as it calls operations: what it takes is the time of a
	// call.
	Empty() (Call, error)
}

// Compiled is an operation that can be called.
type Compiled struct {
	Call     Call
	Lowering string // how it is written; "" where there is one way
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
	// Save gets visits to operations as soon as they are complete, those together that are complete at once. An error ends the
	// profile.
	Save func(...Record) error
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
	sentinel, err := r.Ops(ctx, []space.Op{job.Sentinel})
	if err != nil {
		return fmt.Errorf("the sentinel: %w", err)
	}
	defer sentinel[0].Call.Close()
	if s.bench, err = newBench(ctx, sentinel[0].Call, p, job.Log.past(), o.pause, o.now); err != nil {
		return err
	}
	if p.Total > 0 {
		s.bench.policy.MaxRounds = p.MinRounds // for now
	}
	for rest := ops; len(rest) > 0; {
		taken, err := s.group(ctx, rest, false, nil)
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
		if m := s.log.entry(item.Op); m != nil && m.slow(reference) {
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
			if left -= s.log.entry(op).Compile + s.policy.Settle/time.Duration(s.policy.Group); len(group) == s.policy.Group || left <= 0 {
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
		m := j.Log.entry(item.Op)
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
	var pass time.Duration
	for taken < min(len(ops), maxTogether) && (taken < s.policy.Group || pass < s.policy.PassTime) {
		some := ops[taken:min(taken+s.policy.further(taken, pass), len(ops), maxTogether)]
		taken += len(some)
		prepared, err := s.prepare(ctx, some, anew)
		visits = append(visits, prepared...)
		if err != nil {
			return 0, err
		}
		for _, v := range prepared {
			lap, err := v.try()
			if err != nil {
				return 0, fmt.Errorf("%s: %w", v.op.Key(), err)
			}
			lap = max(lap, s.policy.MinLap)
			pass += lap * time.Duration(1+s.policy.laps(lap))
		}
	}
	m := measuring{session: s, visits: visits, empty: s.bench.subject(s.empty), saved: s.observer.now()}
	m.empty.name, m.empty.companion = "the empty call", true
	subjects := []*subject{m.empty}
	for _, v := range visits {
		subjects = append(subjects, v.subject)
	}
	if err := warmUp(ctx, s.policy, subjects...); err != nil {
		return 0, err
	}
	err = s.bench.rounds(ctx, subjects, follower{ended: m.ended, enough: enough})
	if err != nil && ctx.Err() != nil && !anew {
		err = errors.Join(err, m.keep())
	}
	return taken, err
}

// measuring is a group of visits while it is measured.
type measuring struct {
	*session
	visits  []*visit
	empty   *subject
	written int       // of its rounds have been saved
	saved   time.Time // when visits that are not complete were saved
}

// keepEvery is how often visits that are not complete are saved: a run that is killed loses what it measured since.
const keepEvery = 30 * time.Second

// ended follows a round.
func (m *measuring) ended(r round) error {
	var complete []Record
	for _, v := range m.visits {
		if v.complete {
			continue
		}
		tookPart := len(v.rounds) > v.earlier && v.rounds[len(v.rounds)-1].Number == r.number
		if tookPart && !v.done && v.first && len(v.medians) > 0 && len(v.medians) < m.policy.MinRounds {
			m.progress(1, v.op.Key())
		}
		if !v.done {
			continue
		}
		v.complete = true
		if v.first {
			m.progress(max(m.policy.MinRounds-len(v.medians), 0)+1, v.op.Key())
		}
		record, err := m.add(v, len(v.rounds), len(m.empty.rounds))
		if err != nil {
			return err
		}
		complete = append(complete, record)
	}
	if err := m.save(complete); err != nil {
		return err
	}
	if m.observer.now().Sub(m.saved) < keepEvery {
		return nil
	}
	return m.keep()
}

// keep saves what was measured of visits that are not complete, but for a round that was cut short.
func (m *measuring) keep() error {
	m.saved = m.observer.now()
	calls := len(m.bench.whole(m.empty.rounds))
	var partial []Record
	for _, v := range m.visits {
		known, rounds := m.log.entry(v.op), m.bench.whole(v.rounds)
		if v.complete || known != nil && !known.Partial || v.record.Visit >= maxVisits || !anyCounts(rounds[min(v.earlier, len(rounds)):]) {
			continue
		}
		v.record.Partial = true
		record, err := m.add(v, len(rounds), calls)
		if err != nil {
			return err
		}
		partial = append(partial, record)
		// What follows is another visit.
		v.record.Visit, v.record.Anew, v.record.Partial = v.record.Visit+1, false, false
		v.earlier = len(rounds)
	}
	return m.save(partial)
}

// add adds a visit to the log, up to so many rounds, with the rounds of the empty call since the one before.
func (m *measuring) add(v *visit, rounds, calls int) (Record, error) {
	r := v.record
	r.ElapsedMS = rounded(milliseconds(m.elapsed()))
	r.Noisy, r.Throttled = v.noisy, v.throttled
	r.Rounds, r.Call = slices.Clone(v.rounds[v.earlier:rounds]), slices.Clone(m.empty.rounds[m.written:calls])
	r.Outliers = labelOutliers(r.Rounds, middle(r.Rounds))
	m.written = calls
	if err := m.log.Add(r); err != nil {
		return r, fmt.Errorf("not saved: %w", err)
	}
	return r, nil
}

// save hands records over.
func (m *measuring) save(records []Record) error {
	if m.observer.Save == nil || len(records) == 0 {
		return nil
	}
	return m.observer.Save(records...)
}

// prepare compiles operations. What it returns beside an error has to be closed too. It returns nothing for
// an operation that was written otherwise before.
func (s *session) prepare(ctx context.Context, ops []space.Op, anew bool) (visits []*visit, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	start := s.observer.now()
	compiled, err := s.runner.Ops(ctx, ops)
	if err != nil {
		return nil, err
	}
	took := rounded(milliseconds(s.observer.now().Sub(start)) / float64(len(ops)))
	for i, op := range ops {
		if v := s.visit(op, compiled[i], anew); v != nil {
			v.record.CompileMS = took
			visits = append(visits, v)
		} else {
			compiled[i].Call.Close()
		}
	}
	return visits, nil
}

// visit prepares the measurement of a compiled operation; nil where what is known of it was written otherwise.
func (s *session) visit(op space.Op, c Compiled, anew bool) *visit {
	v := &visit{subject: s.bench.subject(c.Call), op: op}
	v.name = op.Key()
	v.record = Record{Key: op.Key(), Visit: 1, Lowering: c.Lowering}
	v.first = true
	if m := s.log.entry(op); m != nil && anew {
		v.first, v.record.Visit, v.record.Anew = false, m.Visits+1, true
	} else if m != nil && m.Partial && m.Lowering != c.Lowering {
		v.record.Visit, v.record.Anew = m.Visits+1, true
	} else if m != nil {
		if m.Lowering != c.Lowering {
			return nil // both ways take about as long: what is known of one stays
		}
		v.first, v.record.Visit, v.earlier, v.spanned = m.Partial, m.Visits+1, len(m.Rounds), true
		v.rounds = slices.Clone(m.Rounds)
		for i := range v.rounds {
			v.perRound = append(v.perRound, took(&v.rounds[i], s.policy))
		}
	}
	if v.first {
		s.progress(s.policy.MinRounds, op.Key())
	}
	return v
}

func (s *session) progress(steps int, note string) {
	if s.observer.Progress != nil {
		s.observer.Progress(steps, note)
	}
}
