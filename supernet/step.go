package supernet

import (
	"slices"
	"sync"

	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
	"densenas/supernet/mesh"
	"densenas/supernet/space"
)

// Products are the inner products <gradient of the loss by the layer's sum, output of the operation>, for every pick: the
// derivative of the loss by the factor that the pick's output is multiplied with.
type Products struct {
	Head  [][][]float64 // block-1, incoming connection, pick: by path probability · pick weight
	Stack [][][]float64 // block-1, stacked layer, pick: by pick weight
	Final []float64     // incoming connection of the final 1×1: by path probability
}

// taken is one operation of a step, with what its backward needs.
type taken struct {
	weights *weights
	input   lanes
	factor  float64 // what the output was multiplied with
	saved   *value  // nil where nothing is kept
}

// layerTaken are the operations of one layer, which share their sum.
type layerTaken []taken

// pass is one step. Its methods only arrange the calls: each client makes those of its own as soon as their inputs are there, one at
// a time, so branches that do not depend on each other run at once. The order of every sum is the program's, whatever runs first.
type pass struct {
	n       *Network
	choice  *Choice
	last    Role // of the step
	rate    *value
	entry   []taken        // stem and, where there is one, the first block
	heads   [][]layerTaken // block-1, incoming connection
	stacks  [][]layerTaken // block-1, stacked layer
	finals  []taken
	feature *value // sum of the final 1×1 convolutions
	scalars map[float32]*value
	queues  []*queue // of the clients
	calls   sync.WaitGroup
	number  int // of calls so far
	mu      sync.Mutex
	err     error // the first
}

// WeightStep runs the choice forward and backward and updates the weights of what ran, at the given learning rate. Nothing
// else is decayed or moved. Running statistics of batch norm move too.
func (n *Network) WeightStep(b Batch, c *Choice, rate float64) (Result, error) {
	result, _, err := n.step(b, c, Update, rate)
	return result, err
}

// ArchitectureStep runs the choice forward and backward without touching any weight, and returns the inner products that
// the gradients of alpha and beta are made of.
func (n *Network) ArchitectureStep(b Batch, c *Choice) (Result, *Products, error) {
	return n.step(b, c, Backward, 0)
}

// Evaluate runs the choice forward only, with the statistics of the batch.
func (n *Network) Evaluate(b Batch, c *Choice) (Result, error) {
	result, _, err := n.step(b, c, Evaluate, 0)
	return result, err
}

func (n *Network) step(b Batch, c *Choice, role Role, rate float64) (result Result, products *Products, err error) {
	s, size := n.space, n.options.Batch
	if err := b.Check(size, s.Resolution, s.Channels); err != nil {
		return Result{}, nil, err
	}
	if err := c.check(s); err != nil {
		return Result{}, nil, err
	}
	n.executables.request(n.sampled(c, role), true)
	p := &pass{n: n, choice: c, last: role, entry: make([]taken, len(n.entry())), scalars: map[float32]*value{}}
	for range n.devices {
		q := newQueue()
		p.queues = append(p.queues, q)
		go p.serve(q)
	}
	defer func() {
		p.end()
		if err == nil {
			err = p.err
		}
		if err != nil {
			result, products = Result{}, nil
		}
	}()
	image, err := mesh.Share(n.devices[n.stem.client].backend, b.Images, size, s.Resolution, s.Resolution, s.Channels)
	if err != nil {
		return Result{}, nil, err
	}
	if err := p.forward(lanes{valueOf(n.stem.client, image)}); err != nil {
		return Result{}, nil, err
	}
	labels, err := mesh.Share(n.devices[n.classifier.client].backend, b.Labels, size)
	if err != nil {
		return Result{}, nil, err
	}
	truth := valueOf(n.classifier.client, labels)
	defer truth.release()
	masked, err := mesh.Share(n.devices[n.classifier.client].backend, b.Mask(), size)
	if err != nil {
		return Result{}, nil, err
	}
	mask := valueOf(n.classifier.client, masked)
	defer mask.release()
	if p.rate, err = p.scalar(rate); err != nil {
		return Result{}, nil, err
	}
	gradient, err := p.classify(truth, mask, &result)
	if err != nil || role == Evaluate {
		return result, nil, err
	}
	products, err = p.back(gradient)
	return result, products, err
}

// end waits for all calls and gives up what the pass still holds.
func (p *pass) end() {
	p.calls.Wait()
	for _, q := range p.queues {
		q.close()
	}
	release := func(t taken) {
		t.input.release()
		t.saved.release()
	}
	for _, t := range p.entry {
		release(t)
	}
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
	p.feature.release()
	for _, v := range p.scalars {
		v.release()
	}
}

