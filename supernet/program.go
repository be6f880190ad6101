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

func parameterDims(o space.Op) [][]int {
	var dims [][]int
	for _, p := range op.TrainingParameters(o, false) {
		dims = append(dims, p.Dims)
	}
	return dims
}

// program writes the executable of key.
func (n *Network) program(key Executable) program {
	switch {
	case key.Op.Kind == space.Classifier:
		return n.classifierProgram(key)
	case key.Role == Sum:
		o, p := key.Op, program{build: func(in []*Node) []*Node { return []*Node{n.narrow(Add(wide(in[0]), wide(in[1])))} }}
		dims := []int{n.share(), o.Resolution, o.Resolution, o.In}
		n.maps(&p, dims, dims)
		return p
	case key.Role == Forward || key.Role == Evaluate:
		return n.forwardProgram(key)
	default:
		return n.backwardProgram(key)
	}
}

// forwardProgram takes input, accumulator, factor and parameters, and returns accumulator + factor · op(input) and, for
// [Forward], what the backward needs.
func (n *Network) forwardProgram(key Executable) program {
	o, batch, r := key.Op, n.share(), key.Op.OutResolution()
	var p program
	n.input(&p, o)
	n.maps(&p, []int{batch, r, r, o.Out})
	p.floats(nil)
	p.floats(parameterDims(o)...)
	form := n.form(o)
	p.build = func(in []*Node) []*Node {
		y, saved := op.Forward(o, form, n.narrow(in[0]), in[3:])
		y = n.narrow(Add(wide(in[1]), Mul(in[2], wide(y))))
		if key.Role == Evaluate {
			return []*Node{y}
		}
		return append([]*Node{y}, saved...)
	}
	return p
}

// backwardProgram takes input, gradient of the output's sum, accumulator, factor, learning rate, parameters and what the
// forward kept; a weight step's takes velocities and running statistics too. It returns accumulator + gradient of the
// input, and the new statistics, parameters and velocities or, in an architecture step, the inner product.
func (n *Network) backwardProgram(key Executable) program {
	o, batch, r := key.Op, n.share(), key.Op.OutResolution()
	var p program
	n.input(&p, o)
	n.maps(&p, []int{batch, r, r, o.Out}, []int{batch, o.Resolution, o.Resolution, o.In})
	p.floats(nil, nil)
	params, saved := parameterDims(o), op.SavedDims(o, batch)
	p.floats(params...)
	n.saved(&p, saved)
	count, kept := len(params), len(saved)
	updates := key.Role == WeightBackward && count > 0
	if updates {
		p.floats(params...)
		p.floats([]int{1, op.StatisticsSize(o)})
	}
	form, options := n.form(o), n.options
	p.build = func(in []*Node) []*Node {
		x, g, accumulator, factor, rate := n.narrow(in[0]), wide(in[1]), in[2], in[3], in[4]
		params, saved := in[5:5+count], in[5+count:5+count+kept]
		dx, grads := op.Backward(o, form, x, Mul(g, factor), params, saved)
		if dx == nil {
			dx = accumulator // a stem: nothing learns from its input's gradient
		} else {
			dx = n.narrow(Add(wide(accumulator), wide(dx)))
		}
		if key.Role == ArchitectureBackward {
			return append([]*Node{dx}, op.Total(ReduceAllSum(Mul(g, wide(op.Output(o, form, x, params, saved)))))...)
		}
		if !updates {
			return []*Node{dx}
		}
		rest := in[5+count+kept:]
		running := n.moveStatistics(o, rest[count], op.Statistics(o, saved))
		return append([]*Node{dx, running}, update(params, rest[:count], op.Total(grads...), rate, options.Momentum, options.WeightDecay)...)
	}
	return p
}

// classifierProgram takes features, labels, mask, learning rate and parameters; a weight step's takes velocities too. It
// returns loss, number of correct answers and, but for [Evaluate], the gradient of the features, and the new parameters
// and velocities.
func (n *Network) classifierProgram(key Executable) program {
	o, batch := key.Op, n.share()
	var p program
	n.input(&p, o)
	p.layout(dtypes.Int32, batch)
	p.floats([]int{batch}, nil)
	params := parameterDims(o)
	p.floats(params...)
	if key.Role == WeightBackward {
		p.floats(params...)
	}
	count, momentum, decay := len(params), n.options.Momentum, n.options.WeightDecay
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
		if key.Role == WeightBackward {
			result = append(result, update(params, in[4+count:], op.Total(grads...), rate, momentum, decay)...)
		}
		return result
	}
	return p
}

// update builds the new parameters, then the new velocities.
func update(params, velocity, grads []*Node, rate *Node, momentum, decay float64) []*Node {
	var ps, vs []*Node
	for i, g := range grads {
		w, v := op.SGD(params[i], velocity[i], g, rate, momentum, decay)
		ps, vs = append(ps, w), append(vs, v)
	}
	return append(ps, vs...)
}
