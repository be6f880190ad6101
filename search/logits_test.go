package search

import (
	"math"
	"math/rand/v2"
	"testing"

	"densenas/search/objective"
	"densenas/supernet"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

// factors lists what multiplies the output of every executed operation, in the order of a super network's products: by a
// head's picks path probability · weight, by a stack's the weight, and by the final convolutions the path probability.
func factors(s *space.Space, c *supernet.Choice) (head, stack [][][]float64, final []float64) {
	head, stack = make([][][]float64, len(c.Head)), make([][][]float64, len(c.Stack))
	for j := range c.Head {
		for _, in := range s.Incoming(j + 1) {
			var row []float64
			for _, p := range c.Head[j][in.Incoming] {
				row = append(row, c.Beta[in.From][in.Outgoing]*p.Weight)
			}
			head[j] = append(head[j], row)
		}
		for _, picks := range c.Stack[j] {
			var row []float64
			for _, p := range picks {
				row = append(row, p.Weight)
			}
			stack[j] = append(stack[j], row)
		}
	}
	for _, in := range s.Incoming(len(s.Blocks)) {
		final = append(final, c.Beta[in.From][in.Outgoing])
	}
	return head, stack, final
}

// syntheticLoss is a smooth function of all factors, which are weighed by random numbers, with its derivatives.
func syntheticLoss(s *space.Space, c *supernet.Choice, seed uint64) (float64, *supernet.Products) {
	r := rand.New(rand.NewPCG(seed, 1))
	head, stack, final := factors(s, c)
	linear, mixed := 0.0, 0.0
	type term struct {
		to   *float64
		a, b float64
	}
	var terms []term
	visit := func(f float64, to *float64) {
		a, b := r.NormFloat64(), r.NormFloat64()
		linear += a * f
		mixed += b * f
		terms = append(terms, term{to, a, b})
	}
	p := &supernet.Products{Final: make([]float64, len(final))}
	tensor := func(t [][][]float64) [][][]float64 {
		out := make([][][]float64, len(t))
		for j := range t {
			out[j] = make([][]float64, len(t[j]))
			for i := range t[j] {
				out[j][i] = make([]float64, len(t[j][i]))
				for k, f := range t[j][i] {
					visit(f, &out[j][i][k])
				}
			}
		}
		return out
	}
	p.Head, p.Stack = tensor(head), tensor(stack)
	for i, f := range final {
		visit(f, &p.Final[i])
	}
	for _, t := range terms {
		*t.to = t.a + math.Cos(mixed)*t.b
	}
	return linear + math.Sin(mixed), p
}

// mix sets weights and path probabilities of a choice from logits, as a sampler does, and keeps which candidates it picks.
func mix(s *space.Space, c *supernet.Choice, p *space.Parameters) {
	layer := func(picks []supernet.Pick, logits []float64) {
		var chosen []float64
		for _, pick := range picks {
			chosen = append(chosen, logits[pick.Candidate])
		}
		for k, w := range objective.Softmax(chosen) {
			picks[k].Weight = w
		}
	}
	for i := range p.Beta {
		c.Beta[i] = objective.PathProbabilities(s, p.Beta[i])
	}
	for j := range c.Head {
		for i, picks := range c.Head[j] {
			layer(picks, p.AlphaHead[j][i])
		}
		for l, picks := range c.Stack[j] {
			layer(picks, p.AlphaStack[j][l])
		}
	}
}

func TestGradientsOfAllLogitsAgreeWithFiniteDifferences(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := randomSpace(t, r)
		p := randomParameters(s, r, 1)
		c := Pairs(s, p, r)
		loss := func() float64 {
			mix(s, c, p)
			value, _ := syntheticLoss(s, c, seed)
			return value
		}
		_, products := syntheticLoss(s, c, seed)
		gradient := s.NewParameters()
		addProducts(s, c, products, gradient)
		got, at := flatten(gradient), pointers(p)
		// It is added to what is there.
		addProducts(s, c, products, gradient)
		for i, twice := range flatten(gradient) {
			if math.Abs(twice-2*got[i]) > 1e-12*(1+math.Abs(got[i])) {
				t.Fatalf("space %d, logit %d: %g and then %g", seed, i, got[i], twice)
			}
		}
		for i, logit := range at {
			const step = 1e-5
			start := *logit
			*logit = start + step
			above := loss()
			*logit = start - step
			below := loss()
			*logit = start
			if want := (above - below) / (2 * step); math.Abs(got[i]-want) > 1e-8*(1+math.Abs(want)) {
				t.Errorf("space %d, logit %d of %d: gradient %.12g, finite difference %.12g", seed, i, len(at), got[i], want)
			}
		}
	}
}

