package supernet

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// testSpace is the smallest space with all that the engine knows: two ways in, a halving, stacked layers, a skip and two
// ways into the final convolution. Compiling is what takes the time in these tests.
func testSpace(t *testing.T) *space.Space {
	t.Helper()
	k3 := space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 3}
	s := &space.Space{
		Name: "test", Resolution: 8, Channels: 1, Classes: 5, Forward: 2,
		Stem:            space.StemLayer{Kernel: 3, Width: 4, Stride: 1},
		First:           space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1},
		HeadCandidates:  []space.Candidate{k3, {Kind: space.MBConv, Kernel: 5, Expansion: 3}},
		StackCandidates: []space.Candidate{k3, {Kind: space.Skip}},
		Blocks: []space.Block{
			{Width: 4, Stride: 1, Stage: 0}, {Width: 6, Stride: 2, Stage: 1, Layers: 1}, {Width: 8, Stride: 2, Stage: 1, Layers: 1},
		},
		Final: space.FinalLayer{Width: 16, Stage: 2},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

func fixedBatch(s *space.Space, size int) Batch {
	r := rand.New(rand.NewPCG(1, 1))
	b := Batch{Images: make([]float32, size*s.Resolution*s.Resolution*s.Channels), Labels: make([]int32, size), Valid: size}
	for i := range b.Images {
		b.Images[i] = float32(r.NormFloat64())
	}
	for i := range b.Labels {
		b.Labels[i] = int32(i % s.Classes)
	}
	return b
}

// one is a choice of the given candidate everywhere with even path probabilities.
func choiceOf(s *space.Space, pick func(candidates int) []Pick) *Choice {
	c := &Choice{}
	for i := range s.Blocks {
		n := len(s.Outgoing(i))
		beta := make([]float64, n)
		for k := range beta {
			beta[k] = 1 / float64(n)
		}
		c.Beta = append(c.Beta, beta)
	}
	for j := 1; j < len(s.Blocks); j++ {
		var head, stack [][]Pick
		for range s.Incoming(j) {
			head = append(head, pick(len(s.HeadCandidates)))
		}
		for range s.Blocks[j].Layers {
			stack = append(stack, pick(len(s.StackCandidates)))
		}
		c.Head, c.Stack = append(c.Head, head), append(c.Stack, stack)
	}
	return c
}

func single(k int) func(int) []Pick {
	return func(n int) []Pick { return []Pick{{Candidate: min(k, n-1), Weight: 1}} }
}

func TestWeightStepsLearnAFixedBatch(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := testSpace(t)
		n, err := New(b.Backend, s, Options{Batch: 10, Seed: 1, Momentum: 0.9, WeightDecay: 4e-5, NormMomentum: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		batch, choice := fixedBatch(s, 10), choiceOf(s, single(0))
		var first, last Result
		for i := range 40 {
			if last, err = n.WeightStep(batch, choice, 0.1); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = last
			}
		}
		if last.Loss > first.Loss/3 || last.Correct < 9 {
			t.Errorf("loss went from %.3f to %.3f with %d of 10 correct; a fixed batch should be learned", first.Loss, last.Loss, last.Correct)
		}
	})
}

func mixed(n int) []Pick { return []Pick{{Candidate: 0, Weight: 0.3}, {Candidate: n - 1, Weight: 0.7}} }

func TestProductsAgreeWithFiniteDifferences(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := testSpace(t)
		n, err := New(b.Backend, s, Options{Batch: 16, Seed: 3, Momentum: 0.9})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		batch, choice := fixedBatch(s, 16), choiceOf(s, mixed)
		for range 3 { // a few steps, so that the gradients are not those of a flat start
			if _, err := n.WeightStep(batch, choice, 0.05); err != nil {
				t.Fatal(err)
			}
		}
		_, products, err := n.ArchitectureStep(batch, choice)
		if err != nil {
			t.Fatal(err)
		}
		difference := func(factor *float64) float64 {
			const step = 0.001
			start := *factor
			at := func(v float64) float64 {
				*factor = v
				r, err := n.Evaluate(batch, choice)
				if err != nil {
					t.Fatal(err)
				}
				return r.Loss
			}
			d := (at(start+step) - at(start-step)) / (2 * step)
			*factor = start
			return d
		}
		// Single differences suffer from the kinks of ReLU6 and from float32; all of them together do not.
		deviation, scale := map[string]float64{}, map[string]float64{}
		check := func(what string, got, want float64) {
			deviation[what] += (got - want) * (got - want)
			scale[what] += want * want
		}
		for j := range products.Head {
			for c, in := range s.Incoming(j + 1) {
				beta := choice.Beta[in.From][in.Outgoing]
				for k := range products.Head[j][c] {
					check("head pick", beta*products.Head[j][c][k], difference(&choice.Head[j][c][k].Weight))
				}
				byBeta := 0.0
				for k, p := range products.Head[j][c] {
					byBeta += p * choice.Head[j][c][k].Weight
				}
				check("path probability", byBeta, difference(&choice.Beta[in.From][in.Outgoing]))
			}
			for l := range products.Stack[j] {
				for k := range products.Stack[j][l] {
					check("stack pick", products.Stack[j][l][k], difference(&choice.Stack[j][l][k].Weight))
				}
			}
		}
		for c, in := range s.Incoming(len(s.Blocks)) {
			check("final", products.Final[c], difference(&choice.Beta[in.From][in.Outgoing]))
		}
		for what := range scale {
			if relative := math.Sqrt(deviation[what] / scale[what]); !(relative < 0.1) {
				t.Errorf("%s: products are off from finite differences by %.1f %%", what, 100*relative)
			}
		}
	})
}

