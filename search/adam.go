package search

import (
	"math"

	"densenas/supernet/space"
)

// adamEpsilon keeps Adam's division finite.
const adamEpsilon = 1e-8

// Adam is the state of the optimizer of the architecture parameters (Kingma and Ba, 2015), with coupled L2 weight decay:
// the decay is part of the gradient.
type Adam struct {
	// Steps counts the steps taken.
	Steps int
	// First and Second are the moving means of the gradient and of its square.
	First, Second *space.Parameters
}

// AdamOptions are Adam's settings; the paper's are rate 3e-4, betas 0.5 and 0.999, weight decay 1e-3.
type AdamOptions struct {
	Rate, Beta1, Beta2, WeightDecay float64
}

func newAdam(s *space.Space) *Adam { return &Adam{First: s.NewParameters(), Second: s.NewParameters()} }

// step moves p against the gradient.
func (a *Adam) step(p, gradient *space.Parameters, o AdamOptions) {
	a.Steps++
	correct1 := 1 - math.Pow(o.Beta1, float64(a.Steps))
	correct2 := 1 - math.Pow(o.Beta2, float64(a.Steps))
	each(p, []*space.Parameters{gradient, a.First, a.Second}, func(row []float64, rows [][]float64) {
		g, first, second := rows[0], rows[1], rows[2]
		for i := range row {
			d := g[i] + o.WeightDecay*row[i]
			first[i] = o.Beta1*first[i] + (1-o.Beta1)*d
			second[i] = o.Beta2*second[i] + (1-o.Beta2)*d*d
			row[i] -= o.Rate * (first[i] / correct1) / (math.Sqrt(second[i]/correct2) + adamEpsilon)
		}
	})
}
