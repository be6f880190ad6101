package search

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
	"densenas/search/derive"
	"densenas/supernet"
	"densenas/supernet/network"
	"densenas/supernet/space"
)

// inheritSpace has blocks that can be passed by, layers that can be skipped, and one channel, for the images of pictures.
func inheritSpace(t *testing.T) *space.Space {
	t.Helper()
	k3 := space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 3}
	s := &space.Space{
		Name: "heir", Resolution: 8, Channels: 1, Classes: 4, Forward: 2,
		Stem:            space.StemLayer{Kernel: 3, Width: 4, Stride: 1},
		First:           space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1},
		HeadCandidates:  []space.Candidate{k3, {Kind: space.MBConv, Kernel: 3, Expansion: 6}},
		StackCandidates: []space.Candidate{k3, {Kind: space.MBConv, Kernel: 3, Expansion: 6}, {Kind: space.Skip}},
		Blocks:          []space.Block{{Width: 4, Stride: 1}, {Width: 6, Stride: 2}, {Width: 8, Stride: 2, Stage: 1, Layers: 3}},
		Final:           space.FinalLayer{Width: 12, Stage: 2},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// certain makes a super network compute one network: that of the largest logits.
func certain(s *space.Space, p *space.Parameters) *supernet.Choice {
	sharp := clone(p)
	each(sharp, nil, func(row []float64, _ [][]float64) {
		largest := slices.Index(row, slices.Max(row))
		for k := range row {
			row[k] = 0
		}
		row[largest] = 1000
	})
	return choose(s, sharp, func(logits []float64) []supernet.Pick {
		return []supernet.Pick{{Candidate: slices.Index(logits, slices.Max(logits)), Weight: 1}}
	})
}

// A network with inherited weights computes what the super network computes along its path, whichever layers were skipped.
func TestInheritedNetworkIsThatOfTheSuperNetwork(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := inheritSpace(t)
		const size = 6
		n, err := supernet.New(b.Backend, s, supernet.Options{Batch: size, Seed: 1, Momentum: 0.9, NormMomentum: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		r := rand.New(rand.NewPCG(2, 2))
		batch := supernet.Batch{Images: make([]float32, size*8*8), Labels: []int32{0, 1, 2, 3, 0, 1}, Valid: size}
		for i := range batch.Images {
			batch.Images[i] = float32(r.NormFloat64())
		}
		// Paths over blocks 0, 2 and 0, 1, 2; the layers of block 2 are the second candidate, a skip, the first; and others.
		const skip = 2
		for i, c := range []struct {
			path  []int // of beta's rows, the connection taken
			stack []int
		}{{[]int{1, 0, 0}, []int{1, skip, 0}}, {[]int{0, 0, 0}, []int{skip, 0, skip}}} {
			if i > 0 && b.Name == backends.XLA {
				break // compiling is what takes the time there
			}
			p := randomParameters(s, r, 0.1)
			for block, k := range c.path {
				p.Beta[block][k] = 3
			}
			for layer, k := range c.stack {
				p.AlphaStack[1][layer][k] = 3
			}
			choice := certain(s, p)
			for range 3 {
				if _, err := n.WeightStep(batch, choice, 0.05); err != nil {
					t.Fatal(err)
				}
			}
			state, err := n.State()
			if err != nil {
				t.Fatal(err)
			}
			a, err := derive.Plain(s, p)
			if err != nil {
				t.Fatal(err)
			}
			start, err := Inherit(a, s, &Checkpoint{State: State{Parameters: p}, Tensors: state})
			if err != nil {
				t.Fatal(err)
			}
			trainer, err := network.NewTrainer(b.Backend, a, network.Options{Batch: size, Seed: 7, NormMomentum: 0.1, Start: start})
			if err != nil {
				t.Fatal(err)
			}
			defer trainer.Finalize()
			got, err := trainer.Step(batch, 0)
			if err != nil {
				t.Fatal(err)
			}
			want, err := n.WeightStep(batch, choice, 0)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(got.Loss-want.Loss) > 1e-4*want.Loss || got.Correct != want.Correct {
				t.Errorf("layers %v: the heir has loss %.6f, %d correct; the super network %.6f, %d", c.stack, got.Loss, got.Correct, want.Loss, want.Correct)
			}
			// With weights of its own it does not.
			drawn, err := network.NewTrainer(b.Backend, a, network.Options{Batch: size, Seed: 7, NormMomentum: 0.1})
			if err != nil {
				t.Fatal(err)
			}
			defer drawn.Finalize()
			if b.Name == backends.XLA {
				continue
			}
			if other, err := drawn.Step(batch, 0); err != nil || math.Abs(other.Loss-want.Loss) < 1e-2 {
				t.Errorf("layers %v: drawn weights have loss %.6f too; %v", c.stack, other.Loss, err)
			}
		}
	})
}

