package supernet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// wholeGraph is a choice of a network as one graph in float64, of which GoMLX derives the gradients by itself.
type wholeGraph struct {
	n      *Network
	choice *Choice
	batch  Batch
	placed []*weights // what the choice runs, in the order of execution
	inputs []wholeInput
}

// wholeInput is a tensor that the loss is derived by: a parameter, or what one output is multiplied with.
type wholeInput struct {
	name   string
	dims   []int
	values []float64
}

// newWholeGraph takes parameters from the state.
func newWholeGraph(t *testing.T, n *Network, batch Batch, c *Choice, state map[string][]float64) *wholeGraph {
	t.Helper()
	w := &wholeGraph{n: n, choice: c, batch: batch}
	var factors []wholeInput
	factor := func(name string, value float64) {
		factors = append(factors, wholeInput{name: name, values: []float64{value}})
	}
	layer := func(name string, candidates []*weights, picks []Pick, scale float64) {
		for k, p := range picks {
			w.placed = append(w.placed, candidates[p.Candidate])
			factor(fmt.Sprintf("%s/pick%d", name, k), scale*p.Weight)
		}
	}
	w.placed = append(w.placed, n.entry()...)
	for j := 1; j < len(n.space.Blocks); j++ {
		for _, in := range n.space.Incoming(j) {
			layer(fmt.Sprintf("block%d/connection%d", j, in.Incoming), n.head[j-1][in.Incoming], c.Head[j-1][in.Incoming], c.Beta[in.From][in.Outgoing])
		}
		for l, picks := range c.Stack[j-1] {
			layer(fmt.Sprintf("block%d/layer%d", j, l), n.stack[j-1][l], picks, 1)
		}
	}
	for _, in := range n.space.Incoming(len(n.space.Blocks)) {
		w.placed = append(w.placed, n.final[in.Incoming])
		factor(fmt.Sprintf("final/connection%d", in.Incoming), c.Beta[in.From][in.Outgoing])
	}
	w.placed = append(w.placed, n.classifier)
	for _, p := range w.placed {
		for _, q := range n.parameters(p.op) {
			values := state[p.name+"/"+q.Name]
			if len(values) != q.Size() {
				t.Fatalf("%s/%s has %d values, want %d", p.name, q.Name, len(values), q.Size())
			}
			w.inputs = append(w.inputs, wholeInput{p.name + "/" + q.Name, q.Dims, values})
		}
	}
	w.inputs = append(w.inputs, factors...)
	return w
}

// loss builds the graph. In: images, labels, mask, then the inputs.
func (w *wholeGraph) loss(in []*Node) *Node {
	s := w.n.space
	image, labels, mask, rest := in[0], in[1], in[2], in[3:]
	at := 0
	params := make([][]*Node, len(w.placed))
	for i, p := range w.placed {
		count := len(w.n.parameters(p.op))
		params[i] = rest[at : at+count]
		at += count
	}
	factors := rest[at:]
	next := 0
	run := func(x *Node) *Node {
		o, p := w.placed[next].op, params[next]
		next++
		if o.Kind == space.Skip {
			return x
		}
		y, _ := op.Forward(o, op.Form{Lowering: op.Grouped, Affine: w.n.affine(o)}, x, p) // the backend has derivatives of its own convolution
		return y
	}
	weighed := func(x, sum *Node) *Node {
		y := Mul(factors[0], run(x))
		factors = factors[1:]
		if sum != nil {
			y = Add(sum, y)
		}
		return y
	}
	for range w.n.entry() {
		image = run(image)
	}
	outputs := []*Node{image}
	for j := 1; j < len(s.Blocks); j++ {
		var x *Node
		for _, in := range s.Incoming(j) {
			for range w.choice.Head[j-1][in.Incoming] {
				x = weighed(outputs[in.From], x)
			}
		}
		for _, picks := range w.choice.Stack[j-1] {
			var sum *Node
			for range picks {
				sum = weighed(x, sum)
			}
			x = sum
		}
		outputs = append(outputs, x)
	}
	var feature *Node
	for _, in := range s.Incoming(len(s.Blocks)) {
		feature = weighed(outputs[in.From], feature)
	}
	loss, _, _ := op.CrossEntropy(run(feature), labels, mask, 0)
	return loss
}

