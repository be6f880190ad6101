package profiler

import (
	"math"
	"testing"
	"time"
)

// cachedCall takes longer after another had the caches, the less so the more often it is called.
type cachedCall struct {
	number int
	last   *int // number of the call that had the caches last
	since  int
}

func (c *cachedCall) Run() (time.Duration, error) {
	if *c.last != c.number {
		*c.last, c.since = c.number, 0
	}
	c.since++
	return time.Duration(float64(time.Millisecond) * (1 + 0.2/float64(c.since*c.since))), nil
}
func (c *cachedCall) Close() {}

// Calls that others have driven out of the caches are measured as they are when they are called again and again, if the policy
// lets them come back.
func TestRefresh(t *testing.T) {
	for _, c := range []struct {
		refresh   int
		low, high float64 // ms
	}{{0, 1.02, 1.2}, {8, 1, 1.005}} {
		p := soon()
		p.Refresh, p.MaxRounds = c.refresh, p.MinRounds // so that neither is alone at the end
		last := 0
		series, err := Interleave(t.Context(), []Call{&cachedCall{number: 1, last: &last}, &cachedCall{number: 2, last: &last}}, nil, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range series {
			if ms := median(s.Medians); math.IsNaN(ms) || ms < c.low || ms > c.high {
				t.Errorf("refreshed by %d calls, call %d takes %g ms, want %g to %g", c.refresh, i, ms, c.low, c.high)
			}
		}
	}
	// So is the sentinel.
	last := 0
	p := soon()
	p.Refresh = 8
	beside, err := Interleave(t.Context(), []Call{&cachedCall{number: 1, last: &last}}, &cachedCall{number: 2, last: &last}, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ms := beside[0].SentinelMS(); ms < 1 || ms > 1.005 {
		t.Errorf("the sentinel takes %g ms, want 1 to 1.005", ms)
	}
	p = DefaultPolicy()
	if p.Refresh = -1; p.Check() == nil {
		t.Error("a negative number of calls is allowed")
	}
}
