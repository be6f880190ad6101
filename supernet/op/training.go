package op

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/space"
)

// Form is how the training form of an operation is built.
type Form struct {
	Lowering Lowering
	// Affine gives every batch norm a scale and an offset: in derived networks. In the super network a stem may have them.
	Affine bool
	// Synchronised computes the statistics of batch norm over the batch of all devices that run the graph, instead of over each
	// device's share.
	Synchronised bool
}

// trainingNodes are the nodes of an operation's training form, named.
type trainingNodes struct {
	narrow  func(*Node) *Node // converts to the type of activations
	wide    func(*Node) *Node // converts to the type of parameters
	weights []*Node           // one per convolution
	norms   []norm            // one per convolution
	pre     []*Node           // the convolutions' outputs, [rows, channels], before batch norm
}

func (f Form) nodes(o space.Op, x *Node, params []*Node) trainingNodes {
	checkCount(o, params, len(TrainingParameters(o, f.Affine)))
	n := len(convolutions(o))
	t := trainingNodes{
		narrow:  func(v *Node) *Node { return like(v, x) },
		wide:    func(v *Node) *Node { return like(v, params[0]) },
		weights: params[:n], norms: make([]norm, n),
	}
	for i := range t.norms {
		t.norms[i].synchronised = f.Synchronised
	}
	if f.Affine {
		for i := range t.norms {
			t.norms[i].scale, t.norms[i].offset = params[n+2*i], params[n+2*i+1]
		}
	}
	return t
}

// restore fills in what the forward saved.
func (t *trainingNodes) restore(o space.Op, saved []*Node) {
	n := len(t.norms)
	t.pre = saved[:n]
	packed, at := saved[n], 0
	part := func(width int) *Node {
		at += width
		return Slice(packed, AxisRange(), AxisRange(at-width, at))
	}
	for i, width := range NormWidths(o) {
		t.norms[i].mean, t.norms[i].variance = part(width), part(width)
	}
}

// normed is the output of batch norm i.
func (t *trainingNodes) normed(i int) *Node {
	return t.norms[i].apply(t.norms[i].normalize(t.wide(t.pre[i])))
}

// output is that of an operation before its last activation, from what was saved: [rows, channels].
func (t *trainingNodes) output(o space.Op, x *Node) *Node {
	if o.Kind != space.Basic {
		return t.normed(len(t.norms) - 1)
	}
	if o.Shortcut() {
		return Add(t.normed(1), t.wide(rows(x)))
	}
	return Add(t.normed(1), t.normed(2))
}

// Forward builds o's training form: x [batch, r, r, in] to y [batch, r', r', out] (the classifier: [batch, out]). Saved
// is what [Backward] and [Output] need besides x: each convolution's output before batch norm, [rows, channels], and
// last the batch's statistics, see [Statistics].
func Forward(o space.Op, f Form, x *Node, params []*Node) (y *Node, saved []*Node) {
	switch o.Kind {
	case space.Skip:
		return Identity(x), nil
	case space.Classifier:
		checkCount(o, params, 2)
		pooled := ReduceMean(like(x, params[0]), 1, 2)
		return Add(product(pooled, params[0]), params[1]), []*Node{pooled}
	}
	t := f.nodes(o, x, params)
	n, w := x.Shape().Dimensions[0], windowOf(o)
	convolve := func(i int, pre *Node) *Node {
		t.pre = append(t.pre, pre)
		pre = t.wide(pre)
		t.norms[i] = t.norms[i].statistics(pre)
		return t.norms[i].apply(t.norms[i].normalize(pre))
	}
	switch o.Kind {
	case space.Stem:
		y = fromRows(activationOf(o).apply(convolve(0, rows(full(f.Lowering, x, t.weights[0], w)))), n, w.out)
	case space.Final:
		y = fromRows(activationOf(o).apply(convolve(0, product(rows(x), t.weights[0]))), n, o.Resolution)
	case space.MBConv:
		h, i := x, 0
		if o.Expansion > 1 {
			h = fromRows(t.narrow(relu6.apply(convolve(0, product(rows(x), t.weights[0])))), n, o.Resolution)
			i = 1
		}
		// The barrier keeps the compiler from computing the taps again in every consumer.
		spread := OptimizationBarrier(rows(depthwise(f.Lowering, h, t.weights[i], w)))
		h2 := t.narrow(relu6.apply(convolve(i, spread)))
		y = fromRows(convolve(i+1, product(h2, t.weights[i+1])), n, w.out)
		if o.Shortcut() {
			y = Add(y, t.wide(x))
		}
	case space.Basic:
		ws := basicWindows(o)
		h := fromRows(t.narrow(relu.apply(convolve(0, rows(full(f.Lowering, x, t.weights[0], ws[0]))))), n, w.out)
		z, beside := convolve(1, rows(full(f.Lowering, h, t.weights[1], ws[1]))), rows(t.wide(x))
		if !o.Shortcut() {
			beside = convolve(2, rows(full(Taps, x, pointwise(t.weights[2]), ws[2])))
		}
		y = fromRows(relu.apply(Add(z, beside)), n, w.out)
	default:
		panic(fmt.Errorf("op %s has no training form", o.Key()))
	}
	var packed []*Node
	for _, b := range t.norms {
		packed = append(packed, b.mean, b.variance)
	}
	return t.narrow(y), append(t.pre, Concatenate(packed, 1))
}

