package search

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The reference is written out from the paper's algorithm 1 (Kingma and Ba, ICLR 2015), with the decay in the gradient.
func TestAdamFollowsItsFormulas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := randomSpace(t, r)
	o := AdamOptions{Rate: 3e-3, Beta1: 0.5, Beta2: 0.999, WeightDecay: 1e-2}
	p := randomParameters(s, r, 1)
	theta := flatten(p)
	m, v := make([]float64, len(theta)), make([]float64, len(theta))
	adam := newAdam(s)
	for step := 1; step <= 20; step++ {
		gradient := randomParameters(s, r, 2)
		adam.step(p, gradient, o)
		for i, g := range flatten(gradient) {
			g += o.WeightDecay * theta[i]
			m[i] = o.Beta1*m[i] + (1-o.Beta1)*g
			v[i] = o.Beta2*v[i] + (1-o.Beta2)*g*g
			mHat := m[i] / (1 - math.Pow(o.Beta1, float64(step)))
			vHat := v[i] / (1 - math.Pow(o.Beta2, float64(step)))
			theta[i] -= o.Rate * mHat / (math.Sqrt(vHat) + 1e-8)
		}
	}
	if adam.Steps != 20 {
		t.Errorf("%d steps", adam.Steps)
	}
	for i, got := range flatten(p) {
		if math.Abs(got-theta[i]) > 1e-12 {
			t.Errorf("logit %d is %.15g, want %.15g", i, got, theta[i])
		}
	}
	// The first step of Adam is as long as the rate, whatever the gradient.
	p, gradient := s.NewParameters(), s.NewParameters()
	gradient.Beta[0][0] = 1e-3
	newAdam(s).step(p, gradient, AdamOptions{Rate: 0.25, Beta1: 0.9, Beta2: 0.99})
	if got := p.Beta[0][0]; math.Abs(got+0.25) > 1e-5 {
		t.Errorf("the first step goes to %g, want -0.25", got)
	}
}
