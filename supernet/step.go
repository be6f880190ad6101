package supernet

import (
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Products are the inner products <gradient of the loss by the layer's sum, output of the operation>, for every pick: the
// derivative of the loss by the factor that the pick's output is multiplied with.
type Products struct {
	Head  [][][]float64 // block-1, incoming connection, pick: by path probability · pick weight
	Stack [][][]float64 // block-1, stacked layer, pick: by pick weight
	Final []float64     // incoming connection of the final 1×1: by path probability
}

// taken is one executed operation of a step, with what its backward needs.
type taken struct {
	weights *weights
	input   *tensors.Tensor // owned by someone else
	factor  float64         // what the output was multiplied with
	saved   []*tensors.Tensor
}

// layerTaken are the executed operations of one layer, which share their sum.
type layerTaken []taken

// pass is the state of one step.
type pass struct {
	n       *Network
	choice  *Choice
	keep    bool // for a backward
	stem    taken
	first   taken
	heads   [][]layerTaken // block-1, incoming connection
	stacks  [][]layerTaken // block-1, stacked layer
	finals  []taken
	garbage []*tensors.Tensor // freed when the step ends
	feature *tensors.Tensor   // sum of the final 1×1 convolutions
}

// WeightStep runs the choice forward and backward and updates the weights of what ran, at the given learning rate. Nothing
// else is decayed or moved. Running statistics of batch norm move too.
func (n *Network) WeightStep(b Batch, c *Choice, rate float64) (Result, error) {
	p, labels, mask, err := n.begin(b, c, true)
	if err != nil {
		return Result{}, err
	}
	defer p.end()
	result, gradient, err := p.classify(labels, mask, WeightBackward, rate)
	if err != nil {
		return Result{}, err
	}
	_, err = p.backward(gradient, WeightBackward, rate)
	return result, err
}

// ArchitectureStep runs the choice forward and backward without touching any weight, and returns the inner products that
// the gradients of alpha and beta are made of.
func (n *Network) ArchitectureStep(b Batch, c *Choice) (Result, *Products, error) {
	p, labels, mask, err := n.begin(b, c, true)
	if err != nil {
		return Result{}, nil, err
	}
	defer p.end()
	result, gradient, err := p.classify(labels, mask, ArchitectureBackward, 0)
	if err != nil {
		return Result{}, nil, err
	}
	products, err := p.backward(gradient, ArchitectureBackward, 0)
	return result, products, err
}

// Evaluate runs the choice forward only, with the statistics of the batch.
func (n *Network) Evaluate(b Batch, c *Choice) (Result, error) {
	p, labels, mask, err := n.begin(b, c, false)
	if err != nil {
		return Result{}, err
	}
	defer p.end()
	result, _, err := p.classify(labels, mask, Evaluate, 0)
	return result, err
}

// begin uploads the batch and runs everything before the classifier.
func (n *Network) begin(b Batch, c *Choice, keep bool) (p *pass, labels, mask *tensors.Tensor, err error) {
	s, size := n.space, n.options.Batch
	if err := b.Check(size, s.Resolution, s.Channels); err != nil {
		return nil, nil, nil, err
	}
	if err := c.check(s); err != nil {
		return nil, nil, nil, err
	}
	p = &pass{n: n, choice: c, keep: keep}
	defer func() {
		if err != nil {
			p.end()
		}
	}()
	image, err := transfer.Upload(n.device.backend, b.Images, size, s.Resolution, s.Resolution, s.Channels)
	if err != nil {
		return nil, nil, nil, err
	}
	p.garbage = append(p.garbage, image)
	if labels, err = transfer.Upload(n.device.backend, b.Labels, size); err != nil {
		return nil, nil, nil, err
	}
	p.garbage = append(p.garbage, labels)
	if mask, err = transfer.Upload(n.device.backend, b.Mask(), size); err != nil {
		return nil, nil, nil, err
	}
	p.garbage = append(p.garbage, mask)
	return p, labels, mask, p.forward(image)
}

func (p *pass) end() {
	transfer.Free(p.garbage...)
	release := func(t taken) { transfer.Free(t.saved...) }
	release(p.stem)
	release(p.first)
	for _, layers := range [][][]layerTaken{p.heads, p.stacks} {
		for _, block := range layers {
			for _, layer := range block {
				for _, t := range layer {
					release(t)
				}
			}
		}
	}
	for _, t := range p.finals {
		release(t)
	}
}

func (p *pass) forward(image *tensors.Tensor) error {
	s := p.n.space
	x, err := p.run(&p.stem, p.n.stem, image, nil, 1)
	if err != nil {
		return err
	}
	outputs := make([]*tensors.Tensor, len(s.Blocks))
	if outputs[0], err = p.run(&p.first, p.n.first, x, nil, 1); err != nil {
		return err
	}
	p.heads, p.stacks = make([][]layerTaken, len(s.Blocks)-1), make([][]layerTaken, len(s.Blocks)-1)
	for j := 1; j < len(s.Blocks); j++ {
		var sum *tensors.Tensor
		p.heads[j-1] = make([]layerTaken, len(p.n.head[j-1]))
		for _, c := range s.Incoming(j) {
			beta := p.choice.Beta[c.From][c.Outgoing]
			layer := &p.heads[j-1][c.Incoming]
			if sum, err = p.layer(layer, p.n.head[j-1][c.Incoming], p.choice.Head[j-1][c.Incoming], outputs[c.From], sum, beta); err != nil {
				return err
			}
		}
		p.stacks[j-1] = make([]layerTaken, len(p.n.stack[j-1]))
		for l := range p.n.stack[j-1] {
			if sum, err = p.layer(&p.stacks[j-1][l], p.n.stack[j-1][l], p.choice.Stack[j-1][l], sum, nil, 1); err != nil {
				return err
			}
		}
		outputs[j] = sum
	}
	p.finals = make([]taken, len(p.n.final))
	for _, c := range s.Incoming(len(s.Blocks)) {
		beta := p.choice.Beta[c.From][c.Outgoing]
		if p.feature, err = p.run(&p.finals[c.Incoming], p.n.final[c.Incoming], outputs[c.From], p.feature, beta); err != nil {
			return err
		}
	}
	return nil
}

// layer adds factor · Σ weight · op(x) over the picks to the accumulator.
func (p *pass) layer(done *layerTaken, candidates []*weights, picks []Pick, x, accumulator *tensors.Tensor, factor float64) (*tensors.Tensor, error) {
	*done = make(layerTaken, len(picks))
	for i, pick := range picks {
		var err error
		if accumulator, err = p.run(&(*done)[i], candidates[pick.Candidate], x, accumulator, factor*pick.Weight); err != nil {
			return nil, err
		}
	}
	return accumulator, nil
}

// run executes one operation: accumulator + factor · op(x), where a nil accumulator is zero.
func (p *pass) run(t *taken, w *weights, x, accumulator *tensors.Tensor, factor float64) (*tensors.Tensor, error) {
	n, o := p.n, w.op
	*t = taken{weights: w, input: x, factor: factor}
	if o.Kind == space.Skip && accumulator == nil && factor == 1 {
		return x, nil
	}
	if err := n.materialize(w); err != nil {
		return nil, err
	}
	partial := accumulator // a sum that nothing else uses
	if accumulator == nil {
		r := o.OutResolution()
		var err error
		if accumulator, err = n.device.zero(n.options.Batch, r, r, o.Out); err != nil {
			return nil, err
		}
	}
	role := Evaluate
	if p.keep {
		role = Forward
	}
	form := op.Form{Lowering: n.options.Lowering(o)}
	args := append([]any{x, accumulator, float32(factor)}, transfer.Arguments(w.params)...)
	out, err := n.executables.call(Executable{o, role}, func(in []*Node) []*Node {
		y, saved := op.Forward(o, form, in[0], in[3:])
		y = Add(in[1], Mul(in[2], y))
		if role == Evaluate {
			return []*Node{y}
		}
		return append([]*Node{y}, saved...)
	}, args...)
	if err != nil {
		return nil, err
	}
	transfer.Free(partial)
	t.saved = out[1:]
	p.garbage = append(p.garbage, out[0])
	return out[0], nil
}

// classify runs the classifier, the loss and, in training, the classifier's backward. The gradient is that of p.feature.
func (p *pass) classify(labels, mask *tensors.Tensor, role Role, rate float64) (Result, *tensors.Tensor, error) {
	n, w := p.n, p.n.classifier
	o := w.op
	if err := n.materialize(w); err != nil {
		return Result{}, nil, err
	}
	args := append([]any{p.feature, labels, mask, float32(rate)}, transfer.Arguments(w.params)...)
	if role == WeightBackward {
		if err := n.materializeVelocity(w); err != nil {
			return Result{}, nil, err
		}
		args = append(args, transfer.Arguments(w.velocity)...)
	}
	count := len(w.params)
	momentum, decay := n.options.Momentum, n.options.WeightDecay
	out, err := n.executables.call(Executable{o, role}, func(in []*Node) []*Node {
		x, labels, mask, rate := in[0], in[1], in[2], in[3]
		params := in[4 : 4+count]
		logits, saved := op.Forward(o, op.Form{}, x, params)
		loss, correct, gradient := op.CrossEntropy(logits, labels, mask, 0)
		result := []*Node{loss, correct}
		if role == Evaluate {
			return result
		}
		dx, grads := op.Backward(o, op.Form{}, x, gradient, params, saved)
		result = append(result, dx)
		if role == WeightBackward {
			result = append(result, update(params, in[4+count:], grads, rate, momentum, decay)...)
		}
		return result
	}, args...)
	if err != nil {
		return Result{}, nil, err
	}
	result := Result{Loss: float64(tensors.ToScalar[float32](out[0])), Correct: int(tensors.ToScalar[float32](out[1]))}
	transfer.Free(out[:2]...)
	if role == Evaluate {
		return result, nil, nil
	}
	p.garbage = append(p.garbage, out[2])
	if role == WeightBackward {
		w.replace(out[3:])
	}
	return result, out[2], nil
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

// replace takes over new parameters and velocities, and frees the old ones.
func (w *weights) replace(updated []*tensors.Tensor) {
	transfer.Free(w.params...)
	transfer.Free(w.velocity...)
	k := len(updated) / 2
	w.params, w.velocity = updated[:k:k], updated[k:]
}

// backward goes through the blocks from the last to the first.
func (p *pass) backward(feature *tensors.Tensor, role Role, rate float64) (*Products, error) {
	s := p.n.space
	grads := make([]*tensors.Tensor, len(s.Blocks))
	back := func(t taken, g, accumulator *tensors.Tensor, product *float64) (*tensors.Tensor, error) {
		return p.back(t, g, accumulator, role, rate, product)
	}
	products := &Products{Final: make([]float64, len(p.finals)), Head: make([][][]float64, len(p.heads)), Stack: make([][][]float64, len(p.stacks))}
	var err error
	for _, c := range s.Incoming(len(s.Blocks)) {
		if grads[c.From], err = back(p.finals[c.Incoming], feature, grads[c.From], &products.Final[c.Incoming]); err != nil {
			return nil, err
		}
	}
	for j := len(s.Blocks) - 1; j > 0; j-- {
		g := grads[j]
		layers := p.stacks[j-1]
		products.Stack[j-1] = make([][]float64, len(layers))
		for l := len(layers) - 1; l >= 0; l-- {
			products.Stack[j-1][l] = make([]float64, len(layers[l]))
			var next *tensors.Tensor
			for i, t := range layers[l] {
				if next, err = back(t, g, next, &products.Stack[j-1][l][i]); err != nil {
					return nil, err
				}
			}
			g = next
		}
		products.Head[j-1] = make([][]float64, len(p.heads[j-1]))
		for _, c := range s.Incoming(j) {
			layer := p.heads[j-1][c.Incoming]
			products.Head[j-1][c.Incoming] = make([]float64, len(layer))
			for i, t := range layer {
				if grads[c.From], err = back(t, g, grads[c.From], &products.Head[j-1][c.Incoming][i]); err != nil {
					return nil, err
				}
			}
		}
	}
	if role == ArchitectureBackward {
		return products, nil // nothing before the first block has architecture parameters
	}
	g, err := back(p.first, grads[0], nil, nil)
	if err != nil {
		return nil, err
	}
	_, err = back(p.stem, g, nil, nil)
	return products, err
}

// back runs one operation's backward: it returns accumulator + the gradient of its input, where a nil accumulator is zero,
// from g, the gradient of the sum that its output was added to.
func (p *pass) back(t taken, g, accumulator *tensors.Tensor, role Role, rate float64, product *float64) (*tensors.Tensor, error) {
	n, w := p.n, t.weights
	o := w.op
	if o.Kind == space.Skip && role == WeightBackward && accumulator == nil && t.factor == 1 {
		return g, nil
	}
	var err error
	partial := accumulator // a gradient that nothing else uses
	if accumulator == nil {
		if accumulator, err = n.device.zero(n.options.Batch, o.Resolution, o.Resolution, o.In); err != nil {
			return nil, err
		}
	}
	args := append([]any{t.input, g, accumulator, float32(t.factor), float32(rate)}, transfer.Arguments(w.params, t.saved)...)
	count, kept := len(w.params), len(t.saved)
	updates := role == WeightBackward && count > 0
	if updates {
		if err := n.materializeVelocity(w); err != nil {
			return nil, err
		}
		args = append(append(args, transfer.Arguments(w.velocity)...), w.running)
	}
	form := op.Form{Lowering: n.options.Lowering(o)}
	options := n.options
	out, err := n.executables.call(Executable{o, role}, func(in []*Node) []*Node {
		x, g, accumulator, factor, rate := in[0], in[1], in[2], in[3], in[4]
		params, saved := in[5:5+count], in[5+count:5+count+kept]
		dx, grads := op.Backward(o, form, x, Mul(g, factor), params, saved)
		if dx == nil {
			dx = accumulator // a stem: nothing learns from its input's gradient
		} else {
			dx = Add(accumulator, dx)
		}
		if role == ArchitectureBackward {
			return []*Node{dx, ReduceAllSum(Mul(g, op.Output(o, form, x, params, saved)))}
		}
		if !updates {
			return []*Node{dx}
		}
		rest := in[5+count+kept:]
		running := op.UpdateStatistics(o, rest[count], op.Statistics(o, saved), options.Batch, options.NormMomentum)
		return append([]*Node{dx, running}, update(params, rest[:count], grads, rate, options.Momentum, options.WeightDecay)...)
	}, args...)
	if err != nil {
		return nil, err
	}
	transfer.Free(partial)
	transfer.Free(t.saved...)
	p.garbage = append(p.garbage, out[0])
	switch {
	case role == ArchitectureBackward:
		if product != nil {
			*product = float64(tensors.ToScalar[float32](out[1]))
		}
		transfer.Free(out[1])
	case updates:
		transfer.Free(w.running)
		w.running = out[1]
		w.replace(out[2:])
	}
	return out[0], nil
}
