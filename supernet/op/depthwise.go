package op

import (
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/space"
)

// window is the geometry of a convolution over square maps: kernel and stride, input and output resolution.
type window struct {
	kernel, stride, in, out int
}

// windowOf is that of an operation's spatial convolution, the first where there are two.
func windowOf(o space.Op) window {
	kernel := o.Kernel
	if o.Kind == space.Basic {
		kernel = space.BasicKernel
	}
	return window{kernel, o.Stride, o.Resolution, o.OutResolution()}
}

func (w window) pad() int { return w.kernel / 2 }

// useful reports whether kernel position i meets any real input along an axis. On maps smaller than the kernel the outer
// positions only ever meet padding; leaving them out saves their work (a 7×7 kernel on a 2×2 map needs 9 of 49 taps).
func (w window) useful(i int) bool {
	for o := range w.out {
		if q := o*w.stride + i - w.pad(); q >= 0 && q < w.in {
			return true
		}
	}
	return false
}

// margin is the padding that the useful taps need.
func (w window) margin() int {
	if w.stride == 1 && w.in-1 < w.pad() {
		return w.in - 1
	}
	return w.pad()
}

// taps calls f for every useful kernel position (i, j).
func (w window) taps(f func(i, j int)) {
	for i := range w.kernel {
		if !w.useful(i) {
			continue
		}
		for j := range w.kernel {
			if w.useful(j) {
				f(i, j)
			}
		}
	}
}

// pairs counts pairs of an input and an output position.
func (w window) pairs() int { return w.in * w.in * w.out * w.out }

// dense reports whether a map is so small that pairing every input with every output position is less work than the taps.
func (w window) dense() bool {
	taps := 0
	w.taps(func(i, j int) { taps++ })
	return w.pairs() <= densePairs && w.in*w.in < taps
}

// padSpace pads both spatial axes of x [n, h, w, c] by margin zeros on each side.
func padSpace(x *Node, margin int) *Node {
	if margin == 0 {
		return x
	}
	side := PadAxis{Start: margin, End: margin}
	return Pad(x, ScalarZero(x.Graph(), x.DType()), PadAxis{}, side, side, PadAxis{})
}

// patch returns the n×n map that starts at (row, column) of x [batch, h, w, c] and takes every stride-th position.
func patch(x *Node, row, column, n, stride int) *Node {
	axis := func(start int) SliceAxisSpec { return AxisRange(start, start+(n-1)*stride+1).Stride(stride) }
	return Slice(x, AxisRange(), axis(row), axis(column), AxisRange())
}

// tap returns row (i, j) of a depthwise kernel [k, k, c] as [1, 1, 1, c].
func tap(kernel *Node, i, j int) *Node {
	c := kernel.Shape().Dimensions[2]
	return Reshape(Slice(kernel, AxisRange(i, i+1), AxisRange(j, j+1), AxisRange()), 1, 1, 1, c)
}

// sum adds to acc, which may be nil.
func sum(acc, x *Node) *Node {
	if acc == nil {
		return x
	}
	return Add(acc, x)
}

// depthwise convolves x [n, in, in, c] with kernel [k, k, c] channel by channel: [n, out, out, c], in x's type. Taps multiply and
// add in the kernel's.
func depthwise(l Lowering, x, kernel *Node, w window) *Node {
	if l == Taps {
		return like(depthwiseTaps(like(x, kernel), kernel, w), x)
	}
	c := x.Shape().Dimensions[3]
	p := w.pad()
	return Convolve(x, Reshape(like(kernel, x), w.kernel, w.kernel, 1, c)).ChannelGroupCount(c).
		Strides(w.stride).PaddingPerDim([][2]int{{p, p}, {p, p}}).Done()
}

func depthwiseTaps(x, kernel *Node, w window) *Node {
	if w.dense() {
		return depthwiseDense(x, kernel, w)
	}
	m := w.margin()
	padded := padSpace(x, m)
	var y *Node
	w.taps(func(i, j int) {
		y = sum(y, Mul(patch(padded, i-w.pad()+m, j-w.pad()+m, w.out, w.stride), tap(kernel, i, j)))
	})
	return y
}

