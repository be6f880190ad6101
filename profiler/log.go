package profiler

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"densenas/lut"
	"densenas/supernet/space"
)

// Measurement is a completely measured operation.
type Measurement struct {
	Op       space.Op
	Lowering string // how it was written, where there is a choice
	Summary
	// Noisy: the time was used up before the interval was narrow enough. Throttled: the sentinel was off
	// in more than a quarter of the rounds that count.
	Noisy, Throttled bool
	// Partial: the run was interrupted before the operation was complete. It is no entry of a table, and a run that goes on adds to
	// its rounds.
	Partial bool
	Rounds  []Round       // all, discarded ones too
	Visits  int           // how often it was compiled and measured
	Compile time.Duration // of the first visit

	sentinel float64 // ms, the reference that the summary is corrected to: the median around the rounds that count
}

// Record is what one visit to an operation measured: a line of a journal.
type Record struct {
	Key   string `json:"key"`
	Visit int    `json:"visit"` // from 1; a further visit adds rounds to those before
	// Anew: the rounds of the visits before do not count any more, because the device was slower then.
	Anew      bool    `json:"anew,omitempty"`
	Partial   bool    `json:"partial,omitempty"` // interrupted before the operation was complete
	Lowering  string  `json:"lowering,omitempty"`
	CompileMS float64 `json:"compile_ms"`
	ElapsedMS float64 `json:"elapsed_ms"` // of the whole run until now, over all continuations
	Noisy     bool    `json:"noisy,omitempty"`
	Throttled bool    `json:"throttled,omitempty"`
	Outliers  int     `json:"outliers"` // among the laps of this visit; each round names its own
	Rounds    []Round `json:"rounds"`
	// Call are the rounds of the empty call since the record before.
	Call []Round `json:"call_rounds"`
}

// Log is what was measured so far. Its zero value is empty.
type Log struct {
	order     []string
	entries   map[string]*Measurement
	medians   map[string][]Summary // after each visit
	calls     []Round
	last      int          // number of the last round
	sentinel  []float64    // ms, of all rounds that counted when they were added
	counted   map[int]bool // numbers of these rounds
	discarded map[int]bool // and of those that did not
	elapsedMS float64
}

// Add takes a record, after checking that it fits those before. What is wrong with it is said by the names of its fields.
func (l *Log) Add(r Record) error {
	op, err := space.ParseKey(r.Key)
	if err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("%s: %w", r.Key, err)
	}
	m := l.entries[r.Key]
	switch {
	case r.Visit > maxVisits:
		return fmt.Errorf("%s: visit is %d, allowed are at most %d", r.Key, r.Visit, maxVisits)
	case m != nil && r.Visit == 1:
		return fmt.Errorf("%s: stands there twice; remove one", r.Key)
	case m == nil && r.Visit != 1:
		return fmt.Errorf("%s: visit is %d, but there was none before", r.Key, r.Visit)
	case m != nil && r.Visit != m.Visits+1:
		return fmt.Errorf("%s: visit is %d after %d", r.Key, r.Visit, m.Visits)
	case r.Partial && m != nil && !m.Partial:
		return fmt.Errorf("%s: partial, but complete in the visit before", r.Key)
	case r.Anew && m == nil:
		return fmt.Errorf("%s: anew, but there was no visit before", r.Key)
	case m != nil && !r.Anew && r.Lowering != m.Lowering:
		return fmt.Errorf("%s: lowering is %q, but %q in the visit before", r.Key, r.Lowering, m.Lowering)
	case (m == nil || r.Anew) && !anyCounts(r.Rounds):
		return fmt.Errorf("%s: rounds holds none that counts", r.Key)
	case m != nil && len(r.Rounds) > 0 && r.Rounds[0].Number <= m.Rounds[len(m.Rounds)-1].Number:
		return fmt.Errorf("%s: round %d stands there twice", r.Key, r.Rounds[0].Number)
	case len(r.Call) > 0 && len(l.calls) > 0 && r.Call[0].Number <= l.calls[len(l.calls)-1].Number:
		return fmt.Errorf("%s: round %d of the empty call stands there twice", r.Key, r.Call[0].Number)
	}
	if m == nil {
		if l.entries == nil {
			l.entries, l.medians = map[string]*Measurement{}, map[string][]Summary{}
			l.counted, l.discarded = map[int]bool{}, map[int]bool{}
		}
		m = &Measurement{Op: op, Lowering: r.Lowering, Compile: time.Duration(r.CompileMS * float64(time.Millisecond))}
		l.entries[r.Key] = m
		l.order = append(l.order, r.Key)
	}
	if r.Anew {
		m.Lowering = r.Lowering
		for i := range m.Rounds {
			m.Rounds[i].Discarded = true
		}
	}
	m.Visits, m.Noisy, m.Throttled, m.Partial = r.Visit, r.Noisy, r.Throttled, r.Partial
	m.Rounds = append(m.Rounds, slices.Clone(r.Rounds)...)
	m.sentinel = middle(m.Rounds)
	m.Summary = summarize(m.Rounds, m.sentinel)
	if !r.Partial {
		l.medians[r.Key] = append(l.medians[r.Key], m.Summary)
	}
	l.calls = append(l.calls, r.Call...)
	l.observe(r.Rounds)
	l.observe(r.Call)
	l.elapsedMS = r.ElapsedMS
	return nil
}

