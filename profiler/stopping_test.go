package profiler

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLooksAreAtFixedCounts(t *testing.T) {
	var looks []int
	for n := range 200 {
		if look(n, 10) {
			looks = append(looks, n)
		}
	}
	if !slices.Equal(looks, []int{10, 20, 40, 80, 160}) {
		t.Errorf("looks after %v rounds", looks)
	}
	if !look(7, 7) || !look(14, 7) || look(0, 7) || look(8, 7) {
		t.Error("looks that begin with 7 rounds")
	}
}

func TestStop(t *testing.T) {
	p := soon()
	same := slices.Repeat([]float64{1}, 2000)
	wide := make([]float64, 2000)
	for i := range wide {
		wide[i] = 1 + float64(i%2)
	}
	for _, c := range []struct {
		name        string
		medians     []float64
		spent       time.Duration
		done, noisy bool
	}{
		{"nothing", nil, 0, false, false},
		{"precise before the first look", same[:9], 0, false, false},
		{"precise at the first look", same[:10], 0, true, false},
		{"precise between looks", same[:15], 0, false, false},
		{"precise at the second look", same[:20], 0, true, false},
		{"wide", wide[:20], 0, false, false},
		{"wide when the time is up", wide[:20], p.Limit, true, true},
		{"precise when the time is up", same[:8], p.Limit, true, false},
		{"too few for an interval when the time is up", same[:5], p.Limit, false, false},
		{"wide at a look, and would be when the time is up", wide[:40], p.Limit / 10, true, true},
		{"that, between looks", wide[:41], p.Limit / 10, false, false},
		{"wide at a look, with time enough", wide[:40], p.Limit / 10_000, false, false},
		{"wide at the last round", wide[:1280], 0, true, true},
	} {
		if done, noisy := stop(c.medians, c.spent, true, p); done != c.done || noisy != c.noisy {
			t.Errorf("%s: done %v, noisy %v", c.name, done, noisy)
		}
	}
}

// Before rounds span enough time, neither precision nor the limit ends them, but their greatest number does.
func TestStopWaitsForTheSpan(t *testing.T) {
	p := DefaultPolicy()
	same := slices.Repeat([]float64{1}, p.MaxRounds)
	for n := range same {
		if done, _ := stop(same[:n], p.Limit, false, p); done {
			t.Fatalf("done after %d rounds", n)
		}
	}
	if done, noisy := stop(same, p.Limit, false, p); !done || noisy {
		t.Errorf("after the last round: done %v, noisy %v", done, noisy)
	}
}

// At whatever look the rule stops, the interval holds the true median about as often as it says, whatever the noise looks like:
// in 93 to 98 %, as larger simulations show; a rule that looks after every round falls to 91 %.
func TestIntervalCoversAtStopping(t *testing.T) {
	const trials = 1500
	p := soon()
	noises := map[string]func(*rand.Rand) float64{
		// The median of each is 1.
		"normal 3 %":      func(r *rand.Rand) float64 { return 1 + 0.03*r.NormFloat64() },
		"log-normal 2 %":  func(r *rand.Rand) float64 { return math.Exp(0.02 * r.NormFloat64()) },
		"log-normal 10 %": func(r *rand.Rand) float64 { return math.Exp(0.1 * r.NormFloat64()) },
		// A tenth, and three tenths, of the rounds beside a neighbour.
		"two levels, 10 %": twoLevels(0.1, 0.01, 1.5),
		"two levels, 30 %": twoLevels(0.3, 0.01, 1.5),
		"heavy tail": func(r *rand.Rand) float64 { // Cauchy
			return 1 + 0.005*math.Tan(math.Pi*(r.Float64()-0.5))
		},
	}
	for name, draw := range noises {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(5, 6))
			held, early := 0, 0
			for range trials {
				var medians []float64
				for done := false; !done; done, _ = stop(medians, 0, true, p) {
					medians = append(medians, draw(random))
				}
				if _, low, high := interval(medians); low <= 1 && 1 <= high {
					held++
				}
				if len(medians) < p.MaxRounds {
					early++
				}
			}
			share := float64(held) / trials
			if share < 0.92 || share > 0.99 {
				t.Errorf("%.3f of the intervals hold the median, want about 0.95", share)
			}
			if early < trials/2 {
				t.Errorf("%d of %d stopped at a look", early, trials)
			}
		})
	}
}

// twoLevels draws times of which a share is slower by a factor, both with normal noise; their median is 1.
func twoLevels(share, noise, factor float64) func(*rand.Rand) float64 {
	// The median of all is the quantile 0.5/(1-share) of the faster ones.
	r := rand.New(rand.NewPCG(7, 8))
	fast := make([]float64, 200_000)
	for i := range fast {
		fast[i] = 1 + noise*r.NormFloat64()
	}
	slices.Sort(fast)
	middle := quantile(fast, 0.5/(1-share))
	return func(r *rand.Rand) float64 {
		v := (1 + noise*r.NormFloat64()) / middle
		if r.Float64() < share {
			v *= factor
		}
		return v
	}
}

func TestFlat(t *testing.T) {
	if flat([]float64{1, 1, 1}, 2) {
		t.Error("flat before two windows are full")
	}
	if !flat([]float64{9, 1, 1.01, 1, 1}, 2) || flat([]float64{1, 1, 2, 2}, 2) {
		t.Error("the last two windows decide")
	}
}

func TestWarmUpLastsUntilTimesAreFlat(t *testing.T) {
	r, _ := fake(1, 0)
	p := soon()
	for _, c := range []struct {
		cold        int // calls of 3 ms instead of 1
		least, most time.Duration
	}{{0, p.Settle, p.Settle + 10*time.Millisecond}, {67, p.Settle + time.Millisecond, p.Settle + 20*time.Millisecond}, {1 << 30, p.Settle, 3 * p.Settle}} {
		r.cold = c.cold
		call := r.call(time.Millisecond)
		s := &subject{call: call}
		if err := warmUp(t.Context(), p, s); err != nil {
			t.Fatal(err)
		}
		if spent := call.(*fakeCall).total; spent < c.least || spent > c.most {
			t.Errorf("%d cold calls: warmed up for %v, want %v to %v", c.cold, spent, c.least, c.most)
		}
	}
	r.cold, r.noise = 0, 3 // never flat
	call := r.call(time.Millisecond)
	s := &subject{call: call}
	if err := warmUp(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	if spent := call.(*fakeCall).total; spent < p.Settle {
		t.Errorf("warmed up for %v", spent)
	}
}