// scalar returns a number on the device, uploaded once per step.
func (p *pass) scalar(x float64) (*value, error) {
	if v := p.scalars[float32(x)]; v != nil {
		return v, nil
	}
	t, err := transfer.Upload(p.n.devices[0].backend, []float32{float32(x)})
	if err != nil {
		return nil, err
	}
	v := valueOf(0, t)
	p.scalars[float32(x)] = v
	return v, nil
}

// zero returns zeros that are shared by all steps.
func (p *pass) zero(client int, dims ...int) (*value, error) {
	t, err := p.n.devices[client].zero(dims...)
	if err != nil {
		return nil, err
	}
	return keep(client, t), nil
}

// inputs lists the lanes of an operation's input as its executables take them: an image, a stem's, has but one.
func (p *pass) inputs(w *weights, l lanes) ([]*value, error) {
	if w.op.Kind == space.Stem {
		return slices.Clone(l), nil
	}
	return p.addends(w.client, l, w.op.Resolution, w.op.In)
}

// addends lists the lanes of a map, [batch, resolution, resolution, channels] each, as an executable on a client takes them: all,
// zeros where one is empty.
func (p *pass) addends(client int, l lanes, resolution, channels int) ([]*value, error) {
	out := make([]*value, lanesOfAStep)
	copy(out, l)
	for i := range out {
		if out[i] == nil {
			var err error
			if out[i], err = p.zero(client, p.n.share(), resolution, resolution, channels); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// call arranges the call of an executable: with all tensors of the arguments, in order, once they are there. Done takes the
// results, and settles values by them.
func (p *pass) call(key Executable, args []*value, done func(out []*tensors.Tensor, err error)) {
	p.callAt(p.number, key, args, done)
	p.number++
}

// afterAll is added to the number of a call that nothing waits for but the end of the step.
const afterAll = 1 << 30

// callAt is call with a number that says when its turn is.
func (p *pass) callAt(number int, key Executable, args []*value, done func(out []*tensors.Tensor, err error)) {
	for _, v := range args {
		v.retain()
	}
	p.calls.Add(1)
	c := &call{key: key, number: number, args: args, done: done, queue: p.queues[p.n.client(key.Op)]}
	c.arrange()
}

// serve makes the calls of a client, one at a time, until its queue is closed.
func (p *pass) serve(q *queue) {
	for c := q.next(); c != nil; c = q.next() {
		out, err := p.execute(c)
		if err != nil {
			p.mu.Lock()
			if p.err == nil {
				p.err = err
			}
			p.mu.Unlock()
		}
		c.done(out, err)
		for _, v := range c.args {
			v.release()
		}
		p.calls.Done()
	}
}

func (p *pass) execute(c *call) ([]*tensors.Tensor, error) {
	for _, v := range c.args {
		if v.err != nil {
			return nil, v.err
		}
	}
	if _, err := p.n.executables.wait(c.key); err != nil {
		return nil, err
	}
	var in []*tensors.Tensor
	for _, v := range c.args {
		ts, err := v.on(p.n.client(c.key.Op), p.n.devices)
		if err != nil {
			return nil, err
		}
		in = append(in, ts...)
	}
	return p.n.executables.call(c.key, in)
}

// forward arranges everything before the classifier. Connections are added up from the farthest predecessor to the nearest:
// the farthest is there first.
func (p *pass) forward(image lanes) error {
	s := p.n.space
	x := image
	for i, w := range p.n.entry() {
		y, err := p.run(&p.entry[i], w, x, nil, 1)
		x.release()
		if err != nil {
			return err
		}
		x = lanes{y}
	}
	outputs := make([]lanes, len(s.Blocks))
	defer func() {
		for i := range outputs {
			outputs[i].release()
		}
	}()
	outputs[0] = x
	p.heads, p.stacks = make([][]layerTaken, len(s.Blocks)-1), make([][]layerTaken, len(s.Blocks)-1)
	for j := 1; j < len(s.Blocks); j++ {
		p.heads[j-1] = make([]layerTaken, len(p.n.head[j-1]))
		incoming := s.Incoming(j)
		for i := len(incoming) - 1; i >= 0; i-- {
			c := incoming[i]
			beta := p.choice.Beta[c.From][c.Outgoing]
			layer := &p.heads[j-1][c.Incoming]
			if err := p.layer(layer, p.n.head[j-1][c.Incoming], p.choice.Head[j-1][c.Incoming], outputs[c.From], &outputs[j], beta); err != nil {
				return err
			}
		}
		p.stacks[j-1] = make([]layerTaken, len(p.n.stack[j-1]))
		for l := range p.n.stack[j-1] {
			var next lanes
			if err := p.layer(&p.stacks[j-1][l], p.n.stack[j-1][l], p.choice.Stack[j-1][l], outputs[j], &next, 1); err != nil {
				next.release()
				return err
			}
			outputs[j].release()
			outputs[j] = next
		}
	}
	p.finals = make([]taken, len(p.n.final))
	incoming := s.Incoming(len(s.Blocks))
	for i := len(incoming) - 1; i >= 0; i-- {
		c := incoming[i]
		beta := p.choice.Beta[c.From][c.Outgoing]
		var err error
		if p.feature, err = p.run(&p.finals[c.Incoming], p.n.final[c.Incoming], outputs[c.From], p.feature, beta); err != nil {
			return err
		}
	}
	return nil
}

// layer adds factor · Σ weight · op(x) over the picks to the sum.
func (p *pass) layer(done *layerTaken, candidates []*weights, picks []Pick, x lanes, sum *lanes, factor float64) error {
	*done = make(layerTaken, len(picks))
	if len(picks) == 1 && factor*picks[0].Weight == 1 && candidates[picks[0].Candidate].op.Kind == space.Skip && len(*sum) == 0 {
		(*done)[0] = taken{weights: candidates[picks[0].Candidate], input: x.retain(), factor: 1}
		*sum = x.retain()
		return nil
	}
	for i, pick := range picks {
		lane := sum.lane(p.n.laneOf(candidates[pick.Candidate], len(picks)))
		var err error
		if *lane, err = p.run(&(*done)[i], candidates[pick.Candidate], x, *lane, factor*pick.Weight); err != nil {
			return err
		}
	}
	return nil
}

// run arranges one operation: accumulator + factor · op(x), where a nil accumulator is zero. It takes over the accumulator.
func (p *pass) run(t *taken, w *weights, x lanes, accumulator *value, factor float64) (*value, error) {
	n, o := p.n, w.op
	*t = taken{weights: w, input: x.retain(), factor: factor}
	if err := n.materialize(w); err != nil {
		accumulator.release()
		return nil, err
	}
	var err error
	if accumulator == nil {
		r := o.OutResolution()
		if accumulator, err = p.zero(w.client, n.share(), r, r, o.Out); err != nil {
			return nil, err
		}
	}
	defer accumulator.release()
	scale, err := p.scalar(factor)
	if err != nil {
		return nil, err
	}
	args, err := p.inputs(w, x)
	if err != nil {
		return nil, err
	}
	y := newValue(w.client)
	role := Evaluate
	if p.last != Evaluate {
		role = Forward
		t.saved = newValue(w.client)
	}
	saved := t.saved
	p.call(Executable{o, role}, append(args, accumulator, scale, keep(w.client, w.params...)), func(out []*tensors.Tensor, err error) {
		if err != nil {
			out = make([]*tensors.Tensor, 1)
		}
		y.settle(out[:1], err)
		if saved != nil {
			saved.settle(out[1:], err)
		}
	})
	return y, nil
}

// classify arranges the classifier, the loss and, in training, the classifier's backward. It returns the gradient of
// p.feature. The result is there when the pass has ended.
func (p *pass) classify(labels, mask *value, result *Result) (*value, error) {
	n, w := p.n, p.n.classifier
	if err := n.materialize(w); err != nil {
		return nil, err
	}
	args := []*value{p.feature, labels, mask, p.rate, keep(w.client, w.params...)}
	if p.last == Update {
		if err := n.materializeVelocity(w); err != nil {
			return nil, err
		}
		args = append(args, keep(w.client, w.velocity...))
	}
	gradient := newValue(w.client)
	role := p.last
	p.call(Executable{w.op, role}, args, func(out []*tensors.Tensor, err error) {
		if err != nil || role == Evaluate {
			gradient.settle(nil, err)
		} else {
			gradient.settle(out[2:3], nil)
		}
		if err != nil {
			return
		}
		*result = Result{Loss: float64(tensors.ToScalar[float32](out[0])), Correct: int(tensors.ToScalar[float32](out[1]))}
		transfer.Free(out[:2]...)
		if role == Update {
			w.replace(out[3:])
		}
	})
	if role == Evaluate {
		gradient.release()
		return nil, nil
	}
	return gradient, nil
}

// replace takes over new parameters and velocities, and frees the old ones.
func (w *weights) replace(updated []*tensors.Tensor) {
	transfer.Free(w.params...)
	transfer.Free(w.velocity...)
	k := len(updated) / 2
	w.params, w.velocity = updated[:k:k], updated[k:]
}

// back goes through the blocks from the last to the first, with the gradient of p.feature, which it takes over. The products
// are there when the pass has ended.
func (p *pass) back(feature *value) (*Products, error) {
	s := p.n.space
	grads := make([]lanes, len(s.Blocks))
	var g lanes
	defer func() {
		feature.release()
		g.release()
		for i := range grads {
			grads[i].release()
		}
	}()
	products := &Products{Final: make([]float64, len(p.finals)), Head: make([][][]float64, len(p.heads)), Stack: make([][][]float64, len(p.stacks))}
	for _, c := range s.Incoming(len(s.Blocks)) {
		if err := p.backOp(&p.finals[c.Incoming], lanes{feature}, grads[c.From].lane(0), &products.Final[c.Incoming]); err != nil {
			return nil, err
		}
	}
	for j := len(s.Blocks) - 1; j > 0; j-- {
		g.release()
		g, grads[j] = grads[j], nil
		layers := p.stacks[j-1]
		products.Stack[j-1] = make([][]float64, len(layers))
		for l := len(layers) - 1; l >= 0; l-- {
			products.Stack[j-1][l] = make([]float64, len(layers[l]))
			if t := &layers[l][0]; len(layers[l]) == 1 && t.factor == 1 && t.weights.op.Kind == space.Skip && p.last == Update {
				continue // its gradient is that of the sum
			}
			var next lanes
			for i := range layers[l] {
				if err := p.backOp(&layers[l][i], g, next.lane(p.n.laneOf(layers[l][i].weights, len(layers[l]))), &products.Stack[j-1][l][i]); err != nil {
					next.release()
					return nil, err
				}
			}
			g.release()
			g = next
		}
		products.Head[j-1] = make([][]float64, len(p.heads[j-1]))
		for _, c := range s.Incoming(j) {
			layer := p.heads[j-1][c.Incoming]
			products.Head[j-1][c.Incoming] = make([]float64, len(layer))
			for i := range layer {
				if err := p.backOp(&layer[i], g, grads[c.From].lane(p.n.laneOf(layer[i].weights, len(layer))), &products.Head[j-1][c.Incoming][i]); err != nil {
					return nil, err
				}
			}
		}
	}
	if p.last == Backward {
		return products, nil // nothing before the first block has architecture parameters
	}
	g.release()
	g, grads[0] = grads[0], nil
	for i := range p.entry {
		var next *value
		if err := p.backOp(&p.entry[len(p.entry)-1-i], g, &next, nil); err != nil {
			return nil, err
		}
		g.release()
		g = lanes{next}
	}
	return products, nil
}

// backOp arranges one operation's backward from g, the gradient of the sum that its output was added to: it adds the gradient
// of its input to the accumulator, where nil is zero.
func (p *pass) backOp(t *taken, g lanes, accumulator **value, product *float64) error {
	n, w := p.n, t.weights
	o := w.op
	before := *accumulator
	*accumulator = nil
	var err error
	if before == nil {
		if before, err = p.zero(w.client, n.share(), o.Resolution, o.Resolution, o.In); err != nil {
			return err
		}
	}
	defer before.release()
	scale, err := p.scalar(t.factor)
	if err != nil {
		return err
	}
	args, err := p.inputs(w, t.input)
	if err != nil {
		return err
	}
	gradient, err := p.addends(w.client, g, o.OutResolution(), o.Out)
	if err != nil {
		return err
	}
	args = append(append(args, gradient...), before, scale, keep(w.client, w.params...))
	if t.saved != nil {
		args = append(args, t.saved)
	}
	dx, between := newValue(w.client), newValue(w.client)
	defer between.release()
	*accumulator = dx
	p.call(Executable{o, Backward}, args, func(out []*tensors.Tensor, err error) {
		if err != nil {
			dx.settle(nil, err)
			between.settle(nil, err)
			return
		}
		dx.settle(out[:1], nil)
		between.settle(out[2:], nil)
		if product != nil {
			*product = float64(tensors.ToScalar[float32](out[1]))
		}
		transfer.Free(out[1])
	})
	if p.last == Update && len(w.params) > 0 {
		if err := p.update(t, between); err != nil {
			return err
		}
	}
	// The call keeps what it needs: what was kept for it is not needed after it.
	t.input.release()
	t.saved.release()
	t.saved = nil
	return nil
}

// update arranges new weights for an operation, between its backward and the end of the step.
func (p *pass) update(t *taken, between *value) error {
	n, w := p.n, t.weights
	if err := n.materializeVelocity(w); err != nil {
		return err
	}
	args, err := p.inputs(w, t.input)
	if err != nil {
		return err
	}
	args = append(args, p.rate, keep(w.client, w.params...), keep(w.client, w.velocity...), keep(w.client, w.running), t.saved, between)
	p.callAt(p.number+afterAll, Executable{w.op, Update}, args, func(out []*tensors.Tensor, err error) {
		if err == nil {
			transfer.Free(w.running)
			w.running = out[0]
			w.replace(out[1:])
		}
	})
	return nil
}
