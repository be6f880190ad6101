package search

import (
	"math"
	"math/rand/v2"
	"testing"

	"densenas/search/objective"
	"densenas/supernet"
)

const draws = 200_000

// checkFrequencies reports counts that are off their probabilities by more than five standard deviations.
func checkFrequencies(t *testing.T, what string, counts map[[2]int]int, probability map[[2]int]float64) {
	t.Helper()
	total := 0.0
	for key, p := range probability {
		total += p
		want, deviation := draws*p, math.Sqrt(draws*p*(1-p))
		if math.Abs(float64(counts[key])-want) > 5*deviation+1e-9 {
			t.Errorf("%s: %v was drawn %d times, expected are %.0f ± %.0f", what, key, counts[key], want, deviation)
		}
	}
	if math.Abs(total-1) > 1e-12 {
		t.Fatalf("%s: probabilities add up to %g", what, total)
	}
	for key := range counts {
		if _, ok := probability[key]; !ok {
			t.Errorf("%s: %v was drawn", what, key)
		}
	}
}

func TestPairsAreDrawnWithoutReplacement(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, logits := range [][]float64{{0, 0}, {2, -1}, {0, 0, 0}, {1, 0, -1, 0.5}, {8, 0, 0.5}, {-3, 2, 2, 0, 1, -1, 0}} {
		p := objective.Softmax(logits)
		want := map[[2]int]float64{}
		for a := range p {
			for b := range p {
				if a != b {
					want[[2]int{a, b}] = p[a] * p[b] / (1 - p[a])
				}
			}
		}
		counts := map[[2]int]int{}
		for range draws {
			picks := pair(logits, r)
			if len(picks) != 2 {
				t.Fatalf("%d picks of %d candidates", len(picks), len(logits))
			}
			a, b := picks[0], picks[1]
			counts[[2]int{a.Candidate, b.Candidate}]++
			share := 1 / (1 + math.Exp(logits[b.Candidate]-logits[a.Candidate]))
			if math.Abs(a.Weight-share) > 1e-12 || math.Abs(a.Weight+b.Weight-1) > 1e-12 {
				t.Fatalf("logits %v: picks %+v, the first should weigh %g", logits, picks, share)
			}
		}
		checkFrequencies(t, "pairs", counts, want)
	}
	// Where there are fewer than two, all are taken.
	if picks := pair([]float64{3}, r); len(picks) != 1 || picks[0] != (supernet.Pick{Candidate: 0, Weight: 1}) {
		t.Errorf("of one candidate: %+v", picks)
	}
	// Where one has all of the probability, the others still take turns as the second.
	seconds := map[int]int{}
	for range 100 {
		picks := pair([]float64{0, 3000, 0}, r)
		if picks[0].Candidate != 1 {
			t.Fatalf("picks %+v", picks)
		}
		seconds[picks[1].Candidate]++
	}
	if seconds[0] < 20 || seconds[2] < 20 {
		t.Errorf("seconds beside a certain first: %v", seconds)
	}
}

func TestSinglesAreDrawnByTheirProbabilities(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	s := randomSpace(t, r)
	for len(s.HeadCandidates) < 2 || s.Blocks[1].Layers < 1 {
		s = randomSpace(t, r)
	}
	p := randomParameters(s, r, 1)
	logits := p.AlphaStack[0][0]
	uniform, weighed := map[[2]int]float64{}, map[[2]int]float64{}
	for i, q := range objective.Softmax(logits) {
		uniform[[2]int{i}], weighed[[2]int{i}] = 1/float64(len(logits)), q
	}
	byUniform, byProbability := map[[2]int]int{}, map[[2]int]int{}
	for range draws {
		// Only the layer in question, for speed: the whole choice is looked at below.
		byUniform[[2]int{singleOf(t, Uniform(s, p, r))}]++
		byProbability[[2]int{singleOf(t, ByProbability(s, p, r))}]++
	}
	checkFrequencies(t, "uniform", byUniform, uniform)
	checkFrequencies(t, "by probability", byProbability, weighed)
}

// singleOf is what the first stacked layer of block 1 picks.
func singleOf(t *testing.T, c *supernet.Choice) int {
	t.Helper()
	picks := c.Stack[0][0]
	if len(picks) != 1 || picks[0].Weight != 1 {
		t.Fatalf("picks %+v", picks)
	}
	return picks[0].Candidate
}

// Every sampler gives a choice that has every layer of the space, with the path probabilities of beta.
func TestChoicesHaveTheShapeOfTheSpace(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := randomSpace(t, r)
		p := randomParameters(s, r, 2)
		for name, c := range map[string]*supernet.Choice{"uniform": Uniform(s, p, r), "by probability": ByProbability(s, p, r), "pairs": Pairs(s, p, r)} {
			for i, row := range p.Beta {
				scaled := make([]float64, len(row))
				for k, v := range row {
					scaled[k] = v / s.Temperature()
				}
				want := objective.Softmax(scaled)
				for k := range want {
					if c.Beta[i][k] != want[k] {
						t.Fatalf("%s: beta[%d] is %v, want %v", name, i, c.Beta[i], want)
					}
				}
			}
			layer := func(picks []supernet.Pick, candidates int) {
				want := 1
				if name == "pairs" {
					want = min(2, candidates)
				}
				total := 0.0
				for _, pick := range picks {
					if pick.Candidate < 0 || pick.Candidate >= candidates {
						t.Errorf("%s: pick %+v of %d", name, pick, candidates)
					}
					total += pick.Weight
				}
				if len(picks) != want || math.Abs(total-1) > 1e-12 {
					t.Errorf("%s: picks %+v, want %d", name, picks, want)
				}
			}
			if len(c.Head) != len(s.Blocks)-1 || len(c.Stack) != len(s.Blocks)-1 {
				t.Fatalf("%s: %d heads, %d stacks, %d blocks", name, len(c.Head), len(c.Stack), len(s.Blocks))
			}
			for j := range c.Head {
				if len(c.Head[j]) != len(s.Incoming(j+1)) || len(c.Stack[j]) != s.Blocks[j+1].Layers {
					t.Fatalf("%s: block %d has %d heads and %d layers", name, j+1, len(c.Head[j]), len(c.Stack[j]))
				}
				for _, picks := range c.Head[j] {
					layer(picks, len(s.HeadCandidates))
				}
				for _, picks := range c.Stack[j] {
					layer(picks, len(s.StackCandidates))
				}
			}
		}
	}
}

// The same generator draws the same: a resumed search depends on it.
func TestSamplingIsReproducible(t *testing.T) {
	s := randomSpace(t, rand.New(rand.NewPCG(4, 4)))
	p := randomParameters(s, rand.New(rand.NewPCG(5, 5)), 1)
	a, b := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	for range 20 {
		x, y := picksOf(Pairs(s, p, a)), picksOf(Pairs(s, p, b))
		for i := range x {
			for k := range x[i] {
				if x[i][k] != y[i][k] {
					t.Fatalf("layer %d: %+v and %+v", i, x[i], y[i])
				}
			}
		}
	}
}
