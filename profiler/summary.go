package profiler

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"

	"densenas/lut"
)

// Summary describes the times of one operation, in ms, in the rounds that count, as they would be were the device always as fast
// as a reference says: the times of each round are divided by how much slower than the reference the sentinel was around them.
type Summary struct {
	// MedianMS is the median of the rounds' medians; Low and High bound its 95 % interval, from order statistics.
	MedianMS, LowMS, HighMS float64
	// Median absolute deviation from the median, percentiles and minimum. They are of single calls where the clock can tell
	// these apart, else of laps, of which one of several calls counts by its time per call. The minimum leaves out rounds in which
	// the sentinel was far off, and is at most the tenth percentile.
	MADMS, P10MS, P90MS, MinMS float64
	// Count is the number of timed laps in all Rounds.
	Count, Rounds int
}

// summarize describes what counts among the rounds, corrected to a reference of the sentinel, in ms, 0 for none; nothing where none
// counts. With fewer than 6 that count, the interval is that of all laps seen.
func summarize(rounds []Round, reference float64) Summary {
	medians := corrected(rounds, reference)
	var laps, times []float64
	shortest := math.Inf(1)
	for i := range rounds {
		r := &rounds[i]
		if r.Discarded {
			continue
		}
		c := r.correction(reference)
		far := reference > 0 && r.SentinelMS > (1+farOff)*reference // one wrong correction would make the minimum
		of := len(laps)
		for _, ms := range r.LapsMS {
			laps = append(laps, ms*c)
		}
		if len(r.CallsMS) > 0 {
			if !far {
				shortest = min(shortest, r.MinMS*c)
			}
			for _, ms := range r.CallsMS {
				times = append(times, ms*c)
			}
		} else {
			times = append(times, laps[of:]...)
			if !far {
				shortest = min(shortest, slices.Min(laps[of:]))
			}
		}
	}
	if len(medians) == 0 {
		return Summary{}
	}
	slices.Sort(laps)
	slices.Sort(times)
	s := Summary{Count: len(laps), Rounds: len(medians), P10MS: quantile(times, 0.1), P90MS: quantile(times, 0.9)}
	s.MinMS = min(shortest, s.P10MS)
	s.MedianMS, s.LowMS, s.HighMS = interval(medians)
	if math.IsInf(s.LowMS, 0) || math.IsInf(s.HighMS, 0) {
		s.LowMS, s.HighMS = min(laps[0], s.MedianMS), max(laps[len(laps)-1], s.MedianMS)
	}
	_, s.MADMS = spread(times)
	return s
}

// outlier tells the times that lie further from the median of all than five times their scaled median absolute deviation.
func outlier(times []float64) func(float64) bool {
	const scaled = 1.4826 // the deviation of normal noise, over its median absolute deviation
	centre, deviation := spread(times)
	return func(ms float64) bool { return math.Abs(ms-centre) > 5*scaled*deviation }
}

// labelOutliers marks the outliers among the laps of the rounds that count, corrected to a reference of the sentinel, in ms, and
// returns their number. They count like all others: a median does not move by them.
func labelOutliers(rounds []Round, reference float64) int {
	var laps []float64
	for i := range rounds {
		if r := &rounds[i]; !r.Discarded {
			for _, ms := range r.LapsMS {
				laps = append(laps, ms*r.correction(reference))
			}
		}
	}
	if len(laps) == 0 {
		return 0
	}
	far, n := outlier(laps), 0
	for i := range rounds {
		r := &rounds[i]
		r.Outliers = nil
		for k, ms := range r.LapsMS {
			if !r.Discarded && far(ms*r.correction(reference)) {
				r.Outliers = append(r.Outliers, k)
				n++
			}
		}
	}
	return n
}

// scaled is the summary of the same rounds for another reference, so many times as long. The interval is wider by what the
// correction is uncertain.
func (s Summary) scaled(by float64) Summary {
	s.LowMS, s.HighMS = lut.Corrected(s.MedianMS, s.LowMS, s.HighMS, by)
	for _, ms := range []*float64{&s.MedianMS, &s.MADMS, &s.P10MS, &s.P90MS, &s.MinMS} {
		*ms *= by
	}
	return s
}

// spread is the median and the median absolute deviation.
func spread(values []float64) (centre, deviation float64) {
	centre = median(values)
	deviations := make([]float64, len(values))
	for i, v := range values {
		deviations[i] = math.Abs(v - centre)
	}
	return centre, median(deviations)
}

// interval is the median with its 95 % interval, which is infinite below 6 values.
func interval(values []float64) (centre, low, high float64) {
	sample := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	s := benchmath.AssumeNothing.Summary(sample, 0.95)
	return s.Center, s.Lo, s.Hi
}

// precise says whether the half-width of the rounds' interval is within a share of their median.
func precise(medians []float64, precision float64) bool {
	centre, low, high := interval(medians)
	return (high-low)/2 <= precision*centre
}

// median is the middle value of values in any order.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quantile interpolates between the two nearest of the sorted values.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
