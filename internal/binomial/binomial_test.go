package binomial

import (
	"math"
	"testing"
)

// Wilson's interval of 95 of 100, as tables of it give it.
func TestOf(t *testing.T) {
	if p := Of(95, 100); p.Share != 0.95 || math.Abs(p.Low-0.8882) > 1e-4 || math.Abs(p.High-0.9785) > 1e-4 {
		t.Errorf("%+v", p)
	}
	for _, k := range []int{0, 7} {
		p := Of(k, 7)
		if p.Low < 0 || p.High > 1 || p.Low >= p.High || p.Share < p.Low || p.Share > p.High {
			t.Errorf("%d of 7: %+v", k, p)
		}
	}
}

// The ends are the shares of which what was counted is 1.96 deviations away.
func TestEndsAreAtTheEdge(t *testing.T) {
	for _, c := range [][2]int{{1, 10}, {5, 10}, {870, 1000}} {
		p := Of(c[0], c[1])
		for _, end := range []float64{p.Low, p.High} {
			deviation := math.Sqrt(end * (1 - end) / float64(c[1]))
			if got := math.Abs(p.Share-end) / deviation; math.Abs(got-1.959964) > 1e-5 {
				t.Errorf("%d of %d: the end %g is %g deviations away", c[0], c[1], end, got)
			}
		}
	}
}
