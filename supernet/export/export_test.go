package export

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/onnx"
	"densenas/internal/onnxruntime"
	"densenas/internal/onnxruntime/onnxruntimetest"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

var update = flag.Bool("update", false, "rewrite golden files")

// cases are small operations that reach every branch: expansion or none, shortcut or none, strides, odd and tiny maps, and a
// chain of them.
func cases() map[string][]space.Op {
	mb := func(k, t, in, out, s, r int) space.Op {
		return space.Op{Kind: space.MBConv, Kernel: k, Expansion: t, In: in, Out: out, Stride: s, Resolution: r}
	}
	m := map[string][]space.Op{
		"stem with first block": {{Kind: space.Stem, Kernel: 3, In: 3, Out: 4, Stride: 2, Resolution: 9}, mb(3, 1, 4, 2, 1, 5)},
	}
	for _, o := range []space.Op{
		mb(3, 1, 3, 3, 1, 6), mb(3, 3, 2, 2, 1, 8), mb(5, 3, 2, 3, 2, 8), mb(7, 6, 2, 2, 1, 5), mb(7, 3, 2, 2, 1, 2),
		mb(3, 3, 2, 4, 2, 7), mb(7, 3, 2, 3, 2, 4), mb(5, 3, 2, 3, 2, 2), mb(5, 3, 3, 3, 1, 1), mb(3, 3, 2, 3, 2, 1),
		{Kind: space.Stem, Kernel: 3, In: 3, Out: 4, Stride: 2, Resolution: 8},
		{Kind: space.Stem, Kernel: 7, In: 3, Out: 4, Stride: 2, Resolution: 9},
		{Kind: space.Stem, Kernel: 3, In: 1, Out: 4, Stride: 1, Resolution: 5},
		{Kind: space.Stem, Kernel: 3, In: 2, Out: 4, Stride: 2, Resolution: 6, Activation: space.ReLU},
		{Kind: space.Basic, In: 3, Out: 3, Stride: 1, Resolution: 4},
		{Kind: space.Basic, In: 2, Out: 3, Stride: 2, Resolution: 5},
		{Kind: space.Final, In: 3, Out: 5, Resolution: 3},
		{Kind: space.Classifier, In: 4, Out: 3, Resolution: 3},
		{Kind: space.Skip, In: 3, Out: 3, Stride: 1, Resolution: 4},
	} {
		m[o.Key()] = []space.Op{o}
	}
	return m
}

// kept are layers with batch norm, of random scales, offsets and statistics.
func kept(ops []space.Op, seed uint64) []Layer {
	r := rand.New(rand.NewPCG(seed, 2))
	layers := Random(ops, seed)
	for i, o := range ops {
		if op.StatisticsSize(o) == 0 {
			continue
		}
		layers[i].Params = nil
		for _, p := range op.TrainingParameters(o, true) {
			v := make([]float32, p.Size())
			for k := range v {
				v[k] = float32(p.Value + max(p.Deviation, 0.2)*r.NormFloat64())
			}
			layers[i].Params = append(layers[i].Params, v)
		}
		layers[i].Statistics = op.InitialStatistics(o)
		for k, v := range layers[i].Statistics {
			layers[i].Statistics[k] = v + 0.3*r.Float32() // variances stay above 0
		}
	}
	return layers
}

func fold(t *testing.T, layers []Layer) []Layer {
	t.Helper()
	out := slices.Clone(layers)
	for i, l := range layers {
		var err error
		if out[i].Params, err = op.Fold(l.Op, l.Params, l.Statistics); err != nil {
			t.Fatal(err)
		}
		out[i].Statistics = nil
	}
	return out
}

