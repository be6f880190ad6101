// Package op writes every operation of a search space once, as graph functions for GoMLX.
//
// An operation ([space.Op]) has two forms:
//
//   - Inference: batch norm is folded into the convolutions before it, so each convolution has a weight and a bias. The
//     profiler measures this form, and networks ship in it.
//   - Training: batch norm uses the statistics of the batch. [Forward] returns the output and what the backward needs,
//     [Backward] the gradients of the input and of every parameter. The super network runs one executable of each per
//     signature; a derived network chains them in one graph. Gradients are written by hand, because automatic
//     differentiation builds a depthwise convolution's gradient group by group, thousands of nodes for one layer.
//
// Activations are channels last: [batch, resolution, resolution, channels]. Where they have fewer bits than the parameters of the
// training form, as bfloat16 beside float32, what lies between operations and what [Forward] saves has the activations' type, and so
// have the operands of products; sums, batch norm, its statistics and the gradients of parameters have the parameters'. Resolutions and padding follow the
// usual convention of odd kernels: kernel/2 zeros on each side, output resolution ceil(resolution/stride).
//
// The package builds graphs and holds no state: it compiles nothing, owns no weights and applies no update. As GoMLX's
// own graph functions do, its functions panic on shapes that do not fit; the packages that compile recover at their edge.
package op

import (
	"math"

	"densenas/supernet/space"
)

// Epsilon is added to a variance before its root is taken, in every batch norm.
const Epsilon = 1e-3

// Lowering is a way to write the spatial convolutions of an operation (the depthwise ones, those of a basic block, the stem's) for the
// compiler. All lowerings compute the same; which one is fast depends on the device and the signature.
type Lowering uint8

const (
	// Taps writes a convolution as a sum over kernel positions: of shifted, strided slices of the padded input, each
	// times one row of the kernel. Where it is not depthwise, the slices are gathered into one matrix product. Fast on CPUs.
	Taps Lowering = iota
	// Grouped uses the backend's own (grouped) convolution.
	Grouped
)

// Lowerings lists every lowering, in the order in which they are tried.
func Lowerings() []Lowering { return []Lowering{Taps, Grouped} }

// String returns "taps" or "grouped".
func (l Lowering) String() string {
	if l == Grouped {
		return "grouped"
	}
	return "taps"
}

// HasChoice reports whether o is written differently by different lowerings.
func HasChoice(o space.Op) bool {
	return o.Kind == space.MBConv || o.Kind == space.Basic || o.Kind == space.Stem
}

// Weight describes one float32 parameter tensor of an operation and how it starts.
type Weight struct {
	// Name is unique within the operation: "expand", "depthwise", "project"; "first", "second",
	// "shortcut" of a basic block; "weight" of others; and for each of the
	// convolutions NAME+".scale", NAME+".offset" (batch norm) or NAME+".bias" (inference form).
	Name string
	// Dims are the dimensions: [in, out] of a 1×1 convolution or linear layer, [kernel, kernel, channels] of a depthwise
	// convolution, [kernel, kernel, in, out] of another, [1, channels] of a bias, scale or offset.
	Dims []int
	// Deviation is the standard deviation of the normal distribution that a weight starts from.
	Deviation float64
	// Value is what every element starts from where Deviation is 0.
	Value float64
}

// Size returns the number of elements.
func (p Weight) Size() int {
	n := 1
	for _, d := range p.Dims {
		n *= d
	}
	return n
}

// convolution is one convolution of an operation with the batch norm behind it.
type convolution struct {
	name string
	dims []int
	out  int // channels of the batch norm
	fan  int // kernel² · out/groups, the denominator of the initial variance 2/fan
}

// convolutions lists an operation's convolutions in order; nil for operations without batch norm.
func convolutions(o space.Op) []convolution {
	switch o.Kind {
	case space.MBConv:
		mid := o.In * o.Expansion
		var c []convolution
		if o.Expansion > 1 {
			c = append(c, convolution{"expand", []int{o.In, mid}, mid, mid})
		}
		return append(c,
			convolution{"depthwise", []int{o.Kernel, o.Kernel, mid}, mid, o.Kernel * o.Kernel},
			convolution{"project", []int{mid, o.Out}, o.Out, o.Out})
	case space.Basic:
		const k = space.BasicKernel
		c := []convolution{
			{"first", []int{k, k, o.In, o.Out}, o.Out, k * k * o.Out},
			{"second", []int{k, k, o.Out, o.Out}, o.Out, k * k * o.Out}}
		if !o.Shortcut() {
			c = append(c, convolution{"shortcut", []int{o.In, o.Out}, o.Out, o.Out})
		}
		return c
	case space.Stem:
		return []convolution{{"weight", []int{o.Kernel, o.Kernel, o.In, o.Out}, o.Out, o.Kernel * o.Kernel * o.Out}}
	case space.Final:
		return []convolution{{"weight", []int{o.In, o.Out}, o.Out, o.Out}}
	}
	return nil
}

// classifierDeviation is the standard deviation that a classifier's weights start from.
const classifierDeviation = 0.01

func classifierParameters(o space.Op) []Weight {
	return []Weight{
		{Name: "weight", Dims: []int{o.In, o.Out}, Deviation: classifierDeviation},
		{Name: "weight.bias", Dims: []int{1, o.Out}},
	}
}

// InferenceParameters lists the parameters of o's inference form, in the order in which [Inference] takes them: for each
// convolution a weight and a bias.
func InferenceParameters(o space.Op) []Weight {
	if o.Kind == space.Classifier {
		return classifierParameters(o)
	}
	var ps []Weight
	for _, c := range convolutions(o) {
		ps = append(ps,
			Weight{Name: c.name, Dims: c.dims, Deviation: math.Sqrt(2 / float64(c.fan))},
			Weight{Name: c.name + ".bias", Dims: []int{1, c.out}})
	}
	return ps
}

// TrainingParameters lists the parameters of o's training form, in the order in which [Forward] takes them: the weight of
// each convolution, drawn with variance 2/(kernel²·out/groups), and, where batch norm is affine, the scales and offsets
// of all its batch norms behind them.
func TrainingParameters(o space.Op, affine bool) []Weight {
	if o.Kind == space.Classifier {
		return classifierParameters(o)
	}
	var ps []Weight
	cs := convolutions(o)
	for _, c := range cs {
		ps = append(ps, Weight{Name: c.name, Dims: c.dims, Deviation: math.Sqrt(2 / float64(c.fan))})
	}
	if affine {
		for _, c := range cs {
			ps = append(ps,
				Weight{Name: c.name + ".scale", Dims: []int{1, c.out}, Value: 1},
				Weight{Name: c.name + ".offset", Dims: []int{1, c.out}})
		}
	}
	return ps
}

// NormWidths returns the channels of each batch norm of o, in order.
func NormWidths(o space.Op) []int {
	var w []int
	for _, c := range convolutions(o) {
		w = append(w, c.out)
	}
	return w
}
