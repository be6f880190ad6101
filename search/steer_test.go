package search

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"densenas/search/derive"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// steeredSearch goes through the architecture steps of a search of the space cifar with synthetic losses, whose slope by the choices
// is random, the same at every step, and of a size.
func steeredSearch(t *testing.T, seed uint64, slope float64, objectives ...Objective) *Search {
	t.Helper()
	o := good()
	o.Epochs, o.ArchitectureEpoch, o.Seed = 60, 0, seed
	o.Adam = AdamOptions{Rate: 0.02, Beta1: 0.5, Beta2: 0.999, WeightDecay: 1e-3}
	cifar := load(t, "cifar")
	s, engine := newSearch(t, pictures(t, loopImages), o, func(s *Search) { s.Space, s.Objectives = cifar, objectives })
	engine.space, engine.slope, engine.seed = cifar, slope, seed
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func load(t *testing.T, name string) *space.Space {
	t.Helper()
	s, err := space.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is expected at the end is the target, from whichever side the search comes, and what is derived has the cost that was expected,
// whatever the losses say.
func TestTargetsAreMet(t *testing.T) {
	costs := objective.MultiplyAdds(load(t, "cifar"))
	fastest, slowest := costs.Fastest(), costs.Slowest()
	start, _ := costs.Chained(costs.Space.NewParameters())
	sides := map[bool]int{}
	type losses struct {
		seed  uint64
		slope float64
	}
	for share, all := range map[float64][]losses{
		0.2: {{1, 0}, {1, 0.01}, {1, 1}}, 0.5: {{1, 0}, {1, 0.01}, {1, 1}}, 0.8: {{1, 0}, {1, 0.01}, {1, 1}},
		// Where settling the most probable of all choices would leave nothing to make up for the last with.
		0.05: {{7, 0.3}}, 0.135: {{5, 1}, {7, 1}, {8, 0.03}},
	} {
		for _, l := range all {
			slope := l.slope
			target := fastest + share*(slowest-fastest)
			sides[target > start]++
			s := steeredSearch(t, l.seed, slope, Objective{Costs: costs, Base: 15, Target: target})
			name := fmt.Sprintf("target at %.1f %% of the range, seed %d, slope %g", 100*share, l.seed, slope)
			if expected := s.expected()[0] / target; math.Abs(expected-1) > 0.03 {
				t.Errorf("%s: expected is %.3f of it", name, expected)
			}
			plain, err := derive.Plain(s.Space, s.state.Parameters)
			if err != nil {
				t.Fatal(err)
			}
			if got := float64(plain.MultiplyAdds()) / target; math.Abs(got-1) > 0.1 {
				t.Errorf("%s: the plain derivation has %.3f of it", name, got)
			}
			within, err := derive.Within(s.Space, s.state.Parameters, []derive.Limit{{Costs: costs, Most: target}}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := float64(within[0].MultiplyAdds()) / target; got > 1 || got < 0.93 {
				t.Errorf("%s: the derivation within it has %.3f of it", name, got)
			}
		}
	}
	if len(sides) != 2 {
		t.Fatal("all targets lie on one side of the start")
	}
}

// Of several targets none is exceeded.
func TestSeveralTargetsAreNotExceeded(t *testing.T) {
	cifar := load(t, "cifar")
	var objectives []Objective
	for _, costs := range []*objective.Costs{objective.MultiplyAdds(cifar), objective.Parameters(cifar)} {
		objectives = append(objectives, Objective{Costs: costs, Base: 15, Target: costs.Fastest() + 0.3*(costs.Slowest()-costs.Fastest())})
	}
	s := steeredSearch(t, 3, 0.1, objectives...)
	for i, expected := range s.expected() {
		if target := objectives[i].Target; expected > 1.03*target {
			t.Errorf("objective %d expects %g for %g", i, expected, target)
		}
	}
}

// A correction moves logits against the gradient of the cost, no logit too far and settled ones not at all.
func TestCorrect(t *testing.T) {
	s := loopSpace(t)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 9))
		costs, p := randomCosts(s, r), randomParameters(s, r, 0.5)
		chosen := p.AlphaHead[0][0]
		clear(chosen)
		chosen[1] = settledLogit
		before := clone(p)
		cost, gradient := costs.Chained(p)
		off := []float64{0.001, -0.001, 2, -2}[seed%4]
		multiplier := correct(p, gradient, cost, off)
		after, _ := costs.Chained(p)
		if multiplier*off <= 0 || (after-cost)*off >= 0 {
			t.Errorf("seed %d: off by %g, multiplier %g, cost from %g to %g", seed, off, multiplier, cost, after)
		}
		if math.Abs(off) < 0.01 && math.Abs(math.Log(cost/after)-off) > 1e-4 {
			t.Errorf("seed %d: off by %g, corrected by %g", seed, off, math.Log(cost/after))
		}
		each(p, []*space.Parameters{before}, func(row []float64, rows [][]float64) {
			for k := range row {
				if d := math.Abs(row[k] - rows[0][k]); d > largestMove*(1+1e-9) {
					t.Errorf("seed %d: a logit moved by %g", seed, d)
				}
			}
		})
		if !slices.Equal(chosen, []float64{0, settledLogit, 0}) {
			t.Errorf("seed %d: a settled choice is %v now", seed, chosen)
		}
	}
}

// A choice that is settled keeps what is known of the others.
func TestSettle(t *testing.T) {
	for _, c := range []struct {
		row    []float64
		chosen int
		want   []float64
	}{
		{[]float64{0.5, 2, -1}, 1, []float64{-1.5, settledLogit, -3}},
		{[]float64{0.5, 2, -1}, 0, []float64{settledLogit, 0, -1.5}}, // the most probable one was out of reach
		{[]float64{0, 0}, 1, []float64{0, settledLogit}},
		{[]float64{-40, -30}, 1, []float64{-10, settledLogit}},
	} {
		row := slices.Clone(c.row)
		if settle(row, c.chosen); !slices.Equal(row, c.want) || !settled(row) {
			t.Errorf("%v settled on %d is %v, want %v", c.row, c.chosen, row, c.want)
		}
	}
}

func TestSettled(t *testing.T) {
	for _, c := range []struct {
		row  []float64
		want bool
	}{{[]float64{0, 8, 0}, true}, {[]float64{8, 0}, true}, {[]float64{0, 0}, false}, {[]float64{8, 8}, false}, {[]float64{8, 1e-9}, false}, {[]float64{-1, 8, -20}, true}, {[]float64{8.5, 0}, false}, {[]float64{3}, true}} {
		if got := settled(c.row); got != c.want {
			t.Errorf("%v: %t", c.row, got)
		}
	}
}
