package profiler

import (
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Summary describes the times of one operation, in ms.
type Summary struct {
	// MedianMS is the median of the rounds' medians; Low and High bound its 95 % interval, from order statistics.
	MedianMS, LowMS, HighMS float64
	// Of all timed laps: median absolute deviation from their median, percentiles and minimum. A lap of several calls counts
	// by its time per call.
	MADMS, P10MS, P90MS, MinMS float64
	// Count is the number of timed laps in all Rounds.
	Count, Rounds int
}

// summarize takes the laps of each round. With fewer than 6 rounds the interval is that of all laps seen.
func summarize(rounds [][]float64) Summary {
	var medians, laps []float64
	for _, round := range rounds {
		medians = append(medians, median(round))
		laps = append(laps, round...)
	}
	slices.Sort(laps)
	s := Summary{Count: len(laps), Rounds: len(rounds)}
	s.MedianMS, s.LowMS, s.HighMS = interval(medians)
	s.P10MS, s.P90MS, s.MinMS = quantile(laps, 0.1), quantile(laps, 0.9), laps[0]
	if math.IsInf(s.LowMS, 0) || math.IsInf(s.HighMS, 0) {
		s.LowMS, s.HighMS = min(laps[0], s.MedianMS), max(laps[len(laps)-1], s.MedianMS)
	}
	centre := median(laps)
	deviations := make([]float64, len(laps))
	for i, lap := range laps {
		deviations[i] = math.Abs(lap - centre)
	}
	s.MADMS = median(deviations)
	return s
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
