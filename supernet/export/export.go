// Package export turns operations and their weights into the form that other runtimes take: a graph in ONNX, or named tensors.
//
// A network is a list of [Layer]: those of an architecture, named by [Names], or any operations that follow each other, such as a
// single one that is to be measured. [Model] chains them into one graph, [Tensors] lists the weights alone, under the graph's
// names and in its layouts. What the graph computes is what package op defines as the inference form; weights and activations
// change from channels last to channels first:
//
//	here                        there
//	[batch, row, column, in]    [batch, in, row, column]    activations
//	[row, column, in, out]      [out, in, row, column]      the convolutions of a stem and of basic blocks
//	[row, column, channels]     [channels, 1, row, column]  depthwise convolutions
//	[in, out]                   [out, in, 1, 1]             1×1 convolutions
//	[in, out]                   [out, in]                   the classifier
//	[1, channels]               [channels]                  biases, and all of batch norm
//
// Padding is written out: kernel/2 zeros on each of the four sides, at every stride. That is how op pads, and gives the output
// resolution ceil(resolution/stride); the format's automatic padding differs from it at stride 2, so it is not used.
package export

import (
	"fmt"
	"math/rand/v2"

	"densenas/internal/onnx"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Opset is the version of ONNX's operators that graphs use. ONNX Runtime takes it since 1.12.
const Opset = 17

// Names in the graph.
const (
	Input      = "input"  // images, [batch, channels, resolution, resolution]
	Logits     = "logits" // [batch, classes], of graphs that end in a classifier
	Output     = "output" // [batch, channels, resolution, resolution], of others
	BatchParam = "batch"  // the dimension of a batch of any size
)

// Layer is an operation with its weights.
type Layer struct {
	// Name is what the names of its nodes and tensors begin with; see [Names].
	Name string
	Op   space.Op
	// Params are the flat values of [op.InferenceParameters]: batch norm is folded. Where there are Statistics they are those
	// of [op.TrainingParameters] with affine batch norm, which the graph then keeps.
	Params [][]float32
	// Statistics of batch norm, packed as [op.Statistics] describes.
	Statistics []float32
}

// Options of a graph.
type Options struct {
	// Name of the graph; "densenas" where it is empty.
	Name string
	// Batch is the number of images of a call; 0 (the default): any.
	Batch int
	// Version of the program that writes.
	Version string
	// Doc is a description for people.
	Doc string
	// Metadata for programs.
	Metadata map[string]string
}

// Names are the names of a's layers: "stem", "block2.head", "block2.stack0", …, "final" and "classifier". Blocks and the layers
// stacked in them are counted from 0, as in the architecture and in tables.
func Names(a *space.Architecture) []string {
	names := make([]string, len(a.Layers))
	block, stacked := space.NoBlock, 0
	for i, l := range a.Layers {
		switch {
		case l.Block == space.NoBlock:
			names[i] = string(l.Op.Kind)
		case l.Block != block:
			block, stacked = l.Block, 0
			names[i] = fmt.Sprintf("block%d.head", block)
		default:
			names[i] = fmt.Sprintf("block%d.stack%d", block, stacked)
			stacked++
		}
	}
	return names
}

// Random are layers with random weights, for measuring: drawn as training starts from, with biases that are not zero. They are
// called "layer0", "layer1", ….
func Random(ops []space.Op, seed uint64) []Layer {
	r := rand.New(rand.NewPCG(seed, 1))
	layers := make([]Layer, len(ops))
	for i, o := range ops {
		layers[i] = Layer{Name: fmt.Sprintf("layer%d", i), Op: o}
		for _, p := range op.InferenceParameters(o) {
			v := make([]float32, p.Size())
			deviation := max(p.Deviation, 0.1)
			for k := range v {
				v[k] = float32(deviation * r.NormFloat64())
			}
			layers[i].Params = append(layers[i].Params, v)
		}
	}
	return layers
}

// Tensors lists the weights of the layers, as the graph has them.
func Tensors(layers []Layer) ([]onnx.Tensor, error) {
	m, err := Model(layers, Options{})
	if err != nil {
		return nil, err
	}
	tensors := m.Graph.Weights
	if n := len(tensors); n > 0 && tensors[n-1].Name == clipHigh {
		tensors = tensors[:n-2] // the limits of ReLU6
	}
	return tensors, nil
}

// Model chains the layers into a graph.
func Model(layers []Layer, o Options) (*onnx.Model, error) {
	if len(layers) == 0 {
		return nil, fmt.Errorf("a graph needs at least one layer")
	}
	if o.Batch < 0 {
		return nil, fmt.Errorf("a batch of %d images; give 1 or more, or 0 for any", o.Batch)
	}
	name := o.Name
	if name == "" {
		name = "densenas"
	}
	b := &builder{graph: onnx.Graph{Name: name}, value: Input}
	first, last := layers[0].Op, layers[len(layers)-1].Op
	batch := onnx.Dim{Size: o.Batch}
	if o.Batch == 0 {
		batch.Name = BatchParam
	}
	b.graph.Inputs = []onnx.Value{{Name: Input, Dims: append([]onnx.Dim{batch}, onnx.Fixed(first.In, first.Resolution, first.Resolution)...)}}
	for i, l := range layers {
		if i > 0 && (l.Op.In != layers[i-1].Op.Out || l.Op.Resolution != layers[i-1].Op.OutResolution()) {
			return nil, fmt.Errorf("layer %s (%s) does not follow %s (%s)", l.Name, l.Op.Key(), layers[i-1].Name, layers[i-1].Op.Key())
		}
		if err := b.layer(l); err != nil {
			return nil, fmt.Errorf("layer %s (%s): %w", l.Name, l.Op.Key(), err)
		}
	}
	out := onnx.Value{Name: Output, Dims: append([]onnx.Dim{batch}, onnx.Fixed(last.Out, last.OutResolution(), last.OutResolution())...)}
	if last.Kind == space.Classifier {
		out = onnx.Value{Name: Logits, Dims: append([]onnx.Dim{batch}, onnx.Fixed(last.Out)...)}
	}
	b.finish(out)
	return &onnx.Model{Producer: "densenas", ProducerVersion: o.Version, Opset: Opset, Doc: o.Doc, Metadata: o.Metadata, Graph: b.graph}, nil
}

// ChannelsFirst turns n images [n, resolution, resolution, channels], flat, into what a graph takes: [n, channels, resolution,
// resolution].
func ChannelsFirst(images []float32, n, resolution, channels int) []float32 {
	pixels := resolution * resolution
	out := make([]float32, 0, len(images))
	for i := range n {
		out = append(out, transpose(images[i*pixels*channels:(i+1)*pixels*channels], pixels)...)
	}
	return out
}
