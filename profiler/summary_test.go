package profiler

import (
	"math"
	"math/rand/v2"
	"testing"
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
		if want := math.Hypot(0.01, uncertainCorrection*math.Log(by)); math.Abs(share(got)-want) > 0.03*want {
			t.Errorf("%g: half-width %g, want about %g", by, share(got), want)
		}
	}
}
