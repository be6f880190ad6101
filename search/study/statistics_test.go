package study

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %.6g, want %.6g", what, got, want)
	}
}

// coverage is the probability that Student's t is between -x and x, by Simpson's rule over its density.
func coverage(freedom, x float64) float64 {
	upper, _ := math.Lgamma((freedom + 1) / 2)
	lower, _ := math.Lgamma(freedom / 2)
	density := func(t float64) float64 {
		return math.Exp(upper-lower) / math.Sqrt(freedom*math.Pi) * math.Pow(1+t*t/freedom, -(freedom+1)/2)
	}
	const steps = 1000
	sum := density(-x) + density(x)
	for i := 1; i < steps; i++ {
		sum += float64(2+2*(i%2)) * density(-x+2*x*float64(i)/steps)
	}
	return sum * 2 * x / steps / 3
}

func TestMeanHasStudentsInterval(t *testing.T) {
	m := MeanOf([]float64{1, 2, 3, 4, 5})
	if m.Count != 5 || m.Mean != 3 {
		t.Errorf("%+v", m)
	}
	near(t, "deviation", *m.Deviation, math.Sqrt(2.5), 1e-12)
	half := 2.776445 * math.Sqrt(2.5/5) // t(0.975, 4), as printed in tables
	near(t, "low", m.Interval.Low, 3-half, 1e-6)
	near(t, "high", m.Interval.High, 3+half, 1e-6)
	if m := MeanOf([]float64{0.5}); m.Count != 1 || m.Mean != 0.5 || m.Deviation != nil || m.Interval != nil {
		t.Errorf("one value: %+v", m)
	}
}

func TestDifferenceHasWelchsInterval(t *testing.T) {
	// The same variance and count make it Student's, with eight degrees of freedom and a standard error of 1.
	d := DifferenceOf(MeanOf([]float64{1, 2, 3, 4, 5}), MeanOf([]float64{3, 4, 5, 6, 7}))
	near(t, "difference", d.Mean, -2, 1e-12)
	near(t, "low", d.Interval.Low, -2-2.306004, 1e-6) // t(0.975, 8)
	near(t, "high", d.Interval.High, -2+2.306004, 1e-6)
	near(t, "detectable", *d.Detectable, 2.306004+0.888890, 1e-6) // and t(0.8, 8)

	// Variances 2.5 of five and 14 of six values.
	d = DifferenceOf(MeanOf([]float64{2, 4, 6, 8, 10, 12}), MeanOf([]float64{1, 2, 3, 4, 5}))
	first, second := 14.0/6, 2.5/5
	freedom := (first + second) * (first + second) / (first*first/5 + second*second/4)
	e := math.Sqrt(first + second)
	near(t, "difference", d.Mean, 4, 1e-12)
	near(t, "coverage of the interval", coverage(freedom, (d.Interval.High-d.Mean)/e), 0.95, 1e-6)
	near(t, "coverage below the power", coverage(freedom, (*d.Detectable-d.Interval.High+d.Mean)/e), 0.6, 1e-6) // 0.8 on one side
	near(t, "middle", (d.Interval.Low+d.Interval.High)/2, 4, 1e-12)

	for name, b := range map[string][]float64{"a lone value": {1}, "values that do not vary": {2, 2, 2}} {
		a := []float64{3, 3}
		if d := DifferenceOf(MeanOf(a), MeanOf(b)); d.Interval != nil || d.Detectable != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Samples that differ by what is called detectable show it in four of five cases, and such that do not differ in one of twenty.
func TestDetectableIsDetected(t *testing.T) {
	const trials, firsts, seconds = 3000, 8, 10
	deviations := [2]float64{1, 2}
	known := func(n, of int) Mean { return Mean{Count: n, Deviation: &deviations[of]} }
	detectable := *DifferenceOf(known(firsts, 0), known(seconds, 1)).Detectable
	random := rand.New(rand.NewPCG(1, 1))
	draw := func(n, of int, mean float64) Mean {
		values := make([]float64, n)
		for i := range values {
			values[i] = mean + deviations[of]*random.NormFloat64()
		}
		return MeanOf(values)
	}
	for _, c := range []struct{ gain, share float64 }{{detectable, power}, {0, 1 - confidence}} {
		shown := 0.0
		for range trials {
			if i := DifferenceOf(draw(firsts, 0, c.gain), draw(seconds, 1, 0)).Interval; i.Low > 0 || i.High < 0 {
				shown++
			}
		}
		near(t, "share of the trials that show a difference", shown/trials, c.share, 0.03)
	}
}

func TestCorrelationIsKendalls(t *testing.T) {
	ranking := Ranking{Resamples: 100_000, Seed: 1}
	for _, c := range []struct {
		x, y []float64
		tau  float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}, 4.0 / 6}, // one of six pairs is reversed
		{[]float64{1, 1, 2, 3}, []float64{1, 2, 3, 3}, 4 / math.Sqrt(5*5)},
		{[]float64{1, 2}, []float64{2, 1}, -1},
	} {
		got := CorrelationOf(c.x, c.y, ranking)
		near(t, "tau", got.Tau, c.tau, 1e-12)
		if got.Count != len(c.x) || (got.Interval == nil) != (len(c.x) < 3) {
			t.Errorf("%+v of %d", got, len(c.x))
		}
	}
}

// The bootstrap's interval is that of all resamples, each of which is as likely.
func TestIntervalOfTauIsTheBootstraps(t *testing.T) {
	x, y := []float64{1, 2, 3, 4, 5}, []float64{2, 1, 4, 3, 5}
	n := len(x)
	var all []float64
	for code := range int(math.Pow(float64(n), float64(n))) {
		var drawn []int
		for range n {
			drawn, code = append(drawn, code%n), code/n
		}
		var s, untiedX, untiedY float64
		for i, a := range drawn {
			for _, b := range drawn[:i] {
				order := (x[a] - x[b]) * (y[a] - y[b])
				if order > 0 {
					s++
				} else if order < 0 {
					s--
				}
				if a != b { // no two values are the same
					untiedX++
					untiedY++
				}
			}
		}
		tau := 0.0
		if untiedX > 0 {
			tau = s / math.Sqrt(untiedX*untiedY)
		}
		all = append(all, tau)
	}
	slices.Sort(all)
	got := CorrelationOf(x, y, Ranking{Resamples: 50_000, Seed: 1})
	near(t, "tau", got.Tau, 0.6, 1e-12)
	near(t, "low", got.Interval.Low, all[len(all)*25/1000], 1e-9)
	near(t, "high", got.Interval.High, all[len(all)*975/1000], 1e-9)
	if again := CorrelationOf(x, y, Ranking{Resamples: 50_000, Seed: 1}); *again.Interval != *got.Interval {
		t.Errorf("the same seed gives %+v and %+v", got.Interval, again.Interval)
	}
	// Reversed ranks mirror it.
	for i := range y {
		y[i] = -y[i]
	}
	mirrored := CorrelationOf(x, y, Ranking{Resamples: 50_000, Seed: 1})
	near(t, "mirrored tau", mirrored.Tau, -0.6, 1e-12)
	near(t, "mirrored low", mirrored.Interval.Low, -got.Interval.High, 1e-9)
	near(t, "mirrored high", mirrored.Interval.High, -got.Interval.Low, 1e-9)
}