// TestOnlySampledOperationsExecute counts the calls of every executable in one step of each kind.
func TestOnlySampledOperationsExecute(t *testing.T) {
	s := testSpace(t)
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 2, Seed: 1, Momentum: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	choice := choiceOf(s, single(1))
	if _, err := n.WeightStep(fixedBatch(s, 2), choice, 0.1); err != nil {
		t.Fatal(err)
	}
	want := map[Executable]int{}
	add := func(o space.Op) {
		if o.Kind == space.Skip {
			return // a skip alone is its input: nothing to call
		}
		want[Executable{o, Forward}]++
		want[Executable{o, Backward}]++
		want[Executable{o, Update}]++
	}
	add(s.StemOp())
	add(s.FirstOp())
	want[Executable{s.ClassifierOp(), Update}] = 1 // forward, loss and backward in one
	for j := 1; j < len(s.Blocks); j++ {
		for _, c := range s.Incoming(j) {
			add(s.HeadOps(c)[1])
		}
		for range s.Blocks[j].Layers {
			add(s.StackOps(j)[1])
		}
	}
	for _, c := range s.Incoming(len(s.Blocks)) {
		add(s.FinalOp(c))
	}
	got := n.Statistics().Executables
	for e, calls := range want {
		if got[e].Calls != calls {
			t.Errorf("%s was called %d times, want %d", e, got[e].Calls, calls)
		}
	}
	for e, usage := range got {
		if want[e] == 0 {
			t.Errorf("%s was called %d times, but is not sampled", e, usage.Calls)
		}
	}
	state, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	allocated := map[string]bool{}
	for _, tensor := range state {
		allocated[tensor.Name] = true
	}
	sampled, other := "block1/connection0/"+s.HeadCandidates[1].String()+"/project", "block1/connection0/"+s.HeadCandidates[0].String()+"/project"
	if !allocated[sampled] || allocated[other] {
		t.Errorf("weights allocated: sampled op %t, other op %t; want only the sampled", allocated[sampled], allocated[other])
	}
}

func TestArchitectureStepLeavesWeightsAlone(t *testing.T) {
	s := testSpace(t)
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 4, Seed: 1, Momentum: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	batch, choice := fixedBatch(s, 4), choiceOf(s, mixed)
	if _, err := n.WeightStep(batch, choice, 0.1); err != nil {
		t.Fatal(err)
	}
	before, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.ArchitectureStep(batch, choice); err != nil {
		t.Fatal(err)
	}
	after, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("an architecture step changed the state:\n%s", diff)
	}
}

// TestStateRestores continues from a state in a new network and must get the same numbers as without the break.
func TestStateRestores(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := testSpace(t)
		o := Options{Batch: 4, Seed: 1, Momentum: 0.9, WeightDecay: 1e-4, NormMomentum: 0.1}
		batch := fixedBatch(s, 4)
		steps := func(n *Network, from, to int) {
			for i := from; i < to; i++ {
				if _, err := n.WeightStep(batch, choiceOf(s, single(i%2)), 0.05); err != nil {
					t.Fatal(err)
				}
			}
		}
		state := func(n *Network) []NamedTensor {
			v, err := n.State()
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		fresh := func() *Network {
			n, err := New(b.Backend, s, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.Finalize)
			return n
		}
		whole := fresh()
		steps(whole, 0, 4)
		broken := fresh()
		steps(broken, 0, 2)
		resumed := fresh()
		if err := resumed.SetState(state(broken)); err != nil {
			t.Fatal(err)
		}
		steps(resumed, 2, 4)
		if diff := cmp.Diff(state(whole), state(resumed)); diff != "" {
			t.Errorf("a restored network went another way:\n%.2000s", diff)
		}
	})
}

func TestWrongBatchAndChoiceAreErrors(t *testing.T) {
	s := testSpace(t)
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	if _, err := n.Evaluate(fixedBatch(s, 3), choiceOf(s, single(0))); err == nil {
		t.Error("a batch of another size was accepted")
	}
	bad := choiceOf(s, single(0))
	bad.Head[1][0][0].Candidate = 99
	if _, err := n.Evaluate(fixedBatch(s, 4), bad); err == nil {
		t.Error("a candidate that does not exist was accepted")
	}
}

func TestPartOfAnOperationIsRefused(t *testing.T) {
	s := testSpace(t)
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 2, Seed: 1, Momentum: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	if _, err := n.WeightStep(fixedBatch(s, 2), choiceOf(s, single(0)), 0.1); err != nil {
		t.Fatal(err)
	}
	whole, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	for i, left := range whole {
		if (strings.HasPrefix(left.Name, "final/") || strings.HasPrefix(left.Name, "stem/")) && strings.HasSuffix(left.Name, "/velocity") {
			continue // its only one: as after architecture steps alone, before any update
		}
		part := append(append([]NamedTensor(nil), whole[:i]...), whole[i+1:]...)
		if err := n.SetState(part); err == nil {
			t.Errorf("a state without %s was accepted", left.Name)
		}
	}
	if err := n.SetState(whole); err != nil {
		t.Errorf("the whole state: %v", err)
	}
}