// The layers that are left take the most probable places, as brute force finds them.
func TestStackLayersAreTheMostProbable(t *testing.T) {
	s := inheritSpace(t)
	r := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		p := randomParameters(s, r, 1)
		alpha := p.AlphaStack[1]
		kept := make([]int, r.IntN(len(alpha)+1))
		for i := range kept {
			kept[i] = r.IntN(3)
		}
		got, err := stackLayers(s, alpha, kept)
		if err != nil {
			t.Fatal(err)
		}
		score := func(layers []int) float64 {
			total := 0.0
			for layer, row := range alpha {
				candidate := 2 // skip
				if k := slices.Index(layers, layer); k >= 0 {
					candidate = kept[k]
				}
				total += row[candidate] // the softmax has one denominator per layer, whatever the candidate
			}
			return total
		}
		best := math.Inf(-1)
		for subset := range 1 << len(alpha) {
			var layers []int
			for layer := range alpha {
				if subset>>layer&1 == 1 {
					layers = append(layers, layer)
				}
			}
			if len(layers) == len(kept) {
				best = max(best, score(layers))
			}
		}
		if len(got) != len(kept) || !slices.IsSorted(got) || math.Abs(score(got)-best) > 1e-9 {
			t.Fatalf("%v of %v at %v: %g, the best is %g", kept, alpha, got, score(got), best)
		}
	}
	if _, err := stackLayers(s, s.NewParameters().AlphaStack[1], []int{0, 0, 0, 0}); err == nil {
		t.Error("four layers were placed in three")
	}
	noSkip := *s
	noSkip.StackCandidates = s.StackCandidates[:2]
	if _, err := stackLayers(&noSkip, s.NewParameters().AlphaStack[1], []int{0, 0}); err == nil {
		t.Error("a layer was skipped in a space that skips none")
	}
}

func TestInheritTakesWhatThereIs(t *testing.T) {
	b := backendstest.Go(t)
	s := inheritSpace(t)
	n, err := supernet.New(b.Backend, s, supernet.Options{Batch: 2, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	if err := n.Materialize(); err != nil {
		t.Fatal(err)
	}
	state, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	p := s.NewParameters()
	p.AlphaStack[1] = [][]float64{{1, 0, 0}, {1, 0, 0}, {1, 0, 0}}
	a, err := derive.Plain(s, p)
	if err != nil {
		t.Fatal(err)
	}
	inherit := func(a *space.Architecture, state []supernet.NamedTensor) []bool {
		t.Helper()
		layers, err := Inherit(a, s, &Checkpoint{State: State{Parameters: p}, Tensors: state})
		if err != nil {
			t.Fatal(err)
		}
		var have []bool
		for _, l := range layers {
			have = append(have, l.Params != nil)
		}
		return have
	}
	all := slices.Repeat([]bool{true}, len(a.Layers))
	if got := inherit(a, state); !slices.Equal(got, all) {
		t.Errorf("inherited are %v", got)
	}
	if got := inherit(a.WithResolution(12), state); !slices.Equal(got, all) {
		t.Errorf("at another resolution inherited are %v", got)
	}
	without := func(layer int) []bool {
		have := slices.Clone(all)
		have[layer] = false
		return have
	}
	if got := inherit(a.WithClasses(9), state); !slices.Equal(got, without(len(all)-1)) {
		t.Errorf("with other classes inherited are %v", got)
	}
	untrained := slices.DeleteFunc(slices.Clone(state), func(t supernet.NamedTensor) bool { return strings.HasPrefix(t.Name, "block2/layer1/mbconv_k3_t3/") })
	if got := inherit(a, untrained); fmt.Sprint(got) != fmt.Sprint(without(len(all)-4)) {
		t.Errorf("without a layer inherited are %v", got)
	}

	for name, c := range map[string]struct {
		change func(a *space.Architecture)
		word   string
	}{
		"another space":  {func(a *space.Architecture) { a.Space = "other" }, `comes out of space "other"`},
		"by hand":        {func(a *space.Architecture) { *a = *space.MobileNetV2(0.5, 32, 4) }, `comes out of space ""`},
		"another stem":   {func(a *space.Architecture) { a.Layers[0].Op.Kernel = 5 }, "layer 0 is stem_k5"},
		"another head":   {func(a *space.Architecture) { a.Layers[2].Op.Kernel = 5 }, "is no candidate between blocks"},
		"another layer":  {func(a *space.Architecture) { a.Layers[len(a.Layers)-3].Op.Kernel = 5 }, "is no candidate of block 2"},
		"another end":    {func(a *space.Architecture) { a.Layers[len(a.Layers)-2].Op.Out = 13 }, "does not end with"},
		"another last":   {func(a *space.Architecture) { a.Layers[len(a.Layers)-1].Op.In = 13 }, "does not end with"},
		"other channels": {func(a *space.Architecture) { *a = *a.WithChannels(3) }, "layer 0 is"},
		"no such way":    {func(a *space.Architecture) { a.Path = []int{0} }, "no connection leads from block 0 to 3"},
		"a layer too many": {func(a *space.Architecture) {
			a.Layers = slices.Insert(a.Layers, len(a.Layers)-2, a.Layers[len(a.Layers)-3])
		}, "4 stacked layers"},
		"beyond all bounds": {func(a *space.Architecture) { a.Resolution = 1 << 20 }, "none of space heir"},
	} {
		wrong := a.WithClasses(a.Classes)
		c.change(wrong)
		if _, err := Inherit(wrong, s, &Checkpoint{State: State{Parameters: p}, Tensors: state}); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: %v, want %q", name, err, c.word)
		}
	}
	if _, err := Inherit(a, s, &Checkpoint{State: State{Parameters: &space.Parameters{Space: "heir"}}}); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("parameters of another space: %v", err)
	}
}

// The published space of basic blocks has no first layer, and its networks end without the final convolution of the super network.
func TestInheritWithoutFirstAndFinal(t *testing.T) {
	s, err := space.Load("res")
	if err != nil {
		t.Fatal(err)
	}
	p := s.NewParameters()
	a, err := derive.Plain(s, p)
	if err != nil {
		t.Fatal(err)
	}
	found, err := locate(a, s, p)
	if err != nil {
		t.Fatal(err)
	}
	places := found.places(s)
	if len(places) != len(a.Layers) || places[0] != supernet.StemPlace || !strings.HasPrefix(places[1], "block") || !strings.HasPrefix(places[len(places)-2], "block") || places[len(places)-1] != supernet.ClassifierPlace {
		t.Errorf("places %v of %d layers", places, len(a.Layers))
	}
}