// SavedDims returns the dimensions of what [Forward] saves for a batch, in its order.
func SavedDims(o space.Op, batch int) [][]int {
	if o.Kind == space.Classifier {
		return [][]int{{batch, o.In}}
	}
	var dims [][]int
	for i, c := range convolutions(o) {
		r := o.OutResolution()
		if o.Expansion > 1 && i == 0 {
			r = o.Resolution // the expansion's, before the stride
		}
		dims = append(dims, []int{batch * r * r, c.out})
	}
	if dims == nil {
		return nil
	}
	return append(dims, []int{1, StatisticsSize(o)})
}

// Statistics returns the packed batch statistics that [Forward] saved, [1, 2·Σ channels]: for each batch norm its means,
// then its biased variances. It is nil for operations without batch norm.
func Statistics(o space.Op, saved []*Node) *Node {
	if n := len(convolutions(o)); n > 0 {
		return saved[n]
	}
	return nil
}

// Output builds the output of [Forward] again from what it saved, at the cost of a few elementwise operations.
func Output(o space.Op, f Form, x *Node, params, saved []*Node) *Node {
	switch o.Kind {
	case space.Skip:
		return x
	case space.Classifier:
		return Add(product(saved[0], params[0]), params[1])
	}
	t := f.nodes(o, x, params)
	t.restore(o, saved)
	y := t.output(o, x)
	switch o.Kind {
	case space.Basic:
		y = relu.apply(y)
	case space.MBConv:
		if o.Shortcut() {
			y = Add(y, t.wide(rows(x)))
		}
	default:
		y = activationOf(o).apply(y)
	}
	return t.narrow(fromRows(y, x.Shape().Dimensions[0], o.OutResolution()))
}

// Backward returns the gradient of x and those of the parameters, in their order, from dy, the gradient of [Forward]'s
// output. A stem's input gradient is nil: nothing learns from it.
func Backward(o space.Op, f Form, x, dy *Node, params, saved []*Node) (dx *Node, grads []*Node) {
	if o.Kind == space.Classifier {
		pooled := saved[0]
		d := x.Shape().Dimensions
		spread := MulScalar(productTB(dy, params[0]), 1/float64(d[1]*d[2]))
		return BroadcastToShape(Reshape(like(spread, x), d[0], 1, 1, d[3]), x.Shape()), []*Node{productTA(pooled, dy), columnSum(dy)}
	}
	dx, before, affine := InputGradient(o, f, x, dy, params, saved)
	return dx, append(WeightGradients(o, f, x, params, saved, before), affine...)
}

