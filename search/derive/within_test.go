package derive

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"

	gocmp "github.com/google/go-cmp/cmp"
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
	p := s.NewParameters()
	row := rows(r)
	for b := range s.Blocks {
		copy(p.Beta[b], row(len(p.Beta[b])))
		if b == 0 {
			continue
		}
		for i := range p.AlphaHead[b-1] {
			copy(p.AlphaHead[b-1][i], row(len(s.HeadCandidates)))
		}
		for i := range p.AlphaStack[b-1] {
			copy(p.AlphaStack[b-1][i], row(len(s.StackCandidates)))
		}
	}
	return s, p, randomCosts(r, s)
}

// rows draws rows of numbers; coarse ones at times.
func rows(r *rand.Rand) func(n int) []float64 {
	draw := r.Float64
	if r.IntN(4) == 0 {
		draw = func() float64 { return float64(r.IntN(4)) / 4 }
	}
	return func(n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = draw()
		}
		return out
	}
}

func randomCosts(r *rand.Rand, s *space.Space) *objective.Costs {
	row := rows(r)
	outside := row(3)
	c := &objective.Costs{Space: s, Unit: "ms", StemAndFirst: outside[0], Classifier: outside[1], Call: outside[2], Final: row(len(s.Incoming(len(s.Blocks))))}
	equal := r.IntN(2) == 0
	c.Head, c.Stack = make([][][]float64, len(s.Blocks)), make([][][]float64, len(s.Blocks))
	for b := 1; b < len(s.Blocks); b++ {
		for range s.Incoming(b) {
			c.Head[b] = append(c.Head[b], row(len(s.HeadCandidates)))
		}
		for i := range s.Blocks[b].Layers {
			c.Stack[b] = append(c.Stack[b], row(len(s.StackCandidates)))
			if equal {
				c.Stack[b][i] = c.Stack[b][0]
			}
		}
	}
	return c
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

// one is the only one of a list.
func one(all []*space.Architecture, err error) (*space.Architecture, error) {
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("%d architectures", len(all))
	}
	return all[0], nil
}

// smallCase is a random case with few enough networks to try all.
func smallCase(r *rand.Rand) (*space.Space, *space.Parameters, *objective.Costs) {
	for {
		s, p, c := randomCase(r)
		size := 1.0
		for _, b := range s.Blocks {
			size *= 2 * math.Pow(float64(len(s.StackCandidates)), float64(b.Layers))
		}
		if size <= 3000 {
			return s, p, c
		}
	}
}

