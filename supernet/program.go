package supernet

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/op"
	"densenas/supernet/space"
)

// program is what an executable is compiled from: the shapes of its arguments, in order, and the graph over them.
type program struct {
	inputs []shapes.Shape
	build  func(in []*Node) []*Node
}

// layout adds the shapes of arguments.
func (p *program) layout(dtype dtypes.DType, dims ...int) {
	p.inputs = append(p.inputs, shapes.Make(dtype, dims...))
}

func (p *program) floats(dims ...[]int) {
	for _, d := range dims {
		p.layout(dtypes.Float32, d...)
	}
}

func (n *Network) parameterDims(o space.Op) [][]int {
	var dims [][]int
	for _, p := range n.parameters(o) {
		dims = append(dims, p.Dims)
	}
	return dims
}

// affineDims are the dimensions of the scales and offsets of an operation's batch norms, where they are there.
func (n *Network) affineDims(o space.Op) [][]int {
	return n.parameterDims(o)[len(op.TrainingParameters(o, false)):]
}

// program writes the executable of key.
func (n *Network) program(key Executable) program {
	switch {
	case key.Op.Kind == space.Classifier:
		return n.classifierProgram(key)
	case key.Role == Forward || key.Role == Evaluate:
		return n.forwardProgram(key)
	case key.Role == Backward:
		return n.backwardProgram(key)
	default:
		return n.updateProgram(key)
	}
}

// addends lays out the lanes of a map.
func (n *Network) addends(p *program, resolution, channels int) {
	for range lanesOfAStep {
		n.maps(p, []int{n.share(), resolution, resolution, channels})
	}
}

// input lays out the lanes of an operation's input. An image has but one, float32, which the stem narrows.
func (n *Network) input(p *program, o space.Op) {
	if o.Kind == space.Stem {
		p.floats([]int{n.share(), o.Resolution, o.Resolution, o.In})
		return
	}
	n.addends(p, o.Resolution, o.In)
}

// sum takes the lanes of a map off the arguments, and adds them up in float32.
func sum(in []*Node) (x *Node, rest []*Node) {
	x = wide(in[0])
	for _, lane := range in[1:lanesOfAStep] {
		x = Add(x, wide(lane))
	}
	return x, in[lanesOfAStep:]
}

// inputSum takes the lanes of an operation's input off the arguments, and adds them up in the type of activations.
func (n *Network) inputSum(o space.Op, in []*Node) (x *Node, rest []*Node) {
	if o.Kind == space.Stem {
		return n.narrow(in[0]), in[1:]
	}
	x, rest = sum(in)
	return n.narrow(x), rest
}

// forwardProgram takes the lanes of the input, accumulator, factor and parameters, and returns accumulator + factor · op(input)
// and, for [Forward], what the backward needs.
func (n *Network) forwardProgram(key Executable) program {
	o, batch, r := key.Op, n.share(), key.Op.OutResolution()
	var p program
	n.input(&p, o)
	n.maps(&p, []int{batch, r, r, o.Out})
	p.floats(nil)
	p.floats(n.parameterDims(o)...)
	form := n.form(o)
	p.build = func(in []*Node) []*Node {
		x, in := n.inputSum(o, in)
		y, saved := op.Forward(o, form, x, in[2:])
		y = n.narrow(Add(wide(in[0]), Mul(in[1], wide(y))))
		if key.Role == Evaluate {
			return []*Node{y}
		}
		return append([]*Node{y}, saved...)
	}
	return p
}

// backwardProgram takes the lanes of the input and of the gradient of the output's sum, accumulator, factor, parameters and what the
// forward kept. It returns accumulator + gradient of the input, the inner product of output and gradient, and the gradients of the
// convolutions' outputs and of batch norm's scales and offsets.
func (n *Network) backwardProgram(key Executable) program {
	o, batch := key.Op, n.share()
	var p program
	n.input(&p, o)
	n.addends(&p, o.OutResolution(), o.Out)
	n.maps(&p, []int{batch, o.Resolution, o.Resolution, o.In})
	p.floats(nil)
	params := n.parameterDims(o)
	count := len(params)
	p.floats(params...)
	n.saved(&p, op.SavedDims(o, batch))
	form := n.form(o)
	p.build = func(in []*Node) []*Node {
		x, in := n.inputSum(o, in)
		g, in := sum(in)
		accumulator, factor, params, saved := in[0], in[1], in[2:2+count], in[2+count:]
		dx, before, affine := op.InputGradient(o, form, x, Mul(g, factor), params, saved)
		if dx == nil {
			dx = accumulator // a stem: nothing learns from its input's gradient
		} else {
			dx = n.narrow(Add(wide(accumulator), wide(dx)))
		}
		product := op.Total(ReduceAllSum(Mul(g, wide(op.Output(o, form, x, params, saved)))))[0]
		return append(append([]*Node{dx, product}, before...), affine...)
	}
	return p
}