// InputGradient is the first part of [Backward], which what comes before waits for: it returns the gradient of x, those of each
// convolution's output before batch norm, [rows, channels], from which [WeightGradients] goes on, and those of batch norm's scales and
// offsets, where they are there.
func InputGradient(o space.Op, f Form, x, dy *Node, params, saved []*Node) (dx *Node, before, affine []*Node) {
	if o.Kind == space.Skip {
		return Identity(dy), nil, nil
	}
	t := f.nodes(o, x, params)
	t.restore(o, saved)
	dy = t.wide(dy)
	n, w := x.Shape().Dimensions[0], windowOf(o)
	count := len(t.norms)
	before = make([]*Node, count)
	if f.Affine {
		affine = make([]*Node, 2*count)
	}
	// through passes a gradient back through batch norm i, and first through the activation behind it.
	through := func(i int, d *Node, behind activation) *Node {
		d = t.wide(d)
		normal := t.norms[i].normalize(t.wide(t.pre[i]))
		d = behind.backward(d, t.norms[i].apply(normal))
		du, dscale, doffset := t.norms[i].backward(d, normal)
		if f.Affine {
			affine[2*i], affine[2*i+1] = dscale, doffset
		}
		before[i] = t.narrow(du)
		return before[i]
	}
	switch o.Kind {
	case space.Stem:
		through(0, rows(dy), activationOf(o))
		return nil, before, affine
	case space.Final:
		return fromRows(productTB(through(0, rows(dy), activationOf(o)), t.weights[0]), n, o.Resolution), before, affine
	case space.Basic:
		ws := basicWindows(o)
		d := relu.backward(rows(dy), t.output(o, x))
		dh := fullInputGradient(f.Lowering, fromRows(through(1, d, linear), n, w.out), t.weights[1], ws[1])
		dx = fullInputGradient(f.Lowering, fromRows(through(0, rows(dh), relu), n, w.out), t.weights[0], ws[0])
		beside := fromRows(d, n, w.out)
		if !o.Shortcut() {
			beside = fullInputGradient(Taps, fromRows(through(2, d, linear), n, w.out), pointwise(t.weights[2]), ws[2])
		}
		return t.narrow(Add(t.wide(dx), t.wide(beside))), before, affine
	case space.MBConv:
	default:
		panic(fmt.Errorf("op %s has no training form", o.Key()))
	}
	spread := count - 2 // the depthwise convolution
	du3 := through(spread+1, rows(dy), linear)
	du2 := fromRows(through(spread, productTB(du3, t.weights[spread+1]), relu6), n, w.out)
	dh := OptimizationBarrier(rows(depthwiseInputGradient(f.Lowering, du2, t.weights[spread], w)))
	if o.Expansion > 1 {
		dh = productTB(through(0, dh, relu6), t.weights[0])
	}
	dx = fromRows(dh, n, o.Resolution)
	if o.Shortcut() {
		dx = t.narrow(Add(t.wide(dx), dy))
	}
	return dx, before, affine
}

// WeightGradients is the second part of [Backward]: it returns the gradients of the convolutions' weights from what
// [InputGradient] returned.
func WeightGradients(o space.Op, f Form, x *Node, params, saved, before []*Node) (grads []*Node) {
	if o.Kind == space.Skip {
		return nil
	}
	t := f.nodes(o, x, params)
	t.restore(o, saved)
	n, w := x.Shape().Dimensions[0], windowOf(o)
	count := len(t.norms)
	grads = make([]*Node, count)
	activated := func(i int, a activation) *Node { return t.narrow(a.apply(t.normed(i))) }
	switch o.Kind {
	case space.Stem:
		grads[0] = weightGradient(columns(x, w), before[0], params[0])
	case space.Final:
		grads[0] = weightGradient(rows(x), before[0], params[0])
	case space.Basic:
		ws := basicWindows(o)
		grads[0] = weightGradient(columns(x, ws[0]), before[0], params[0])
		grads[1] = weightGradient(columns(fromRows(activated(0, relu), n, w.out), ws[1]), before[1], params[1])
		if !o.Shortcut() {
			grads[2] = weightGradient(columns(x, ws[2]), before[2], params[2])
		}
	case space.MBConv:
		spread := count - 2
		h := x
		if o.Expansion > 1 {
			grads[0] = weightGradient(rows(x), before[0], params[0])
			h = fromRows(activated(0, relu6), n, o.Resolution)
		}
		grads[spread] = depthwiseKernelGradient(f.Lowering, h, fromRows(before[spread], n, w.out), params[spread], w)
		grads[spread+1] = weightGradient(activated(spread, relu6), before[spread+1], params[spread+1])
	}
	return grads
}
