package derive

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

// randomCase draws a small space with costs and parameters. Costs of a block's layers are equal in half of the cases; coarse
// costs and parameters make for equal sums.
func randomCase(r *rand.Rand) (*space.Space, *space.Parameters, *objective.Costs) {
	var s *space.Space
	for {
		s = &space.Space{Name: "random", Resolution: 32, Channels: 1, Classes: 10, Forward: 1 + r.IntN(4),
			Stem: space.StemLayer{Kernel: 3, Width: 8, Stride: 1}, First: space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1}, Final: space.FinalLayer{Width: 8}}
		for i := range 1 + r.IntN(3) {
			s.HeadCandidates = append(s.HeadCandidates, space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1 + i})
			s.StackCandidates = append(s.StackCandidates, space.Candidate{Kind: space.MBConv, Kernel: 5, Expansion: 1 + i})
		}
		if r.IntN(3) > 0 {
			at := r.IntN(len(s.StackCandidates) + 1)
			s.StackCandidates = append(s.StackCandidates[:at:at], append([]space.Candidate{{Kind: space.Skip}}, s.StackCandidates[at:]...)...)
		}
		b := space.Block{Width: 8, Stride: 1}
		for range 1 + r.IntN(4) {
			s.Blocks = append(s.Blocks, b)
			b.Width, b.Layers = 8+r.IntN(4), r.IntN(3)
			if r.IntN(3) == 0 {
				b.Stride *= 2
			}
			b.Stage += r.IntN(2)
		}
		s.Final.Stage = s.Blocks[len(s.Blocks)-1].Stage
		if s.Check() == nil {
			break
		}
	}
	draw := r.Float64
	if r.IntN(4) == 0 {
		draw = func() float64 { return float64(r.IntN(4)) / 4 }
	}
	row := func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = draw()
		}
		return out
	}
	c := &objective.Costs{Space: s, StemAndFirst: draw(), Classifier: draw(), Call: draw(), Final: row(len(s.Incoming(len(s.Blocks))))}
	p := s.NewParameters()
	equal := r.IntN(2) == 0
	c.Head, c.Stack = make([][][]float64, len(s.Blocks)), make([][][]float64, len(s.Blocks))
	for b := range s.Blocks {
		copy(p.Beta[b], row(len(p.Beta[b])))
		if b == 0 {
			continue
		}
		for i := range p.AlphaHead[b-1] {
			c.Head[b] = append(c.Head[b], row(len(s.HeadCandidates)))
			copy(p.AlphaHead[b-1][i], row(len(s.HeadCandidates)))
		}
		for i := range p.AlphaStack[b-1] {
			c.Stack[b] = append(c.Stack[b], row(len(s.StackCandidates)))
			if equal {
				c.Stack[b][i] = c.Stack[b][0]
			}
			copy(p.AlphaStack[b-1][i], row(len(s.StackCandidates)))
		}
	}
	return s, p, c
}

// everything lists all selections of a space.
func everything(s *space.Space) []selection {
	var all []selection
	var walk func(block int, x selection)
	walk = func(block int, x selection) {
		for _, c := range s.Outgoing(block) {
			path := append(x.path[:len(x.path):len(x.path)], c)
			if c.To == len(s.Blocks) {
				all = append(all, selection{path, x.heads, x.stacks})
				continue
			}
			stacks := [][]int{nil}
			for range s.Blocks[c.To].Layers {
				var longer [][]int
				for _, stack := range stacks {
					for i := range s.StackCandidates {
						longer = append(longer, append(stack[:len(stack):len(stack)], i))
					}
				}
				stacks = longer
			}
			for head := range s.HeadCandidates {
				for _, stack := range stacks {
					walk(c.To, selection{path, append(x.heads[:len(x.heads):len(x.heads)], head), append(x.stacks[:len(x.stacks):len(x.stacks)], stack)})
				}
			}
		}
	}
	walk(0, selection{})
	return all
}

// joint is the logarithm of the probability of a selection and of every layer off its path being at its most probable, written
// down from the definition, less that of every layer of the space being at its most probable.
func joint(s *space.Space, p *space.Parameters, x selection) float64 {
	log := func(logits []float64, i int) float64 {
		sum := 0.0
		for _, v := range logits {
			sum += math.Exp(v - logits[i])
		}
		return -math.Log(sum)
	}
	highest := func(logits []float64) float64 {
		best := math.Inf(-1)
		for i := range logits {
			best = max(best, log(logits, i))
		}
		return best
	}
	total := 0.0
	for i, c := range x.path {
		total += log(p.Beta[c.From], c.Outgoing)
		if c.To == len(s.Blocks) {
			break
		}
		logits := p.AlphaHead[c.To-1][c.Incoming]
		total += log(logits, x.heads[i]) - highest(logits)
		for layer, candidate := range x.stacks[i] {
			logits := p.AlphaStack[c.To-1][layer]
			total += log(logits, candidate) - highest(logits)
		}
	}
	return total
}