// updateProgram takes the lanes of the input, learning rate, parameters, velocities, running statistics, what the forward kept and
// the gradients of the convolutions' outputs and of batch norm's scales and offsets. It returns new statistics, parameters and
// velocities.
func (n *Network) updateProgram(key Executable) program {
	o := key.Op
	var p program
	n.input(&p, o)
	p.floats(nil)
	params, saved := n.parameterDims(o), op.SavedDims(o, n.share())
	count, kept := len(params), len(saved)
	p.floats(params...)
	p.floats(params...)
	p.floats([]int{1, op.StatisticsSize(o)})
	n.saved(&p, saved)
	n.maps(&p, saved[:kept-1]...) // all but the statistics
	p.floats(n.affineDims(o)...)
	form := n.form(o)
	p.build = func(in []*Node) []*Node {
		x, in := n.inputSum(o, in)
		rate, params, velocity, running := in[0], in[1:1+count], in[1+count:1+2*count], in[1+2*count]
		saved, rest := in[2+2*count:2+2*count+kept], in[2+2*count+kept:]
		before, affine := rest[:kept-1], rest[kept-1:]
		grads := op.Total(append(op.WeightGradients(o, form, x, params, saved, before), affine...)...)
		running = n.moveStatistics(o, running, op.Statistics(o, saved))
		return append([]*Node{running}, n.update(o, params, velocity, grads, rate)...)
	}
	return p
}

// classifierProgram takes features, labels, mask, learning rate and parameters; an [Update] takes velocities too. It
// returns loss, number of correct answers and, but for [Evaluate], the gradient of the features, and the new parameters
// and velocities.
func (n *Network) classifierProgram(key Executable) program {
	o, batch := key.Op, n.share()
	var p program
	n.maps(&p, []int{batch, o.Resolution, o.Resolution, o.In})
	p.layout(dtypes.Int32, batch)
	p.floats([]int{batch}, nil)
	params := n.parameterDims(o)
	p.floats(params...)
	if key.Role == Update {
		p.floats(params...)
	}
	count := len(params)
	p.build = func(in []*Node) []*Node {
		x, labels, mask, rate := in[0], in[1], in[2], in[3]
		params := in[4 : 4+count]
		logits, saved := op.Forward(o, op.Form{}, x, params)
		loss, correct, gradient := op.CrossEntropy(logits, labels, mask, 0)
		result := []*Node{loss, correct}
		if key.Role == Evaluate {
			return result
		}
		dx, grads := op.Backward(o, op.Form{}, x, gradient, params, saved)
		result = append(result, dx)
		if key.Role == Update {
			result = append(result, n.update(o, params, in[4+count:], op.Total(grads...), rate)...)
		}
		return result
	}
	return p
}

// decays are the weight decays of an operation's parameters: scales and offsets of batch norm have none.
func (n *Network) decays(o space.Op) []float64 {
	decays := make([]float64, len(n.parameters(o)))
	for i := range len(decays) - len(n.affineDims(o)) {
		decays[i] = n.options.WeightDecay
	}
	return decays
}

// update builds the new parameters of an operation, then the new velocities.
func (n *Network) update(o space.Op, params, velocity, grads []*Node, rate *Node) []*Node {
	decays := n.decays(o)
	var ps, vs []*Node
	for i, g := range grads {
		if n.options.GradientClip > 0 {
			g = op.ClipGradient(g, params[i], n.options.GradientClip)
		}
		w, v := op.SGD(params[i], velocity[i], g, rate, n.options.Momentum, decays[i])
		ps, vs = append(ps, w), append(vs, v)
	}
	return append(ps, vs...)
}