// depthwiseInputGradient returns the gradient of depthwise's input, [n, in, in, c], from that of its output, dy [n, out,
// out, c]: the same taps over the (stride-dilated) output gradient, the kernel reversed. Types are as in [depthwise].
func depthwiseInputGradient(l Lowering, dy, kernel *Node, w window) *Node {
	if l == Taps {
		return like(depthwiseInputGradientTaps(like(dy, kernel), kernel, w), dy)
	}
	c := dy.Shape().Dimensions[3]
	lo := w.kernel - 1 - w.pad()
	hi := w.in - ((w.out-1)*w.stride + 1) + w.kernel - 1 - lo
	return Convolve(dy, Reshape(Reverse(like(kernel, dy), 0, 1), w.kernel, w.kernel, 1, c)).ChannelGroupCount(c).
		InputDilationPerAxis(w.stride, w.stride).PaddingPerDim([][2]int{{lo, hi}, {lo, hi}}).Done()
}

func depthwiseInputGradientTaps(dy, kernel *Node, w window) *Node {
	if w.dense() {
		return depthwiseInputGradientDense(dy, kernel, w)
	}
	if w.stride == 1 {
		m := w.margin()
		padded := padSpace(dy, m)
		var dx *Node
		w.taps(func(i, j int) {
			dx = sum(dx, Mul(patch(padded, m-(i-w.pad()), m-(j-w.pad()), w.in, 1), tap(kernel, i, j)))
		})
		return dx
	}
	return depthwiseInputGradientPhases(dy, kernel, w)
}

// depthwiseInputGradientPhases is the input gradient for strides over one: a sum of taps for each phase.
func depthwiseInputGradientPhases(dy, kernel *Node, w window) *Node {
	margin := w.phaseMargin()
	padded := padSpace(dy, margin)
	return w.interleave(dy.Shape().Dimensions[0], func(row, column int) *Node {
		var dx *Node
		w.phase(row, column, func(i, j, down, right int) {
			dx = sum(dx, Mul(patch(padded, margin+down, margin+right, w.out, 1), tap(kernel, i, j)))
		})
		return dx
	})
}

const (
	// densePairs is the largest number of pairs of an input and an output position for which the kernel gradient is one
	// product with a selector: a map of 4×4 without a stride.
	densePairs = 256
	// addedSamples bounds how many groups of samples the kernel gradient adds up elementwise: the compiler unrolls a loop over so
	// many.
	addedSamples = 32
)

// depthwiseKernelGradient returns the gradient of depthwise's kernel, [k, k, c], from its input x [n, in, in, c] and the
// gradient of its output dy [n, out, out, c]; in the kernel's type.
func depthwiseKernelGradient(l Lowering, x, dy, kernel *Node, w window) *Node {
	x, dy = like(x, kernel), like(dy, kernel)
	g := x.Graph()
	n, c := x.Shape().Dimensions[0], x.Shape().Dimensions[3]
	if l == Taps && w.pairs() <= densePairs {
		return depthwiseKernelGradientDense(x, dy, w)
	}
	m := w.margin()
	padded := padSpace(x, m)
	groups := 1
	if l == Taps {
		groups = groupsOf(n)
	}
	size := n / groups
	positions := size * w.out * w.out
	zero := Zeros(g, shapes.Make(x.DType(), 1, positions, c))
	products := make([]*Node, 0, w.kernel*w.kernel)
	for i := range w.kernel {
		for j := range w.kernel {
			if !w.useful(i) || !w.useful(j) {
				products = append(products, zero)
				continue
			}
			// Groups of samples are multiplied elementwise and added; all taps are reduced together at the end. A
			// reduction per tap costs several times as much.
			each := Mul(patch(padded, i-w.pad()+m, j-w.pad()+m, w.out, w.stride), dy)
			products = append(products, ReduceAndKeep(Reshape(each, groups, positions, c), ReduceSum, 0))
		}
	}
	return Reshape(ReduceSum(Concatenate(products, 0), 1), w.kernel, w.kernel, c)
}

// groupsOf is the largest number of equal groups, at most addedSamples, that n samples make.
func groupsOf(n int) int {
	groups := min(n, addedSamples)
	for n%groups != 0 {
		groups--
	}
	return groups
}

// depthwiseKernelGradientDense serves maps of a few positions, where slices would be mostly padding: outer products over
// pairs of positions, summed over the batch, and one product with a 0/1 selector that adds each pair to its tap.
func depthwiseKernelGradientDense(x, dy *Node, w window) *Node {
	n, c := x.Shape().Dimensions[0], x.Shape().Dimensions[3]
	from, to := w.in*w.in, w.out*w.out
	pairs := Mul(BroadcastToDims(Reshape(x, n, from, 1, c), n, from, to, c), BroadcastToDims(Reshape(dy, n, 1, to, c), n, from, to, c))
	for n > 1 {
		groups := groupsOf(n)
		if groups == 1 {
			groups = n
		}
		n /= groups
		pairs = ReduceSum(Reshape(pairs, groups, n*from*to, c), 0)
	}
	return Reshape(product(selector(x.Graph(), x.DType(), w), Reshape(pairs, from*to, c)), w.kernel, w.kernel, c)
}

