package profiler

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"densenas/supernet/space"
)

// busy is a device that a neighbour slows down for 5 s out of ten.
func busy(first bool) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		if slow := int(at/(5*time.Second))%2 == 0; slow == first {
			return 1.6
		}
		return 1
	}
}

// worst is the largest relative error of the medians.
func worst(t *testing.T, r *fakeRunner, l *Log) float64 {
	t.Helper()
	largest := 0.0
	for _, m := range l.Measurements() {
		want := milliseconds(r.base[m.Op])
		largest = max(largest, math.Abs(m.MedianMS/want-1))
	}
	return largest
}

func TestNeighboursDoNotMoveMedians(t *testing.T) {
	for name, first := range map[string]bool{"busy first": true, "quiet first": false} {
		t.Run(name, func(t *testing.T) {
			r, ops := fake(24, 0.02)
			for op := range r.base {
				r.base[op] *= 30
			}
			r.load = busy(first)
			j, long := job(ops), soon()
			long.Limit = time.Second
			if err := Profile(t.Context(), r, j, long, Observer{pause: r.pause, now: r.clock}); err != nil {
				t.Fatal(err)
			}
			sentinel := j.Log.describeSentinel(ops[0].Key())
			if sentinel.Dropped == 0 || r.now < 10*time.Second {
				t.Errorf("nothing discarded in %v: %+v", r.now, sentinel)
			}
			if w := worst(t, r, j.Log); w > 0.02 {
				t.Errorf("a median is off by %.1f %%", 100*w)
			}
			table := settings().NewTable()
			settings().Fill(table, j.Log, ops[0].Key())
			for _, e := range table.Entries {
				if len(e.Flags) > 0 {
					t.Errorf("%s is flagged %v", e.Key, e.Flags)
				}
			}

			// The same without what the sentinel is for, of operations that take longer, so that each meets busy spells.
			r, ops = fake(24, 0.02)
			for op := range r.base {
				r.base[op] *= 60
			}
			r.load = busy(first)
			p := soon()
			p.MaxDiscarded, p.PassTime = 0, 0
			j = job(ops)
			if err := Profile(t.Context(), r, j, p, Observer{pause: r.pause, now: r.clock}); err != nil {
				t.Fatal(err)
			}
			scale := j.Log.Reference() / milliseconds(r.base[ops[0]]) // the device was busy for most of the run, or not
			for op, base := range r.base {
				r.base[op] = time.Duration(float64(base) * scale)
			}
			if w := worst(t, r, j.Log); w > 0.02 {
				t.Errorf("corrected, a median is off by %.1f %%", 100*w)
			}
			largest := 0.0
			for _, m := range j.Log.Measurements() {
				largest = max(largest, math.Abs(median(m.RoundMedians(false))/milliseconds(r.base[m.Op])-1))
			}
			if largest < 0.2 {
				t.Errorf("without the sentinel the medians are off by %.1f %% at most", 100*largest)
			}
		})
	}
}

// A plan that would be over within one busy spell of a neighbour goes on until it has met a quiet one.
func TestShortPlansOutlastANeighboursSpell(t *testing.T) {
	for _, c := range []struct {
		policy   Policy
		min, max float64 // of the largest relative error
	}{{DefaultPolicy(), 0, 0.02}, {soon(), 0.5, 0.7}} {
		r, ops := fake(7, 0.02)
		r.load = busy(true)
		j := job(ops)
		if err := Profile(t.Context(), r, j, c.policy, Observer{pause: r.pause, now: r.clock}); err != nil {
			t.Fatal(err)
		}
		if w := worst(t, r, j.Log); w < c.min || w > c.max {
			t.Errorf("rounds that span %v, %v in all: a median is off by %.1f %%", c.policy.Span, r.now, 100*w)
		}
	}
}