// observe takes what rounds say of the sentinel.
func (l *Log) observe(rounds []Round) {
	for i := range rounds {
		r := &rounds[i]
		l.last = max(l.last, r.Number)
		if r.Discarded {
			l.discarded[r.Number] = true
			continue
		}
		l.counted[r.Number] = true
		if r.SentinelMS > 0 {
			l.sentinel = append(l.sentinel, r.SentinelMS)
		}
	}
}

func anyCounts(rounds []Round) bool {
	return slices.ContainsFunc(rounds, func(r Round) bool { return !r.Discarded })
}

// Measurements are the operations that are complete, in the order in which they were first measured, corrected to the sentinel's
// median over the whole run.
func (l *Log) Measurements() []Measurement {
	reference := l.Reference()
	var all []Measurement
	for _, key := range l.order {
		m := *l.entries[key]
		if m.Partial {
			continue
		}
		if reference > 0 && m.sentinel > 0 {
			m.Summary, m.sentinel = m.Summary.scaled(reference/m.sentinel), reference
		}
		all = append(all, m)
	}
	return all
}

// entry is what is known of an operation; nil where nothing is.
func (l *Log) entry(op space.Op) *Measurement {
	if l == nil {
		return nil
	}
	return l.entries[op.Key()]
}

// Partial is the number of operations of which there are rounds, though too few.
func (l *Log) Partial() int { return len(l.order) - len(l.Measurements()) }

// RoundMedians are the medians of the laps of each round that counts, in ms: corrected like the summary, or as observed.
func (m *Measurement) RoundMedians(correct bool) []float64 {
	if correct {
		return corrected(m.Rounds, m.sentinel)
	}
	return corrected(m.Rounds, 0)
}

// Describes says whether an entry follows from the rounds, whatever reference it was corrected to.
func (m *Measurement) Describes(e *lut.Entry) bool { return m.Summary.describes(e) }

func (s Summary) describes(e *lut.Entry) bool {
	const rounding = 1e-9
	near := func(ms, of float64) bool { return math.Abs(ms/s.MedianMS-of/e.MedianMS) <= rounding }
	return s.Count == e.Count && s.Rounds == e.Rounds && near(s.P10MS, e.P10MS) && near(s.P90MS, e.P90MS) && near(s.MinMS, e.MinMS)
}

// Reference is the median of the sentinel's times over the run, in ms; 0 without any.
func (l *Log) Reference() float64 {
	if len(l.sentinel) == 0 {
		return 0
	}
	return median(l.sentinel)
}

// Call describes the empty call; zero before anything was measured.
func (l *Log) Call() Summary { return summarize(l.calls, l.Reference()) }

// Elapsed is how long the run took.
func (l *Log) Elapsed() time.Duration {
	return time.Duration(l.elapsedMS * float64(time.Millisecond))
}

// past is what a bench that goes on should know.
func (l *Log) past() past { return past{rounds: l.last, sentinel: l.sentinel} }

