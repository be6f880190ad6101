// Package binomial gives shares of what was counted with the interval that so many counts leave open.
package binomial

import "math"

// Proportion is a share with its 95 % binomial interval, all 0 to 1.
type Proportion struct {
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Of is k of n, which must be at least 1, with Wilson's score interval.
func Of(k, n int) Proportion {
	const z = 1.959963984540054 // 95 % of a normal distribution lie within so many deviations
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Proportion{Share: p, Low: min(p, max(0, centre-half)), High: max(p, min(1, centre+half))}
}