func noise(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 3))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// ours computes folded layers by package op: images [n, r, r, c] to [n, r', r', c'], or [n, classes].
func ours(t *testing.T, b backends.Backend, layers []Layer, n int, images []float32) []float32 {
	t.Helper()
	first := layers[0].Op
	args := []any{tensors.FromFlatDataAndDimensions(images, n, first.Resolution, first.Resolution, first.In)}
	for _, l := range layers {
		for i, p := range op.InferenceParameters(l.Op) {
			args = append(args, tensors.FromFlatDataAndDimensions(l.Params[i], p.Dims...))
		}
	}
	exec, err := graph.NewExec(b.Backend, func(in []*graph.Node) *graph.Node {
		x, rest := in[0], in[1:]
		for _, l := range layers {
			count := len(op.InferenceParameters(l.Op))
			x = op.Inference(l.Op, op.Taps, x, rest[:count])
			rest = rest[count:]
		}
		return x
	})
	if err != nil {
		t.Fatal(err)
	}
	defer exec.Finalize()
	out, err := exec.Call(args...)
	if err != nil {
		t.Fatal(err)
	}
	return tensors.MustCopyFlatData[float32](out[0])
}

// theirs computes layers by ONNX Runtime, of the same images, and gives the same layout.
func theirs(t *testing.T, r *onnxruntime.Runtime, layers []Layer, o Options, n int, images []float32) []float32 {
	t.Helper()
	m, err := Model(layers, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Load(data, onnxruntime.Options{Inputs: []string{Input}, Outputs: []string{m.Graph.Outputs[0].Name}, Settings: onnxruntime.Settings{Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := layers[0].Op
	out, err := s.Run(onnxruntime.Tensor{Dims: []int{n, first.In, first.Resolution, first.Resolution}, Data: ChannelsFirst(images, n, first.Resolution, first.In)})
	if err != nil {
		t.Fatal(err)
	}
	last := layers[len(layers)-1].Op
	if last.Kind == space.Classifier {
		if !slices.Equal(out[0].Dims, []int{n, last.Out}) {
			t.Fatalf("logits have the shape %v", out[0].Dims)
		}
		return out[0].Data
	}
	side := last.OutResolution()
	if !slices.Equal(out[0].Dims, []int{n, last.Out, side, side}) {
		t.Fatalf("the output has the shape %v, want %d×%d of %d channels", out[0].Dims, side, side, last.Out)
	}
	nhwc := make([]float32, len(out[0].Data))
	for i := range n {
		for c := range last.Out {
			for p := range side * side {
				nhwc[(i*side*side+p)*last.Out+c] = out[0].Data[(i*last.Out+c)*side*side+p]
			}
		}
	}
	return nhwc
}

// difference is the largest one, relative to the largest value where that is above 1.
func difference(got, want []float32) float64 {
	if len(got) != len(want) || len(got) == 0 {
		return math.Inf(1)
	}
	largest, most := 1.0, 0.0
	for i := range want {
		largest = max(largest, math.Abs(float64(want[i])))
		d := math.Abs(float64(got[i] - want[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		most = max(most, d)
	}
	return most / largest
}

// Operations compute in ONNX Runtime what they compute here, with batch norm folded and kept, with any batch and a fixed one.
func TestOperationsAgreeWithONNXRuntime(t *testing.T) {
	r, b := onnxruntimetest.Open(t), backendstest.Go(t)
	for name, ops := range cases() {
		layers := kept(ops, 7)
		folded := fold(t, layers)
		for _, n := range []int{1, 3} {
			images := noise(n*ops[0].Resolution*ops[0].Resolution*ops[0].In, uint64(n))
			want := ours(t, b, folded, n, images)
			for form, got := range map[string][]float32{
				"folded":              theirs(t, r, folded, Options{}, n, images),
				"kept":                theirs(t, r, layers, Options{}, n, images),
				"folded, fixed batch": theirs(t, r, folded, Options{Batch: n}, n, images),
			} {
				if d := difference(got, want); d > 1e-5 {
					t.Errorf("%s, %s, batch %d: differs by %g", name, form, n, d)
				}
			}
		}
	}
}

// Networks drawn from a space, with all that its layers can be.
func TestNetworksAgreeWithONNXRuntime(t *testing.T) {
	r, b := onnxruntimetest.Open(t), backendstest.Go(t)
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	draw := rand.New(rand.NewPCG(5, 5))
	for i := range 6 {
		a := s.Draw(draw, func(space.Op) float64 { return 1 }).WithResolution(16)
		layers := kept(a.Ops(), uint64(i))
		for k, name := range Names(a) {
			layers[k].Name = name
		}
		folded := fold(t, layers)
		const n = 2
		images := noise(n*a.Resolution*a.Resolution*a.Channels, uint64(i))
		want := ours(t, b, folded, n, images)
		for form, got := range map[string][]float32{"folded": theirs(t, r, folded, Options{}, n, images), "kept": theirs(t, r, layers, Options{}, n, images)} {
			if d := difference(got, want); d > 1e-5 {
				t.Errorf("network %d, %s: differs by %g", i, form, d)
			}
		}
	}
}

// A batch that is fixed is the only one that is taken.
func TestFixedBatch(t *testing.T) {
	r := onnxruntimetest.Open(t)
	m, err := Model(Random(cases()["stem with first block"], 1), Options{Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Load(data, onnxruntime.Options{Inputs: []string{Input}, Outputs: []string{Output}, Settings: onnxruntime.Settings{Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n, taken := range map[int]bool{1: false, 2: true, 3: false} {
		_, err := s.Run(onnxruntime.Tensor{Dims: []int{n, 3, 9, 9}, Data: noise(n*3*81, 1)})
		if (err == nil) != taken {
			t.Errorf("a batch of %d: %v", n, err)
		}
	}
}

// network is small, and has every kind of layer.
func network() *space.Architecture {
	layer := func(block int, o space.Op) space.Layer { return space.Layer{Block: block, Op: o} }
	return &space.Architecture{Name: "small", Resolution: 9, Channels: 3, Classes: 5, Layers: []space.Layer{
		layer(space.NoBlock, space.Op{Kind: space.Stem, Kernel: 3, In: 3, Out: 4, Stride: 2, Resolution: 9}),
		layer(0, space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 1, In: 4, Out: 4, Stride: 1, Resolution: 5}),
		layer(1, space.Op{Kind: space.MBConv, Kernel: 5, Expansion: 3, In: 4, Out: 6, Stride: 2, Resolution: 5}),
		layer(1, space.Op{Kind: space.Skip, In: 6, Out: 6, Stride: 1, Resolution: 3}),
		layer(1, space.Op{Kind: space.MBConv, Kernel: 7, Expansion: 6, In: 6, Out: 6, Stride: 1, Resolution: 3}),
		layer(space.NoBlock, space.Op{Kind: space.Final, In: 6, Out: 8, Resolution: 3}),
		layer(space.NoBlock, space.Op{Kind: space.Classifier, In: 8, Out: 5, Resolution: 3}),
	}}
}

// The golden files list the nodes and weights: what Netron shows, and the layouts and paddings that others get.
func TestStructure(t *testing.T) {
	a := network()
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	for file, layers := range map[string][]Layer{"folded.txt": fold(t, kept(a.Ops(), 1)), "kept.txt": kept(a.Ops(), 1)} {
		for i, name := range Names(a) {
			layers[i].Name = name
		}
		m, err := Model(layers, Options{Name: a.Name})
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, v := range append(slices.Clone(m.Graph.Inputs), m.Graph.Outputs...) {
			fmt.Fprintf(&text, "%s %v\n", v.Name, v.Dims)
		}
		for _, n := range m.Graph.Nodes {
			fmt.Fprintf(&text, "%s = %s %v %v [%s]\n", n.Name, n.Operator, n.Inputs, n.Attributes, n.Doc)
		}
		for _, w := range m.Graph.Weights {
			fmt.Fprintf(&text, "%s %v\n", w.Name, w.Dims)
		}
		golden := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if text.String() != string(want) {
			t.Errorf("%s: the graph is\n%s", file, text.String())
		}
	}
}

// Layouts, by hand: every weight tells its place in ours, and must be found at the right place in theirs.
func TestLayouts(t *testing.T) {
	count := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i)
		}
		return v
	}
	stem := space.Op{Kind: space.Stem, Kernel: 3, In: 2, Out: 4, Stride: 1, Resolution: 5}
	block := space.Op{Kind: space.MBConv, Kernel: 5, Expansion: 2, In: 4, Out: 3, Stride: 1, Resolution: 5}
	classifier := space.Op{Kind: space.Classifier, In: 3, Out: 7, Resolution: 5}
	ts, err := Tensors([]Layer{
		{Name: "stem", Op: stem, Params: [][]float32{count(9 * 2 * 4), count(4)}},
		{Name: "block", Op: block, Params: [][]float32{count(4 * 8), count(8), count(25 * 8), count(8), count(8 * 3), count(3)}},
		{Name: "classifier", Op: classifier, Params: [][]float32{count(3 * 7), count(7)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		dims  []int
		place func(at []int) int // in ours
	}{
		{"stem.weight", []int{4, 2, 3, 3}, func(at []int) int { return ((at[2]*3+at[3])*2+at[1])*4 + at[0] }},
		{"block.expand.weight", []int{8, 4, 1, 1}, func(at []int) int { return at[1]*8 + at[0] }},
		{"block.depthwise.weight", []int{8, 1, 5, 5}, func(at []int) int { return (at[2]*5+at[3])*8 + at[0] }},
		{"block.project.weight", []int{3, 8, 1, 1}, func(at []int) int { return at[1]*3 + at[0] }},
		{"block.project.bias", []int{3}, func(at []int) int { return at[0] }},
		{"classifier.weight", []int{7, 3}, func(at []int) int { return at[1]*7 + at[0] }},
		{"classifier.bias", []int{7}, func(at []int) int { return at[0] }},
	} {
		i := slices.IndexFunc(ts, func(w onnx.Tensor) bool { return w.Name == c.name })
		if i < 0 || !slices.Equal(ts[i].Dims, c.dims) {
			t.Errorf("%s: not there, or of another shape than %v", c.name, c.dims)
			continue
		}
		at := make([]int, len(c.dims))
		for k, v := range ts[i].Data {
			rest := k
			for d := len(at) - 1; d >= 0; d-- {
				at[d], rest = rest%c.dims[d], rest/c.dims[d]
			}
			if want := c.place(at); v != float32(want) {
				t.Errorf("%s at %v is our value %g, want %d", c.name, at, v, want)
				break
			}
		}
	}
	if len(ts) != 10 {
		t.Errorf("%d tensors, want 10: weights and biases alone", len(ts))
	}
}

func TestModelRefuses(t *testing.T) {
	ops := cases()["stem with first block"]
	for name, layers := range map[string][]Layer{
		"no layers":            nil,
		"other channels":       Random([]space.Op{ops[0], {Kind: space.Final, In: 5, Out: 3, Resolution: 5}}, 1),
		"other resolution":     Random([]space.Op{ops[0], {Kind: space.Final, In: 4, Out: 3, Resolution: 9}}, 1),
		"an impossible op":     {{Name: "x", Op: space.Op{Kind: space.MBConv}}},
		"no weights":           {{Name: "x", Op: ops[0]}},
		"a value less":         {{Name: "x", Op: ops[0], Params: [][]float32{make([]float32, 107), make([]float32, 4)}}},
		"too few statistics":   {{Name: "x", Op: ops[0], Params: kept(ops[:1], 1)[0].Params, Statistics: make([]float32, 3)}},
		"folded as kept":       {{Name: "x", Op: ops[0], Params: Random(ops[:1], 1)[0].Params, Statistics: make([]float32, 8)}},
		"kept without numbers": {{Name: "x", Op: ops[0], Params: kept(ops[:1], 1)[0].Params}},
	} {
		if _, err := Model(layers, Options{}); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := Tensors(layers); err == nil {
			t.Errorf("%s: tensors taken", name)
		}
	}
	if _, err := Model(Random(ops, 1), Options{Batch: -1}); err == nil {
		t.Error("a negative batch was taken")
	}
}