// arguments are the values to call the graph with; those of one input may be others.
func (w *wholeGraph) arguments(other int, values []float64) []any {
	s, size := w.n.space, len(w.batch.Labels)
	args := []any{
		tensors.FromFlatDataAndDimensions(doubles(w.batch.Images), size, s.Resolution, s.Resolution, s.Channels),
		tensors.FromFlatDataAndDimensions(w.batch.Labels, size),
		tensors.FromFlatDataAndDimensions(doubles(w.batch.Mask()), size),
	}
	for i, in := range w.inputs {
		v := in.values
		if i == other {
			v = values
		}
		args = append(args, tensors.FromFlatDataAndDimensions(v, in.dims...))
	}
	return args
}

func doubles(v []float32) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = float64(v[i])
	}
	return out
}

// stateOf returns a network's tensors by name.
func stateOf(t *testing.T, n *Network) map[string][]float64 {
	t.Helper()
	state, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float64{}
	for _, tensor := range state {
		out[tensor.Name] = doubles(tensor.Data)
	}
	return out
}

// gradients runs both kinds of step on a network whose momentum is still zero, and returns the gradient of the loss by every
// parameter that the choice runs and by every factor, with the names of a [wholeGraph]'s inputs.
func gradients(t *testing.T, n *Network, b Batch, c *Choice) (weight, architecture Result, byName map[string][]float64) {
	t.Helper()
	architecture, products, err := n.ArchitectureStep(b, c)
	if err != nil {
		t.Fatal(err)
	}
	// At rate 0 no weight moves, and the momentum becomes the gradient.
	if weight, err = n.WeightStep(b, c, 0); err != nil {
		t.Fatal(err)
	}
	byName = map[string][]float64{}
	for name, values := range stateOf(t, n) {
		if name, is := strings.CutSuffix(name, "/velocity"); is {
			byName[name] = values
		}
	}
	layers := func(what string, blocks [][][]float64) {
		for j := range blocks {
			for i, picks := range blocks[j] {
				for k, p := range picks {
					byName[fmt.Sprintf("block%d/%s%d/pick%d", j+1, what, i, k)] = []float64{p}
				}
			}
		}
	}
	layers("connection", products.Head)
	layers("layer", products.Stack)
	for i, p := range products.Final {
		byName[fmt.Sprintf("final/connection%d", i)] = []float64{p}
	}
	return weight, architecture, byName
}

// dropMomentum sets the momentum of every operation to zero.
func dropMomentum(t *testing.T, n *Network) {
	t.Helper()
	state, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	state = slices.DeleteFunc(state, func(tensor NamedTensor) bool { return strings.HasSuffix(tensor.Name, "/velocity") })
	if err := n.SetState(state); err != nil {
		t.Fatal(err)
	}
}

