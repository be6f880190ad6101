package network

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/device"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// randomFolded are parameters of the inference form, biases included.
func randomFolded(a *space.Architecture, seed uint64) [][][]float32 {
	r := rand.New(rand.NewPCG(seed, 2))
	var out [][][]float32
	for _, o := range a.Ops() {
		var layer [][]float32
		for _, p := range op.InferenceParameters(o) {
			v := make([]float32, p.Size())
			for i := range v {
				v[i] = float32(max(p.Deviation, 0.1) * r.NormFloat64())
			}
			layer = append(layer, v)
		}
		out = append(out, layer)
	}
	return out
}

// One graph of the whole network computes what its operations do one after the other, in both lowerings.
func TestInferenceChainsTheOperations(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		a := testNetwork(t, true)
		const batch = 3
		folded, images := randomFolded(a, 1), randomBatch(a, batch, 1).Images
		upload := func(v []float32, dims ...int) *tensors.Tensor {
			x, err := device.Upload(b.Backend, v, dims...)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		var params [][]*tensors.Tensor
		var sizes []int
		for i, o := range a.Ops() {
			var layer []*tensors.Tensor
			for k, p := range op.InferenceParameters(o) {
				layer = append(layer, upload(folded[i][k], p.Dims...))
			}
			params, sizes = append(params, layer), append(sizes, len(layer))
		}
		call := func(f func(in []*Node) *Node, args ...any) *tensors.Tensor {
			e, err := NewExec(b.Backend, func(in []*Node) []*Node { return []*Node{f(in)} })
			if err != nil {
				t.Fatal(err)
			}
			defer e.Finalize()
			out, err := e.Call(args...)
			if err != nil {
				t.Fatal(err)
			}
			return out[0]
		}
		image := upload(images, batch, a.Resolution, a.Resolution, a.Channels)
		x := image
		for i, o := range a.Ops() {
			x = call(func(in []*Node) *Node { return op.Inference(o, op.Taps, in[0], in[1:]) }, append([]any{x}, device.Arguments(params[i])...)...)
		}
		want, err := tensors.CopyFlatData[float32](x)
		if err != nil || len(want) != batch*a.Classes {
			t.Fatalf("%d logits, %v", len(want), err)
		}
		for name, l := range map[string]Lowering{"taps by default": nil, "grouped": func(space.Op) op.Lowering { return op.Grouped }} {
			whole := call(func(in []*Node) *Node { return Inference(a, l, in[0], group(in[1:], sizes)) }, append([]any{image}, device.Arguments(params...)...)...)
			got, err := tensors.CopyFlatData[float32](whole)
			if err != nil {
				t.Fatal(err)
			}
			e, err := NewEvaluator(b.Backend, a, l, batch, folded)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Finalize()
			evaluated, err := e.Logits(images)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1e-5*(1+math.Abs(float64(want[i]))) || evaluated[i] != got[i] {
					t.Errorf("%s: logit %d is %g, by the evaluator %g, one after the other %g", name, i, got[i], evaluated[i], want[i])
				}
			}
			if _, err := e.Logits(images[1:]); err == nil {
				t.Errorf("%s: too few images were taken", name)
			}
		}
	})
}

func TestEvaluatorRefuses(t *testing.T) {
	b := backendstest.Go(t)
	a := testNetwork(t, false)
	folded := randomFolded(a, 2)
	for name, wrong := range map[string][][][]float32{
		"a layer too few":      folded[:len(folded)-1],
		"a layer too many":     append(folded[:len(folded):len(folded)], nil),
		"a parameter too few":  append([][][]float32{folded[0][:1]}, folded[1:]...),
		"a parameter too long": append([][][]float32{{append(folded[0][0][:len(folded[0][0]):len(folded[0][0])], 0), folded[0][1]}}, folded[1:]...),
	} {
		if _, err := NewEvaluator(b.Backend, a, nil, 4, wrong); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