// The exp-sum of the sampled pair is what it was before the step, and nothing else moves.
func TestRescaleKeepsTheShareOfThePair(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := randomSpace(t, r)
		before := randomParameters(s, r, 3)
		c := Pairs(s, before, r)
		stepped := clone(before)
		for _, logit := range pointers(stepped) {
			*logit += 0.1 * r.NormFloat64()
		}
		after := clone(stepped)
		rescale(before, after, c)
		if !cmp.Equal(after.Beta, stepped.Beta) {
			t.Fatalf("case %d: beta moved", seed)
		}
		check := func(before, stepped, after []float64, picks []supernet.Pick) {
			t.Helper()
			picked := map[int]bool{}
			sumBefore, sumAfter := 0.0, 0.0
			for _, p := range picks {
				picked[p.Candidate] = true
				sumBefore += math.Exp(before[p.Candidate])
				sumAfter += math.Exp(after[p.Candidate])
			}
			if math.Abs(sumAfter-sumBefore) > 1e-12*sumBefore {
				t.Errorf("case %d: exp-sum %.15g of the pair became %.15g", seed, sumBefore, sumAfter)
			}
			for i := range after {
				if !picked[i] && after[i] != stepped[i] {
					t.Errorf("case %d: candidate %d, which was not sampled, moved from %g to %g", seed, i, stepped[i], after[i])
				}
			}
			if len(picks) == 2 {
				a, b := picks[0].Candidate, picks[1].Candidate
				if math.Abs((after[a]-after[b])-(stepped[a]-stepped[b])) > 1e-12 {
					t.Errorf("case %d: the difference within the pair changed", seed)
				}
			}
		}
		for j := range c.Head {
			for i, picks := range c.Head[j] {
				check(before.AlphaHead[j][i], stepped.AlphaHead[j][i], after.AlphaHead[j][i], picks)
			}
			for l, picks := range c.Stack[j] {
				check(before.AlphaStack[j][l], stepped.AlphaStack[j][l], after.AlphaStack[j][l], picks)
			}
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	p := randomParameters(randomSpace(t, r), r, 1)
	q := clone(p)
	if !cmp.Equal(p, q) {
		t.Fatal("a clone differs")
	}
	for _, logit := range pointers(q) {
		*logit += 1
	}
	for i, v := range flatten(p) {
		if flatten(q)[i] != v+1 {
			t.Fatalf("logit %d is shared", i)
		}
	}
}

func TestEntropiesAndSkipShare(t *testing.T) {
	// Two blocks behind the first: beta has rows of 2, 2 and 1 logits.
	s := &space.Space{
		Name: "test", Resolution: 8, Channels: 1, Classes: 2, Forward: 2,
		Stem:           space.StemLayer{Kernel: 3, Width: 4, Stride: 1},
		First:          space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1},
		HeadCandidates: []space.Candidate{{Kind: space.MBConv, Kernel: 3, Expansion: 3}},
		StackCandidates: []space.Candidate{
			{Kind: space.MBConv, Kernel: 3, Expansion: 3}, {Kind: space.Skip}, {Kind: space.MBConv, Kernel: 5, Expansion: 3}, {Kind: space.MBConv, Kernel: 7, Expansion: 3},
		},
		Blocks: []space.Block{{Width: 4, Stride: 1}, {Width: 6, Stride: 1, Layers: 1}, {Width: 8, Stride: 1, Layers: 1}},
		Final:  space.FinalLayer{Width: 8},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %g, want %g", what, got, want)
		}
	}
	p := s.NewParameters()
	alpha, beta := entropies(s, p)
	near("alpha's entropy at the start", alpha, 1)
	near("beta's entropy at the start", beta, 1)
	near("skip's share at the start", skipShare(s, p), 0.25)

	// Block 1 chooses its skip for certain; block 2 between two with equal chances: half of the bits.
	p.AlphaStack[0][0] = []float64{0, 2000, 0, 0}
	p.AlphaStack[1][0] = []float64{5, 5, -2000, -2000}
	// Rows with one candidate (the heads, and beta of the last block) do not count.
	p.Beta[0] = []float64{2000, 0}
	p.Beta[1] = []float64{math.Log(3), 0}
	alpha, beta = entropies(s, p)
	near("alpha's entropy", alpha, (0+0.5)/2)
	quarters := -(0.75*math.Log(0.75) + 0.25*math.Log(0.25)) / math.Log(2)
	near("beta's entropy", beta, (0+quarters)/2)
	near("skip's share", skipShare(s, p), (1+0.5)/2)

	for j := range s.Blocks {
		s.Blocks[j].Layers = 0
	}
	p = s.NewParameters()
	alpha, _ = entropies(s, p)
	near("alpha's entropy where nothing is to choose", alpha, 1)
	s.Forward = 1 // one path of blocks
	p = s.NewParameters()
	_, beta = entropies(s, p)
	near("beta's entropy where nothing is to choose", beta, 1)
	near("skip's share where there are no layers", skipShare(s, p), 0)
}
