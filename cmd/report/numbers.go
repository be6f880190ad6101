package main

import (
	"fmt"
	"strconv"

	"densenas/lut"
)

// unverified is said wherever a table is used that was never held against whole networks.
const unverified = "unverified"

// milliseconds formats the times of a column alike: to the microsecond, or to two digits of the smallest.
type milliseconds struct{ decimals int }

func newMilliseconds(smallest float64) milliseconds {
	decimals := 3
	for limit := 0.01; smallest < limit && decimals < 6; limit /= 10 {
		decimals++
	}
	return milliseconds{decimals}
}

func (m milliseconds) of(ms float64) string { return strconv.FormatFloat(ms, 'f', m.decimals, 64) }

// interval is "low–high".
func (m milliseconds) interval(low, high float64) string { return m.of(low) + "–" + m.of(high) }

// estimate is the value with its interval, or with what is known of it.
func (m milliseconds) estimate(e lut.Estimate) string {
	if e.IntervalUnknown {
		return m.of(e.MS) + " ms (interval unknown)"
	}
	return m.of(e.MS) + " ms (95 %: " + m.interval(e.LowMS, e.HighMS) + ")"
}

// counts formats the counts of a column alike: in millions, or in thousands where the total is below ten millions.
type counts struct {
	letter string
	unit   float64
}

func newCounts(total int64) counts {
	if total < 10_000_000 {
		return counts{"K", 1e3}
	}
	return counts{"M", 1e6}
}

func (c counts) of(n int64) string { return fmt.Sprintf("%.2f %s", float64(n)/c.unit, c.letter) }

// inWords is a single count: "6.13 million".
func inWords(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%.2f thousand", float64(n)/1e3)
	}
	return fmt.Sprintf("%.2f million", float64(n)/1e6)
}

// percent formats a share of 0 to 1.
func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// signed formats a change as a share: "+1.2 %".
func signed(share float64) string { return fmt.Sprintf("%+.1f %%", 100*share) }

// exact formats a number for CSV: the shortest text that reads back the same.
func exact(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