// Against all selections of 1,000 small random spaces, under one limit and under several, for one architecture and for many.
func TestWithinFindsTheBestOfAllArchitectures(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	binding, fewer, several, none := 0, 0, 0, 0
	for tested := range 1000 {
		s, p, c := smallCase(r)
		all := everything(s)
		costs := []*objective.Costs{c}
		for r.IntN(3) == 0 && len(costs) < maxLimits {
			costs = append(costs, randomCosts(r, s))
		}
		var limits []Limit
		some := all[r.IntN(len(all))]
		for _, c := range costs {
			// At random, or exactly what one of the architectures takes.
			limit := c.Fastest() + r.Float64()*r.Float64()*(c.Slowest()-c.Fastest())/2
			if r.IntN(2) == 0 {
				limit = some.cost(c)
			}
			limits = append(limits, Limit{c, limit})
		}
		within := func(x selection) bool {
			return !slices.ContainsFunc(limits, func(l Limit) bool { return x.cost(l.Costs) > l.Most })
		}
		// The most probable selection of every network that is within the limits.
		best := map[string]float64{}
		for _, x := range all {
			if within(x) {
				network := fmt.Sprint(x.architecture(s).Layers)
				if score, there := best[network]; !there || joint(s, p, x) > score {
					best[network] = joint(s, p, x)
				}
			}
		}
		want := slices.SortedFunc(maps.Values(best), func(a, b float64) int { return cmp.Compare(b, a) })
		top := 1
		if r.IntN(2) == 0 {
			top += r.IntN(20)
		}
		fewer += btoi(len(want) < top)
		want = want[:min(len(want), top)]
		several += btoi(len(limits) > 1)
		none += btoi(len(want) == 0)
		f := newPreferences(s, p)
		binding += btoi(!within(f.plain()))

		chosen := newSearch(f, limits, top).best()
		if len(chosen) != len(want) {
			t.Fatalf("case %d: %d architectures of the %d best within %d limits", tested, len(chosen), len(want), len(limits))
		}
		networks := map[string]bool{}
		for i, x := range chosen {
			if !within(x) {
				t.Fatalf("case %d: %d is beyond a limit", tested, i)
			}
			if got := joint(s, p, x); math.Abs(got-want[i]) > 1e-9 {
				t.Fatalf("case %d: %d has log-probability %.12g, the best of all that are left has %.12g", tested, i, got, want[i])
			}
			networks[fmt.Sprint(x.architecture(s).Layers)] = true
		}
		if len(networks) != len(chosen) {
			t.Fatalf("case %d: an architecture comes twice", tested)
		}
		found, err := Within(s, p, limits, top)
		if len(want) == 0 {
			if err == nil || exit.Code(err) != exit.CodeBadInput {
				t.Fatalf("case %d: no architecture is within the limits, and the error is %v", tested, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range found {
			if err := a.Check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if binding < 300 || fewer < 100 || several < 200 || none < 5 {
		t.Errorf("in %d cases the plain architecture was beyond a limit, in %d there were fewer architectures than wanted, in %d several limits, in %d none",
			binding, fewer, several, none)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestWithinALooseLimitIsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for range 200 {
		s, p, c := randomCase(r)
		want, err := Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := one(Within(s, p, []Limit{{c, c.Slowest()}}, 1))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("-plain +within:\n%s", diff)
		}
	}
}

func TestBelowTheFastestIsBadInputThatSaysWhatThatIs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 200 {
		s, p, c := randomCase(r)
		fastest := c.Fastest()
		if _, err := one(Within(s, p, []Limit{{c, fastest}}, 1)); err != nil {
			t.Fatalf("the fastest itself, %g: %v", fastest, err)
		}
		_, err := one(Within(s, p, []Limit{{c, math.Nextafter(fastest, -1)}}, 1))
		if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), "the least is "+roundedUp(fastest)+" ms") {
			t.Fatalf("below the fastest, %g: %v", fastest, err)
		}
	}
	s, p, c := randomCase(r)
	if _, err := one(Within(s, p, []Limit{{c, math.NaN()}}, 1)); err == nil || exit.Code(err) != 2 {
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
			chosen := newSearch(f, []Limit{{c, limit}}, 1).best()[0]
			if got, _, err := table.Network(chosen.architecture(s)); err != nil || got.MS > limit || got.MS != chosen.cost(c) {
				t.Errorf("case %d: within %g ms, the table predicts %+v, the costs say %g, %v", i, limit, got, chosen.cost(c), err)
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
		a, err := one(Within(s, p, []Limit{{c, 40}}, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.NetConfig(); err != nil || got != derived[i] {
			t.Errorf("case %d: %v\n got %s\nwant %s", i, err, got, derived[i])
		}
	}
}

// On the published table and parameters: the first of many is the one that is derived alone, none is beyond the limit, all differ,
// and they come in the order of their probability.
func TestTopOfThePublishedTable(t *testing.T) {
	s := load(t, "mbv2")
	table := titanXP(t, s)
	params, _ := goldenParameters(t)
	for i, p := range params {
		const limit, top = 18, 30
		alone, err := one(ByTargets(s, p, []Target{{Table: table, Most: limit}}, 1))
		if err != nil {
			t.Fatal(err)
		}
		found, err := ByTargets(s, p, []Target{{Table: table, Most: limit}}, top)
		if err != nil || len(found) != top {
			t.Fatalf("case %d: %d architectures, %v", i, len(found), err)
		}
		if diff := gocmp.Diff(alone, found[0]); diff != "" {
			t.Errorf("case %d (-alone +first):\n%s", i, diff)
		}
		networks := map[string]bool{}
		for _, a := range found {
			text, err := a.NetConfig()
			if err != nil || a.Predicted.LatencyMS > limit {
				t.Errorf("case %d: %+v, %v", i, a.Predicted, err)
			}
			networks[text] = true
		}
		if len(networks) != top {
			t.Errorf("case %d: only %d different networks", i, len(networks))
		}
		c, err := objective.FromTable(s, table)
		if err != nil {
			t.Fatal(err)
		}
		f := newPreferences(s, p)
		before := 0.0
		for k, x := range newSearch(f, []Limit{{c, limit}}, top).best() {
			score := f.logProbability(x)
			if k > 0 && score > before {
				t.Errorf("case %d: the log-probability rises from %g to %g at %d", i, before, score, k)
			}
			before = score
		}
	}
}
