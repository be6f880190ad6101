package study

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/aclements/go-moremath/stats"

	"densenas/lut"
)

const (
	confidence = 0.95 // of all intervals
	power      = 0.8  // of what is called detectable
)

// Interval is a 95 % confidence interval.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Mean describes a sample.
type Mean struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	// Deviation is the sample's standard deviation, and Interval the mean's by Student's t; both are absent below two values.
	Deviation *float64  `json:"standard_deviation,omitempty"`
	Interval  *Interval `json:"interval,omitempty"`
}

// MeanOf describes at least one value.
func MeanOf(values []float64) Mean {
	m := Mean{Count: len(values), Mean: stats.Mean(values)}
	if m.Count < 2 {
		return m
	}
	deviation := stats.StdDev(values)
	half := quantile(float64(m.Count-1), (1+confidence)/2) * deviation / math.Sqrt(float64(m.Count))
	m.Deviation, m.Interval = &deviation, &Interval{m.Mean - half, m.Mean + half}
	return m
}

// Difference is that between the means of two samples.
type Difference struct {
	Mean float64 `json:"mean"` // the first's less the second's
	// Interval is Welch's: the samples may have different variances. Detectable is the smallest true difference that such samples show with a
	// probability of 80 % in a two-sided test at 5 %: (t(0.975, ν) + t(0.8, ν)) · s, with the standard error s = √(s₁²/n₁ + s₂²/n₂)
	// and Welch's degrees of freedom ν. All are absent where a sample has less than two values, or none of both varies.
	Interval   *Interval `json:"interval,omitempty"`
	Detectable *float64  `json:"detectable,omitempty"`
}

// DifferenceOf compares two samples of at least one value each.
func DifferenceOf(a, b Mean) Difference {
	d := Difference{Mean: a.Mean - b.Mean}
	if a.Deviation == nil || b.Deviation == nil {
		return d
	}
	va, vb := *a.Deviation**a.Deviation/float64(a.Count), *b.Deviation**b.Deviation/float64(b.Count)
	if va+vb == 0 {
		return d
	}
	// Welch and Satterthwaite.
	freedom := (va + vb) * (va + vb) / (va*va/float64(a.Count-1) + vb*vb/float64(b.Count-1))
	e := math.Sqrt(va + vb)
	half := quantile(freedom, (1+confidence)/2) * e
	detectable := half + quantile(freedom, power)*e
	d.Interval, d.Detectable = &Interval{d.Mean - half, d.Mean + half}, &detectable
	return d
}

// quantile is that of Student's t-distribution.
func quantile(freedom, probability float64) float64 {
	return stats.InvCDF(stats.TDist{V: freedom})(probability)
}

// Correlation of ranks.
type Correlation struct {
	Count    int       `json:"count"` // of networks
	Tau      float64   `json:"kendall_tau"`
	Interval *Interval `json:"interval,omitempty"` // by the percentiles of the bootstrap; absent below three networks
}

// CorrelationOf is Kendall's tau-b between two qualities of the same networks. The bootstrap draws networks with replacement; tau-b leaves pairs of a
// network with itself out, as ties in both.
func CorrelationOf(x, y []float64, r Ranking) Correlation {
	c := Correlation{Count: len(x), Tau: lut.KendallTau(x, y)}
	if c.Count < 3 {
		return c
	}
	random := rand.New(rand.NewPCG(r.Seed, 0))
	taus := make([]float64, r.Resamples)
	drawnX, drawnY := make([]float64, len(x)), make([]float64, len(x))
	for i := range taus {
		for k := range drawnX {
			j := random.IntN(len(x))
			drawnX[k], drawnY[k] = x[j], y[j]
		}
		taus[i] = lut.KendallTau(drawnX, drawnY)
	}
	slices.Sort(taus)
	sorted := stats.Sample{Xs: taus, Sorted: true}
	c.Interval = &Interval{sorted.Quantile((1 - confidence) / 2), sorted.Quantile((1 + confidence) / 2)}
	return c
}