// A device that becomes slower for good is measured as it is then, corrected to what it was like for most of the run, and its
// entries say so. Waiting for it ends.
func TestThrottledEntriesAreFlagged(t *testing.T) {
	r, ops := fake(40, 0.01)
	for op := range r.base {
		r.base[op] *= 30
	}
	slower := 1.0
	r.load = func(time.Duration) float64 { return slower }
	throttle := func(_ int, note string) {
		if note == ops[32].Key() { // of the last group, is prepared
			slower = 1.8
		}
	}
	var paused time.Duration
	pause := func(ctx context.Context, d time.Duration) error { paused += d; return r.pause(ctx, d) }
	j := job(ops)
	p := soon()
	p.PassTime = 0 // one group after the other
	if err := Profile(t.Context(), r, j, p, Observer{pause: pause, now: r.clock, Progress: throttle}); err != nil {
		t.Fatal(err)
	}
	table := settings().NewTable()
	settings().Fill(table, j.Log, ops[0].Key())
	flagged := 0
	for i, e := range table.Entries {
		m := j.Log.Measurements()[i]
		base := milliseconds(r.base[m.Op])
		if math.Abs(e.MedianMS/base-1) > 0.02 {
			t.Errorf("%s: %g ms, want %g", e.Key, e.MedianMS, base)
		}
		slow := median(m.RoundMedians(false)) > 1.2*base
		if slow != slices.Contains(e.Flags, Throttled) {
			t.Errorf("%s: slow %v, flags %v", e.Key, slow, e.Flags)
		}
		if slow {
			flagged++
		}
	}
	if flagged == 0 || flagged == len(ops) {
		t.Errorf("%d of %d flagged", flagged, len(ops))
	}
	if most := 2 * time.Duration(p.Group) * p.Limit; paused == 0 || paused > most {
		t.Errorf("paused for %v, want at most %v", paused, most)
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
}

// A sentinel that is noisy by itself, as short operations are, is no sign of a device that changes; one that is steady shows
// a change of a tenth.
func TestMarginFollowsTheSentinelsOwnNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	p := soon()
	for _, c := range []struct{ noise, low, high float64 }{{0.005, 0.1, 0.1}, {0.08, 0.2, 0.28}, {0.4, maxMargin, maxMargin}} {
		w := &watch{}
		for range 500 {
			w.add(1 + c.noise*r.NormFloat64())
		}
		if margin := w.margin(p); margin < c.low || margin > c.high {
			t.Errorf("noise %g: margin %g, expected %g to %g", c.noise, margin, c.low, c.high)
		}
	}
	if few := (&watch{times: []float64{1, 2, 3}}); few.margin(p) != p.Off {
		t.Errorf("of three times: margin %g", few.margin(p))
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := wait(t.Context(), time.Nanosecond); err != nil {
		t.Errorf("%v", err)
	}
}

func TestSentinelDependsOnTheOperationsAlone(t *testing.T) {
	plan := NewPlan([]*space.Space{loadSpace(t, "mbv2")}, nil)
	first, ok := SentinelOf(plan.Items)
	slices.Reverse(plan.Items)
	again, _ := SentinelOf(plan.Items)
	if !ok || first != again || first.Kind != space.MBConv {
		t.Errorf("%s, then %s", first.Key(), again.Key())
	}
	cheaper := 0
	for _, item := range plan.Items {
		if item.Op.Kind == space.MBConv && item.Op.MultiplyAdds() < first.MultiplyAdds() {
			cheaper++
		}
	}
	if cheaper < len(plan.Items)/3 || cheaper > 2*len(plan.Items)/3 {
		t.Errorf("%d of %d are cheaper", cheaper, len(plan.Items))
	}
	skips, err := plan.Only("skip_*")
	if err != nil {
		t.Fatal(err)
	}
	if op, ok := SentinelOf(skips.Items); !ok || op.Kind != space.Skip {
		t.Errorf("among skips: %v", op)
	}
	if _, ok := SentinelOf(nil); ok {
		t.Error("a sentinel of nothing")
	}
}

func TestInterleave(t *testing.T) {
	r, _ := fake(0, 0.02)
	r.load = func(at time.Duration) float64 {
		if at > 2*time.Second && at < 3*time.Second {
			return 2
		}
		return 1
	}
	calls := []Call{r.call(2 * time.Millisecond), r.call(3 * time.Millisecond)}
	p := soon()
	p.BackOff = 0
	turns := map[int]int{}
	lastRound := 0
	series, err := Interleave(t.Context(), calls, r.call(time.Millisecond), p, func(round, call int, ms float64) {
		if round < lastRound || !(ms > 0) {
			t.Errorf("round %d after %d, %g ms", round, lastRound, ms)
		}
		lastRound = round
		turns[call]++
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range series {
		if want := float64(i + 2); math.Abs(s.At(s.SentinelMS()).MedianMS/want-1) > 0.02 || math.Abs(median(s.Medians)/want-1) > 0.02 {
			t.Errorf("call %d: %g and %g ms, want %g", i, s.At(s.SentinelMS()).MedianMS, median(s.Medians), want)
		}
		if len(s.Ratios) != len(s.Medians) || len(s.Rounds) != turns[i] || len(s.Medians) > len(s.Rounds) {
			t.Errorf("call %d: %d ratios of %d rounds that count of %d, observed %d", i, len(s.Ratios), len(s.Medians), len(s.Rounds), turns[i])
		}
		for _, ratio := range s.Ratios {
			if !(ratio > 0.8 && ratio < 1.2) {
				t.Errorf("call %d: a round counts whose sentinel is off by %g", i, ratio)
			}
		}
	}
	if len(series) != 2 || r.open != 3 {
		t.Errorf("%d series, %d executables left open by the caller's leave", len(series), r.open)
	}
}

func TestSentinelNetworkIsTheMiddlingOneInAnyOrder(t *testing.T) {
	var networks []*space.Architecture
	for _, width := range []float64{1, 0.25, 1.5, 0.5, 0.75} {
		networks = append(networks, space.MobileNetV2(width, 96, 10))
	}
	want := networks[4].MultiplyAdds()
	for range networks {
		networks = append(networks[1:], networks[0])
		if got := SentinelNetwork(networks).MultiplyAdds(); got != want {
			t.Errorf("%d multiply-adds, want %d", got, want)
		}
	}
}