func TestWithinIsTheBestOfAllArchitectures(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	binding := 0
	for tested := 0; tested < 1000; {
		s, p, c := randomCase(r)
		size := 1.0
		for _, b := range s.Blocks {
			size *= 2 * math.Pow(float64(len(s.StackCandidates)), float64(b.Layers))
		}
		if size > 3000 {
			continue
		}
		tested++
		all := everything(s)
		// At random, or exactly what one of the architectures takes.
		limit := c.Fastest() + r.Float64()*r.Float64()*(c.Slowest()-c.Fastest())/2
		if r.IntN(2) == 0 {
			limit = all[r.IntN(len(all))].latency(c)
		}
		best := math.Inf(-1)
		for _, x := range all {
			if x.latency(c) <= limit {
				best = max(best, joint(s, p, x))
			}
		}
		f := newPreferences(s, p)
		chosen := f.plain()
		if chosen.latency(c) > limit {
			binding++
		}
		chosen = newSearch(f, c, limit).best()
		if got := chosen.latency(c); got > limit {
			t.Fatalf("case %d takes %.17g ms, more than the limit %.17g", tested, got, limit)
		}
		if got := joint(s, p, chosen); math.Abs(got-best) > 1e-9 {
			t.Fatalf("case %d: log-probability %.12g, the best within %g ms of all has %.12g", tested, got, limit, best)
		}
		a, err := Within(s, p, c, limit)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if binding < 300 {
		t.Errorf("only %d of the limits were below what the plain architecture takes", binding)
	}
}

func TestWithinALooseLimitIsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for range 200 {
		s, p, c := randomCase(r)
		want, err := Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Within(s, p, c, c.Slowest())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-plain +within:\n%s", diff)
		}
	}
}

func TestBelowTheFastestIsBadInputThatSaysWhatThatIs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 200 {
		s, p, c := randomCase(r)
		fastest := c.Fastest()
		if _, err := Within(s, p, c, fastest); err != nil {
			t.Fatalf("the fastest itself, %g: %v", fastest, err)
		}
		_, err := Within(s, p, c, math.Nextafter(fastest, -1))
		if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), "the fastest takes "+roundedUp(fastest)+" ms") {
			t.Fatalf("below the fastest, %g: %v", fastest, err)
		}
	}
	s, p, c := randomCase(r)
	if _, err := Within(s, p, c, math.NaN()); err == nil || exit.Code(err) != 2 {
		t.Errorf("no number gave %v", err)
	}
	for v, want := range map[float64]string{1.23451: "1.2346", 12.345: "12.345", 0.00012345678: "0.00012346", 99.9999: "100", 0: "0", 1234567: "1.2346e+06"} {
		if got := roundedUp(v); got != want {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}

func titanXP(t testing.TB, s *space.Space) *lut.Table {
	t.Helper()
	f, err := os.Open(testdata.Shared(t, "luts/titanxp-mbv2-b32.densenas.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := lut.ImportDenseNAS(f, "titanxp-mbv2-b32.densenas.txt", s)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// On the published table and parameters: no limit is broken, and a looser one never costs probability.
func TestWithinOnThePublishedTable(t *testing.T) {
	s := load(t, "mbv2")
	table := titanXP(t, s)
	c, err := objective.FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	params, derived := goldenParameters(t)
	for i, p := range params {
		f := newPreferences(s, p)
		before := math.Inf(-1)
		for limit := math.Ceil(c.Fastest()); limit < 40; limit += 3 {
			chosen := newSearch(f, c, limit).best()
			if got, _, err := table.Network(chosen.architecture(s)); err != nil || got.MS > limit || got.MS != chosen.latency(c) {
				t.Errorf("case %d: within %g ms, the table predicts %+v, the costs say %g, %v", i, limit, got, chosen.latency(c), err)
			}
			score := f.logProbability(chosen)
			if score < before {
				t.Errorf("case %d: the log-probability falls from %g to %g where the limit rises to %g ms", i, before, score, limit)
			}
			before = score
		}
		if before != f.logProbability(f.plain()) {
			t.Errorf("case %d: within a loose limit the log-probability is %g, of the plain architecture %g", i, before, f.logProbability(f.plain()))
		}
		a, err := Within(s, p, c, 40)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.NetConfig(); err != nil || got != derived[i] {
			t.Errorf("case %d: %v\n got %s\nwant %s", i, err, got, derived[i])
		}
	}
}
