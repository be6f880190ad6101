package space

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// weightOf gives operations weights that differ by a lot.
func weightOf(op Op) float64 {
	return math.Exp(-float64(op.Kernel+3*op.Expansion+op.Out%5) / 4)
}

// enumerate lists all paths of a space with the summed weights of their networks, by brute force.
func enumerate(s *Space, weight func(Op) float64) map[string]float64 {
	sums := map[string]float64{}
	var walk func(path []int, product float64)
	walk = func(path []int, product float64) {
		for _, c := range s.Outgoing(path[len(path)-1]) {
			next := 0.0
			for _, op := range s.HeadOps(c) {
				next += weight(op)
			}
			if c.To == len(s.Blocks) {
				sums[fmt.Sprint(path)] += product * next
				continue
			}
			for range s.Blocks[c.To].Layers {
				layer := 0.0
				for _, op := range s.StackOps(c.To) {
					layer += weight(op)
				}
				next *= layer
			}
			walk(append(path[:len(path):len(path)], c.To), product*next)
		}
	}
	walk([]int{0}, 1)
	return sums
}

func TestDrawsFollowTheWeights(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	const draws = 4000
	for range 3 {
		s := randomSpace(r)
		want := enumerate(s, weightOf)
		all := 0.0
		for _, sum := range want {
			all += sum
		}
		got := map[string]float64{}
		for range draws {
			a := s.Draw(r, weightOf)
			if err := a.Check(); err != nil {
				t.Fatal(err)
			}
			got[fmt.Sprint(a.Path)]++
		}
		for path, sum := range want {
			p := sum / all
			if sigma := math.Sqrt(draws * p * (1 - p)); math.Abs(got[path]-draws*p) > 5*sigma+1 {
				t.Errorf("path %s was drawn %g times of %d, expected %.1f", path, got[path], draws, draws*p)
			}
		}
	}
}

// The candidates of a layer, too, come in proportion to their weights; a skip is one of them.
func TestDrawnCandidatesFollowTheWeights(t *testing.T) {
	s, err := Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(6, 6))
	weight := func(op Op) float64 {
		if op.Kind == Skip {
			return 1e-9
		}
		return 1
	}
	for range 200 {
		a := s.Draw(r, weight)
		layers := 3 // stem, final and classifier
		for _, block := range a.Path {
			layers += 1 + s.Blocks[block].Layers
		}
		if len(a.Layers) != layers {
			t.Fatalf("%d layers along %v, expected %d without a skip", len(a.Layers), a.Path, layers)
		}
	}
}
