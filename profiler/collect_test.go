package profiler

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// litterer allocates within its calls, as the pure-Go backend does, and notes the collections that it sees.
type litterer struct {
	bytes int
	kept  []byte
	seen  []uint32
}

func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

func (l *litterer) Run() (time.Duration, error) {
	l.kept = make([]byte, l.bytes)
	l.seen = append(l.seen, collections())
	return 100 * time.Microsecond, nil
}
func (l *litterer) Close() {}

// Collections happen between laps and never within one, though the laps litter more than the heap may grow.
func TestNothingIsCollectedWithinALap(t *testing.T) {
	call := &litterer{bytes: 4 << 20}
	before := debug.SetGCPercent(50)
	defer debug.SetGCPercent(before)
	p := soon()
	p.MaxRounds, p.WarmUp = p.MinRounds, 5*time.Millisecond
	b, err := NewBench(t.Context(), nil, p)
	if err != nil {
		t.Fatal(err)
	}
	s := b.subject(call)
	if err := warmUp(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	call.seen = nil
	refreshed := max(2, s.calls/4) // calls before the laps of a round
	first := collections()
	if err := b.rounds(t.Context(), []*subject{s}, follower{}); err != nil {
		t.Fatal(err)
	}
	round := refreshed + p.MaxLaps*s.calls
	if s.calls < 2 || len(call.seen)%round != 0 {
		t.Fatalf("%d calls in rounds of %d, of laps of %d", len(call.seen), round, s.calls)
	}
	for i := 0; i < len(call.seen); i += round {
		for lap := i + refreshed; lap < i+round; lap += s.calls {
			if call.seen[lap] != call.seen[lap+s.calls-1] {
				t.Fatalf("collected within the lap after call %d", lap)
			}
		}
	}
	if between := call.seen[len(call.seen)-1] - first; between < 3 {
		t.Errorf("%d collections between laps that leave %d MB", between, len(call.seen)*4)
	}
	if debug.SetGCPercent(50) != 50 {
		t.Error("collection was not turned on again")
	}
}

// What the package does within a lap allocates nothing.
func TestLapsDoNotAllocate(t *testing.T) {
	r, _ := fake(0, 0)
	s := &subject{call: r.call(10 * time.Microsecond), calls: 100, single: make([]float64, 0, singles), shortest: time.Hour}
	if n := testing.AllocsPerRun(100, func() {
		s.single = s.single[:0]
		if _, _, err := s.lap(7); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a lap allocates %g times", n)
	}
}

func TestSingleCallsGivePercentiles(t *testing.T) {
	r, _ := fake(0, 0.3)
	b, err := NewBench(t.Context(), nil, soon())
	if err != nil {
		t.Fatal(err)
	}
	turns := func(base, clock time.Duration) []Round {
		s := b.subject(r.call(base))
		s.clock = clock
		if err := warmUp(t.Context(), b.policy, s); err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			if err := s.turn(n, b.policy, func() {}); err != nil {
				t.Fatal(err)
			}
		}
		return s.rounds
	}
	short := turns(10*time.Microsecond, 50*time.Nanosecond)
	r10 := short[0]
	if len(r10.CallsMS) != singles || len(r10.LapsMS) != b.policy.MaxLaps || r10.MinMS > 0.006 {
		t.Errorf("of short calls: %+v", r10)
	}
	// Laps average the noise of their calls away, single calls show it.
	if s := summarize(short, 0); s.P90MS < 1.2*s.MedianMS || s.P10MS > 0.8*s.MedianMS || s.MinMS > r10.MinMS {
		t.Errorf("%+v", s)
	}
	if long := turns(5*time.Millisecond, 50*time.Nanosecond)[0]; len(long.CallsMS) != 0 || long.MinMS != 0 {
		t.Errorf("laps of one call are single calls already: %+v", long)
	}
	if coarse := turns(10*time.Microsecond, time.Microsecond)[0]; len(coarse.CallsMS) != 0 {
		t.Errorf("calls that the clock cannot tell apart: %+v", coarse)
	}
}
