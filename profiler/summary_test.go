package profiler

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	// Medians of the rounds: 1, 2, …, 10. By the binomial distribution the 95 % interval of their median reaches from the
	// second to the ninth.
	var rounds []Round
	for i := range 10 {
		m := float64(i + 1)
		rounds = append(rounds, Round{LapsMS: []float64{m + 0.5, m, m - 0.5}})
	}
	got := summarize(rounds, 0)
	want := Summary{MedianMS: 5.5, LowMS: 2, HighMS: 9, MADMS: 2.5, P10MS: 1.5, P90MS: 9.5, MinMS: 0.5, Count: 30, Rounds: 10}
	for name, pair := range map[string][2]float64{
		"median": {got.MedianMS, want.MedianMS}, "low": {got.LowMS, want.LowMS}, "high": {got.HighMS, want.HighMS},
		"MAD": {got.MADMS, want.MADMS}, "p10": {got.P10MS, want.P10MS}, "p90": {got.P90MS, want.P90MS}, "min": {got.MinMS, want.MinMS},
	} {
		if math.Abs(pair[0]-pair[1]) > 0.1 {
			t.Errorf("%s is %g, want %g", name, pair[0], pair[1])
		}
	}
	if got.Count != want.Count || got.Rounds != want.Rounds {
		t.Errorf("%d laps in %d rounds", got.Count, got.Rounds)
	}
}

// Laps that were interrupted are labelled in the journal, each at its place, and do not move the median.
func TestOutliersAreLabelled(t *testing.T) {
	r, ops := fake(1, 0.01)
	r.base[ops[0]] = 2 * time.Millisecond // one call a lap
	random, hit := rand.New(rand.NewPCG(7, 8)), map[float64]bool{}
	var saved []Record
	p := soon()
	p.MinRounds = 80
	r.load = func(time.Duration) float64 {
		if random.IntN(25) > 0 {
			return 1
		}
		return 30
	}
	if err := Profile(t.Context(), r, job(ops), p, Observer{Save: func(all ...Record) error { saved = append(saved, all...); return nil }, pause: r.pause, now: r.clock}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, round := range saved[0].Rounds {
		// What the sentinel, which is hit as well, took around the laps is left out of what it tells.
		var want []int
		for k, ms := range round.LapsMS {
			if ms > 20 && !round.Discarded {
				want = append(want, k)
				hit[ms] = true
			}
		}
		for _, k := range want {
			if !slices.Contains(round.Outliers, k) {
				t.Errorf("round %+v: lap %d is not labelled", round, k)
			}
		}
		n += len(round.Outliers)
	}
	if len(hit) < 3 || n != saved[0].Outliers || n > len(hit)+10 {
		t.Errorf("%d laps were hit, %d are labelled, the record has %d", len(hit), n, saved[0].Outliers)
	}
	var log Log
	if err := log.Add(saved[0]); err != nil {
		t.Fatal(err)
	}
	if m := log.Measurements()[0]; math.Abs(m.MedianMS-2) > 0.04 {
		t.Errorf("the median moved to %g ms", m.MedianMS)
	}
	clean := []Round{{LapsMS: []float64{1, 1.01, 0.99}}, {LapsMS: []float64{1.02, 9, 1}}, {LapsMS: []float64{50}, Discarded: true}}
	if n := labelOutliers(clean, 0); n != 1 || len(clean[0].Outliers)+len(clean[2].Outliers) > 0 || !slices.Equal(clean[1].Outliers, []int{1}) {
		t.Errorf("labelled %d: %+v", n, clean)
	}
}

func TestFewRoundsHaveAFiniteInterval(t *testing.T) {
	got := summarize([]Round{{LapsMS: []float64{2, 4}}, {LapsMS: []float64{9}, Discarded: true}, {LapsMS: []float64{3}}}, 0)
	if got.LowMS != 2 || got.HighMS != 4 || got.MedianMS != 3 {
		t.Errorf("%+v", got)
	}
}

// The interval holds the true median about as often as it says.
func TestIntervalCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const trials, n = 2000, 15
	held := 0
	for range trials {
		values := make([]float64, n)
		for i := range values {
			values[i] = math.Exp(random.NormFloat64()) // median 1, skewed as times are
		}
		if _, low, high := interval(values); low <= 1 && 1 <= high {
			held++
		}
	}
	if share := float64(held) / trials; share < 0.94 {
		t.Errorf("%.3f of the intervals hold the median, want at least 0.95", share)
	}
}

func TestCorrectionsWidenIntervals(t *testing.T) {
	s := Summary{MedianMS: 10, LowMS: 9.9, HighMS: 10.1, MADMS: 1, P10MS: 9, P90MS: 12, MinMS: 8}
	if got := s.scaled(1); got != s {
		t.Errorf("without a correction: %+v", got)
	}
	share := func(s Summary) float64 { return (s.HighMS - s.LowMS) / 2 / s.MedianMS }
	for _, by := range []float64{0.5, 0.8, 0.99, 1.01, 1.3, 2} {
		got := s.scaled(by)
		if got.MedianMS != 10*by || got.P90MS != 12*by || got.LowMS <= 0 {
			t.Errorf("%g: %+v", by, got)
		}
		// The correction's share and that of the rounds, which are independent.
		if want := math.Hypot(0.01, 0.3*math.Log(by)); math.Abs(share(got)-want) > 0.03*want {
			t.Errorf("%g: half-width %g, want about %g", by, share(got), want)
		}
	}
}

// A round in which the sentinel alone was disturbed does not make the minimum.
func TestMinimumLeavesOutWhatIsCorrectedTooFar(t *testing.T) {
	var rounds []Round
	for i := range 20 {
		rounds = append(rounds, Round{Number: i + 1, LapsMS: []float64{2 + 0.01*float64(i)}, SentinelMS: 1})
	}
	rounds[7].SentinelMS = 10
	if s := summarize(rounds, 1); s.MinMS != 2 || s.MinMS > s.P10MS {
		t.Errorf("minimum %g, tenth percentile %g, want a minimum of 2", s.MinMS, s.P10MS)
	}
	for i := range rounds {
		rounds[i].SentinelMS = 10
	}
	if s := summarize(rounds, 1); !(s.MinMS > 0 && s.MinMS <= s.P10MS) {
		t.Errorf("all far off: minimum %g, tenth percentile %g", s.MinMS, s.P10MS)
	}
}