// describeSentinel describes the sentinel, whose key is given; nil where there was none.
func (l *Log) describeSentinel(key string) *lut.Sentinel {
	if len(l.sentinel) == 0 {
		return nil
	}
	times := slices.Sorted(slices.Values(l.sentinel))
	s := &lut.Sentinel{Key: key, MedianMS: median(times), Rounds: len(l.counted)}
	for number := range l.discarded {
		if !l.counted[number] {
			s.Dropped++
		}
	}
	s.DriftP10, s.DriftP90 = quantile(times, 0.1)/s.MedianMS, quantile(times, 0.9)/s.MedianMS
	return s
}

// slow says whether the sentinel was far slower in the middle of an operation's rounds than a reference, in ms.
func (m *Measurement) slow(reference float64) bool { return middle(m.Rounds) > (1+farOff)*reference }

// check reports the first thing that makes a record useless.
func (r *Record) check() error {
	for _, f := range []struct {
		field string
		value float64
	}{{"compile_ms", r.CompileMS}, {"elapsed_ms", r.ElapsedMS}} {
		if !(f.value >= 0 && f.value <= maxTimeMS) {
			return fmt.Errorf("%s is %g, allowed is 0 to %g", f.field, f.value, maxTimeMS)
		}
	}
	if len(r.Lowering) > 40 || strings.Trim(r.Lowering, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return fmt.Errorf("lowering is %.40q, allowed are small letters and _", r.Lowering)
	}
	if r.Outliers < 0 {
		return fmt.Errorf("outliers is %d, allowed is from 0", r.Outliers)
	}
	for _, list := range []struct {
		field  string
		rounds []Round
		most   int
	}{{"rounds", r.Rounds, 2 * maxRounds}, {"call_rounds", r.Call, maxTotalRounds}} {
		if len(list.rounds) > list.most {
			return fmt.Errorf("%s has %d rounds, allowed are at most %d", list.field, len(list.rounds), list.most)
		}
		before := 0
		for i := range list.rounds {
			if err := list.rounds[i].check(before); err != nil {
				return fmt.Errorf("%s[%d]: %w", list.field, i, err)
			}
			before = list.rounds[i].Number
		}
	}
	return nil
}

// Bounds of a journal beside those of a policy.
const (
	minTimeMS      = 1e-7 // what is shorter is written as this
	maxTimeMS      = 1e9
	maxTotalRounds = 10_000_000
	maxVisits      = 100 // to one operation
)

func (r *Round) check(before int) error {
	if r.Number <= before || r.Number > maxTotalRounds {
		return fmt.Errorf("round is %d after %d, allowed is an ascending order up to %d", r.Number, before, maxTotalRounds)
	}
	if len(r.LapsMS) > maxLaps || len(r.LapsMS) == 0 && !r.Discarded {
		return fmt.Errorf("laps_ms has %d laps, allowed are 1 to %d", len(r.LapsMS), maxLaps)
	}
	if len(r.CallsMS) > singles || (len(r.CallsMS) > 0) != (r.MinMS != 0) || r.MinMS < 0 {
		return fmt.Errorf("calls_ms has %d calls and min_ms is %g, allowed are at most %d calls, and min_ms, above 0, beside them alone", len(r.CallsMS), r.MinMS, singles)
	}
	for i, lap := range r.Outliers {
		if lap < 0 || lap >= len(r.LapsMS) || i > 0 && lap <= r.Outliers[i-1] {
			return fmt.Errorf("outlier_laps[%d] is %d, allowed are numbers of laps, from 0, in ascending order", i, lap)
		}
	}
	if r.SentinelMS != 0 && !(r.SentinelMS >= minTimeMS && r.SentinelMS <= maxTimeMS) {
		return fmt.Errorf("sentinel_ms is %g, allowed is 0 or %g to %g", r.SentinelMS, minTimeMS, maxTimeMS)
	}
	for _, list := range []struct {
		field string
		times []float64
	}{{"laps_ms", r.LapsMS}, {"calls_ms", r.CallsMS}} {
		for i, ms := range list.times {
			if !(ms >= minTimeMS && ms <= maxTimeMS) || list.field == "calls_ms" && ms < r.MinMS {
				return fmt.Errorf("%s[%d] is %g, allowed is %g, and for calls min_ms, to %g", list.field, i, ms, minTimeMS, maxTimeMS)
			}
		}
	}
	return nil
}