// expanded returns the kernel for every pair of an input and an output position, [in·in, out·out, c]; zero where the kernel does
// not lead from one to the other.
func expanded(kernel *Node, w window) *Node {
	c := kernel.Shape().Dimensions[2]
	flat := productTA(selector(kernel.Graph(), kernel.DType(), w), Reshape(kernel, w.kernel*w.kernel, c))
	return Reshape(flat, w.in*w.in, w.out*w.out, c)
}

// depthwiseDense is depthwise for maps of a few positions: every input position, times its row of the expanded kernel, adds to
// all output positions.
func depthwiseDense(x, kernel *Node, w window) *Node {
	n, c := x.Shape().Dimensions[0], x.Shape().Dimensions[3]
	from := w.in * w.in
	flat, all := Reshape(x, n, from, c), expanded(kernel, w)
	var y *Node
	for p := range from {
		y = sum(y, Mul(Slice(flat, AxisRange(), AxisRange(p, p+1)), Slice(all, AxisRange(p, p+1))))
	}
	return Reshape(y, n, w.out, w.out, c)
}

// depthwiseInputGradientDense does the same with input and output exchanged.
func depthwiseInputGradientDense(dy, kernel *Node, w window) *Node {
	n, c := dy.Shape().Dimensions[0], dy.Shape().Dimensions[3]
	from, to := w.in*w.in, w.out*w.out
	flat, all := Reshape(dy, n, to, c), expanded(kernel, w)
	var dx *Node
	for p := range to {
		row := Reshape(Slice(all, AxisRange(), AxisRange(p, p+1)), 1, from, c)
		dx = sum(dx, Mul(Slice(flat, AxisRange(), AxisRange(p, p+1)), row))
	}
	return Reshape(dx, n, w.in, w.in, c)
}

// selector returns [k·k, pairs of an input and an output position]: one where kernel position (row) leads from the output to
// the input position.
func selector(g *Graph, dtype dtypes.DType, w window) *Node {
	from, to := w.in*w.in, w.out*w.out
	m := make([][]float32, w.kernel*w.kernel)
	for t := range m {
		m[t] = make([]float32, from*to)
	}
	for in := range from {
		for out := range to {
			i := in/w.in - out/w.out*w.stride + w.pad()
			j := in%w.in - out%w.out*w.stride + w.pad()
			if i >= 0 && i < w.kernel && j >= 0 && j < w.kernel {
				m[i*w.kernel+j][in*to+out] = 1
			}
		}
	}
	return ConstAsDType(g, dtype, m)
}

// Spatial builds just what lowerings write differently: the depthwise convolution of an MBConv, the convolution of a stem, the
// first convolution of a basic block. X is its input [batch, r, r, channels], kernel its weight. It is what a choice between
// lowerings measures.
func Spatial(o space.Op, l Lowering, x, kernel *Node) *Node {
	if o.Kind == space.MBConv {
		return depthwise(l, x, kernel, windowOf(o))
	}
	return full(l, x, kernel, windowOf(o))
}

// SpatialBackward builds the gradients of [Spatial]'s input (nil for a stem, whose nothing needs) and kernel, from dy, that of its
// output.
func SpatialBackward(o space.Op, l Lowering, x, dy, kernel *Node) (dx, dkernel *Node) {
	w := windowOf(o)
	if o.Kind == space.MBConv {
		return depthwiseInputGradient(l, dy, kernel, w), depthwiseKernelGradient(l, x, dy, kernel, w)
	}
	if o.Kind != space.Stem {
		dx = fullInputGradient(l, dy, kernel, w)
	}
	return dx, weightGradient(columns(x, w), rows(dy), kernel)
}

// SpatialShapes returns the dimensions of [Spatial]'s input and kernel.
func SpatialShapes(o space.Op, batch int) (x, kernel []int) {
	c, k := o.In, windowOf(o).kernel
	if o.Kind == space.MBConv {
		c *= o.Expansion
		return []int{batch, o.Resolution, o.Resolution, c}, []int{k, k, c}
	}
	return []int{batch, o.Resolution, o.Resolution, c}, []int{k, k, c, o.Out}
}