// fewSignatures is a space in which most places share their operations with others: three connections and a layer have two
// blocks between them, and two final convolutions are one.
func fewSignatures(t *testing.T) *space.Space {
	t.Helper()
	s := testSpace(t)
	s.HeadCandidates = s.HeadCandidates[:1]
	s.Blocks[2] = s.Blocks[1]
	s.Blocks[2].Layers = 0
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// basicSpace is like testSpace, of basic blocks: the stem is the first block, with ReLU and affine batch norm.
func basicSpace(t *testing.T) *space.Space {
	t.Helper()
	s := testSpace(t)
	s.Stem.Activation, s.Stem.Affine, s.First = space.ReLU, true, space.Candidate{}
	s.HeadCandidates = []space.Candidate{{Kind: space.Basic}}
	s.StackCandidates = []space.Candidate{{Kind: space.Basic}, {Kind: space.Skip}}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEqualsOneWholeGraph holds loss and every gradient, computed operation by operation in float32 with backwards written
// by hand, against the same choice as one graph in float64: its automatic derivatives, and its finite differences.
func TestEqualsOneWholeGraph(t *testing.T) {
	two := func(candidates int) []Pick {
		if candidates == 1 {
			return single(0)(1)
		}
		return mixed(candidates)
	}
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		type of struct {
			space *space.Space
			pick  func(int) []Pick
		}
		cases := map[string]of{"one pick": {testSpace(t), single(1)}, "two picks": {testSpace(t), two}, "basic blocks": {basicSpace(t), two}}
		if b.Name == backends.XLA {
			// Compiling is what takes the time: fewer signatures, and the choice that has all operations of the other.
			cases["two picks"] = of{fewSignatures(t), two}
			delete(cases, "one pick")
		}
		for name, c := range cases {
			s, pick := c.space, c.pick
			t.Run(name, func(t *testing.T) {
				n, err := New(b.Backend, s, Options{Batch: 6, Seed: 4, Momentum: 0.9, NormMomentum: 0.1})
				if err != nil {
					t.Fatal(err)
				}
				defer n.Finalize()
				batch, choice := fixedBatch(s, 6), choiceOf(s, pick)
				batch.Valid = 5 // one image is padding, which statistics see and the loss does not
				for range 3 {   // the start is flat
					if _, err := n.WeightStep(batch, choice, 0.05); err != nil {
						t.Fatal(err)
					}
				}
				dropMomentum(t, n)
				weight, architecture, got := gradients(t, n, batch, choice)
				evaluated, err := n.Evaluate(batch, choice)
				if err != nil {
					t.Fatal(err)
				}
				w := newWholeGraph(t, n, batch, choice, stateOf(t, n))
				if len(got) != len(w.inputs) {
					t.Errorf("%d gradients, the whole graph has %d", len(got), len(w.inputs))
				}
				derived, err := NewExec(b.Backend, func(in []*Node) []*Node {
					loss := w.loss(in)
					return append([]*Node{loss}, Gradient(loss, in[3:]...)...)
				})
				if err != nil {
					t.Fatal(err)
				}
				defer derived.Finalize()
				out, err := derived.Call(w.arguments(-1, nil)...)
				if err != nil {
					t.Fatal(err)
				}
				loss := tensors.ToScalar[float64](out[0])
				for what, r := range map[string]Result{"weight step": weight, "architecture step": architecture, "evaluation": evaluated} {
					if math.Abs(r.Loss-loss) > 1e-5*loss {
						t.Errorf("%s: loss is %.8g, that of the whole graph %.8g", what, r.Loss, loss)
					}
				}
				compare := func(name string, got, want []float64) {
					if off := deviation(got, want); !(off < 1e-4) {
						t.Errorf("%s: the gradient is off that of the whole graph by %.2g of its largest element", name, off)
					}
				}
				// Factors are compared together: to scale what is normalised behind changes nothing, so some are all rounding.
				var factors [2][]float64
				for i, in := range w.inputs {
					want := tensors.MustCopyFlatData[float64](out[1+i])
					if in.dims == nil {
						factors[0], factors[1] = append(factors[0], got[in.name]...), append(factors[1], want...)
						continue
					}
					compare(in.name, got[in.name], want)
				}
				compare("factors", factors[0], factors[1])

				value, err := NewExec(b.Backend, w.loss)
				if err != nil {
					t.Fatal(err)
				}
				defer value.Finalize()
				r := rand.New(rand.NewPCG(11, 12))
				for i, in := range w.inputs {
					// Along a random direction: one number, in which every element takes part.
					direction := make([]float64, len(in.values))
					along, scale := 0.0, 0.0
					for k := range direction {
						direction[k] = r.NormFloat64()
						along += direction[k] * got[in.name][k]
						scale += math.Abs(direction[k] * got[in.name][k])
					}
					const step = 1e-6
					at := func(sign float64) float64 {
						moved := make([]float64, len(in.values))
						for k := range moved {
							moved[k] = in.values[k] + sign*step*direction[k]
						}
						out, err := value.Call(w.arguments(i, moved)...)
						if err != nil {
							t.Fatal(err)
						}
						return tensors.ToScalar[float64](out[0])
					}
					if want := (at(1) - at(-1)) / (2 * step); math.Abs(along-want) > 1e-3*scale+1e-6 {
						t.Errorf("%s: gradient along a direction is %.6g, finite differences give %.6g", in.name, along, want)
					}
				}
			})
		}
	})
}

// deviation is the largest difference of two tensors, as a share of the largest element that is wanted; endless where they
// differ in size.
func deviation(got, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	off, scale := 0.0, 0.0
	for i := range want {
		off, scale = math.Max(off, math.Abs(got[i]-want[i])), math.Max(scale, math.Abs(want[i]))
	}
	if scale == 0 {
		return off
	}
	return off / scale
}
