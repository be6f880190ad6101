package export

import (
	"fmt"

	"densenas/internal/onnx"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// The limits of ReLU6, shared by all of a graph's clips.
const (
	clipLow  = "relu6.min"
	clipHigh = "relu6.max"
)

// builder appends layers to a graph.
type builder struct {
	graph   onnx.Graph
	value   string // that the next node takes
	layers  string // prefix of names in the current layer
	key     string // of the current layer's operation
	clipped bool
}

// convolution is one convolution of a layer with what follows it.
type convolution struct {
	name   string
	weight []float32 // as package op lays it out
	dims   []int     // likewise
	bias   []float32 // nil where batch norm follows
	norm   *norm
	stride int
	behind space.Activation // what follows, unless the output is linear
	linear bool
}

// norm are the parameters of a batch norm, each [channels].
type norm struct{ scale, offset, mean, variance []float32 }

func (b *builder) layer(l Layer) error {
	b.layers, b.key = l.Name, l.Op.Key()
	if err := l.Op.Check(); err != nil {
		return err
	}
	if err := check(l); err != nil {
		return err
	}
	switch l.Op.Kind {
	case space.Skip:
		b.node("skip", "Identity", nil)
		return nil
	case space.Classifier:
		b.classifier(l)
		return nil
	}
	before, list := b.value, convolutions(l)
	if l.Op.Kind == space.Basic {
		b.basic(l.Op, list)
		return nil
	}
	for _, c := range list {
		b.convolution(l.Op, c)
	}
	if l.Op.Shortcut() {
		b.node("shortcut", "Add", []string{before})
	}
	return nil
}

// basic adds a basic block's two convolutions to its input, which a third one projects where it changes.
func (b *builder) basic(o space.Op, list []convolution) {
	beside := b.value
	if len(list) > 2 {
		before := b.value
		b.convolution(o, list[2])
		beside, b.value = b.value, before
	}
	b.convolution(o, list[0])
	b.convolution(o, list[1])
	b.node("add", "Add", []string{beside})
	b.node("relu", "Relu", nil)
}

// check compares a layer's parameters with those that its operation has.
func check(l Layer) error {
	want := op.InferenceParameters(l.Op)
	if l.Statistics != nil {
		want = op.TrainingParameters(l.Op, true)
		if n := op.StatisticsSize(l.Op); len(l.Statistics) != n {
			return fmt.Errorf("%d statistics, want %d", len(l.Statistics), n)
		}
	}
	if len(l.Params) != len(want) {
		return fmt.Errorf("%d parameters, want %d", len(l.Params), len(want))
	}
	for i, p := range want {
		if len(l.Params[i]) != p.Size() {
			return fmt.Errorf("%s has %d values, want %d", p.Name, len(l.Params[i]), p.Size())
		}
	}
	return nil
}

// convolutions takes a layer's parameters apart.
func convolutions(l Layer) []convolution {
	widths := op.NormWidths(l.Op)
	n := len(widths)
	list := make([]convolution, n)
	statistics := l.Statistics
	for i, width := range widths {
		c := &list[i]
		if statistics == nil {
			p := op.InferenceParameters(l.Op)[2*i]
			c.name, c.dims, c.weight, c.bias = p.Name, p.Dims, l.Params[2*i], l.Params[2*i+1]
		} else {
			p := op.TrainingParameters(l.Op, true)[i]
			c.name, c.dims, c.weight = p.Name, p.Dims, l.Params[i]
			c.norm = &norm{l.Params[n+2*i], l.Params[n+2*i+1], statistics[:width], statistics[width : 2*width]}
			statistics = statistics[2*width:]
		}
		c.stride = 1
		if len(c.dims) > 2 {
			c.stride = l.Op.Stride
		}
		c.behind = l.Op.Activation
		switch l.Op.Kind {
		case space.MBConv:
			c.linear = i == n-1 // the projection
		case space.Basic:
			c.behind, c.linear, c.stride = space.ReLU, i > 0, l.Op.Stride // a ReLU follows the sum
			if i == 1 {
				c.stride = 1
			}
		}
	}
	return list
}

func (b *builder) convolution(o space.Op, c convolution) {
	name := c.name
	if o.Kind == space.Stem || o.Kind == space.Final {
		name = "" // the layer has no other
	}
	kernel, groups := 1, 1
	var weight onnx.Tensor
	switch d := c.dims; len(d) {
	case 2: // [in, out]
		weight = onnx.Tensor{Dims: []int{d[1], d[0], 1, 1}, Data: transpose(c.weight, d[0])}
	case 3: // [k, k, channels]
		kernel, groups = d[0], d[2]
		weight = onnx.Tensor{Dims: []int{d[2], 1, d[0], d[1]}, Data: transpose(c.weight, d[0]*d[1])}
	case 4: // [k, k, in, out]
		kernel = d[0]
		weight = onnx.Tensor{Dims: []int{d[3], d[2], d[0], d[1]}, Data: make([]float32, len(c.weight))}
		taps, in, out := d[0]*d[1], d[2], d[3]
		for t := range taps {
			for i := range in {
				for k := range out {
					weight.Data[(k*in+i)*taps+t] = c.weight[(t*in+i)*out+k]
				}
			}
		}
	}
	inputs := []string{b.weight(join(name, "weight"), weight.Dims, weight.Data)}
	if c.bias != nil {
		inputs = append(inputs, b.weight(join(name, "bias"), []int{len(c.bias)}, c.bias))
	}
	p := kernel / 2
	b.node(join(name, "conv"), "Conv", inputs, onnx.Ints("dilations", 1, 1), onnx.Int("group", groups),
		onnx.Ints("kernel_shape", kernel, kernel), onnx.Ints("pads", p, p, p, p), onnx.Ints("strides", c.stride, c.stride))
	if c.norm != nil {
		var inputs []string
		for _, p := range []struct {
			name string
			data []float32
		}{{"weight", c.norm.scale}, {"bias", c.norm.offset}, {"running_mean", c.norm.mean}, {"running_var", c.norm.variance}} {
			inputs = append(inputs, b.weight(join(name, "norm."+p.name), []int{len(p.data)}, p.data))
		}
		b.node(join(name, "norm"), "BatchNormalization", inputs, onnx.Float("epsilon", op.Epsilon))
	}
	switch {
	case c.linear:
	case c.behind == space.ReLU:
		b.node(join(name, "relu"), "Relu", nil)
	default:
		b.clipped = true
		b.node(join(name, "relu6"), "Clip", []string{clipLow, clipHigh})
	}
}

func (b *builder) classifier(l Layer) {
	in, out := l.Op.In, l.Op.Out
	b.node("pool", "GlobalAveragePool", nil)
	b.node("flatten", "Flatten", nil, onnx.Int("axis", 1))
	weight := b.weight("weight", []int{out, in}, transpose(l.Params[0], in))
	bias := b.weight("bias", []int{out}, l.Params[1])
	b.node("linear", "Gemm", []string{weight, bias}, onnx.Int("transB", 1))
}

// node appends a node of the current layer that takes the current value and more, and gives the next one.
func (b *builder) node(name, operator string, more []string, attributes ...onnx.Attribute) {
	full := b.layers + "." + name
	b.graph.Nodes = append(b.graph.Nodes, onnx.Node{
		Name: full, Operator: operator, Inputs: append([]string{b.value}, more...), Outputs: []string{full}, Attributes: attributes, Doc: b.key,
	})
	b.value = full
}

// weight appends a tensor of the current layer and returns its name.
func (b *builder) weight(name string, dims []int, data []float32) string {
	full := b.layers + "." + name
	b.graph.Weights = append(b.graph.Weights, onnx.Tensor{Name: full, Dims: dims, Data: data})
	return full
}

// finish lets the last node give the graph's output.
func (b *builder) finish(out onnx.Value) {
	if b.clipped {
		b.graph.Weights = append(b.graph.Weights, onnx.Tensor{Name: clipLow, Data: []float32{0}}, onnx.Tensor{Name: clipHigh, Data: []float32{6}})
	}
	b.graph.Nodes[len(b.graph.Nodes)-1].Outputs[0] = out.Name
	b.graph.Outputs = []onnx.Value{out}
}

// transpose turns [rows, columns] into [columns, rows].
func transpose(v []float32, rows int) []float32 {
	columns := len(v) / rows
	t := make([]float32, len(v))
	for i := range rows {
		for j := range columns {
			t[j*rows+i] = v[i*columns+j]
		}
	}
	return t
}

// join puts the name of a convolution before that of a part of it; a layer's only one has none.
func join(name, part string) string {
	if name == "" {
		return part
	}
	return name + "." + part
}
