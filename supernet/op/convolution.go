package op

import (
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/space"
)

// basicWindows are the geometries of a basic block's convolutions, in their order: the 3×3 with the stride, the 3×3 behind it and
// the 1×1 beside them, which it has where it changes width or resolution.
func basicWindows(o space.Op) []window {
	first := windowOf(o)
	return []window{first, {first.kernel, 1, first.out, first.out}, {1, o.Stride, first.in, first.out}}
}

// full convolves x [n, in, in, channels] with kernel [k, k, channels, out]: [n, out, out, channels out], in x's type.
func full(l Lowering, x, kernel *Node, w window) *Node {
	if l == Grouped {
		p := w.pad()
		return Convolve(x, like(kernel, x)).Strides(w.stride).PaddingPerDim([][2]int{{p, p}, {p, p}}).Done()
	}
	d := kernel.Shape().Dimensions
	return fromRows(product(columns(x, w), Reshape(kernel, d[0]*d[1]*d[2], d[3])), x.Shape().Dimensions[0], w.out)
}

// columns gathers the inputs of every output position as rows: [n·out·out, k·k·channels].
func columns(x *Node, w window) *Node {
	padded := padSpace(x, w.pad())
	var columns []*Node
	for i := range w.kernel {
		for j := range w.kernel {
			columns = append(columns, patch(padded, i, j, w.out, w.stride))
		}
	}
	return rows(Concatenate(columns, 3))
}

// fullInputGradient returns the gradient of full's input, [n, in, in, channels], from that of its output, dy, in dy's type.
func fullInputGradient(l Lowering, dy, kernel *Node, w window) *Node {
	if l == Grouped {
		turned := Reverse(TransposeAllDims(like(kernel, dy), 0, 1, 3, 2), 0, 1)
		lo := w.kernel - 1 - w.pad()
		hi := w.in - ((w.out-1)*w.stride + 1) + w.kernel - 1 - lo
		return Convolve(dy, turned).InputDilationPerAxis(w.stride, w.stride).PaddingPerDim([][2]int{{lo, hi}, {lo, hi}}).Done()
	}
	n := dy.Shape().Dimensions[0]
	margin := w.phaseMargin()
	padded := padSpace(dy, margin)
	return w.interleave(n, func(row, column int) *Node {
		// One product over all kernel positions that lead to the phase.
		var outputs, kernels []*Node
		w.phase(row, column, func(i, j, down, right int) {
			outputs = append(outputs, patch(padded, margin+down, margin+right, w.out, 1))
			at := Slice(kernel, AxisRange(i, i+1), AxisRange(j, j+1))
			kernels = append(kernels, Transpose(Reshape(at, at.Shape().Dimensions[2:]...), 0, 1))
		})
		if outputs == nil {
			return nil
		}
		return fromRows(product(rows(Concatenate(outputs, 3)), Concatenate(kernels, 0)), n, w.out)
	})
}

// phaseMargin is the padding of an output's gradient within which all shifts of phase stay.
func (w window) phaseMargin() int { return (w.pad()+w.stride-1)/w.stride + 1 }

// phase calls f for the kernel positions (i, j) that lead to input positions whose remainders by the stride are row and column, with
// by how many positions the output gradients that they lead from are shifted against these.
func (w window) phase(row, column int, f func(i, j, down, right int)) {
	w.taps(func(i, j int) {
		if down, right := row+w.pad()-i, column+w.pad()-j; down%w.stride == 0 && right%w.stride == 0 {
			f(i, j, down/w.stride, right/w.stride)
		}
	})
}

// interleave makes an input's gradient of its phases: part returns that of the input positions with the same remainders by the
// stride, [n, out, out, channels], or nil where no kernel position leads to any. It avoids working on a dilated map, most of it zeros.
func (w window) interleave(n int, part func(row, column int) *Node) *Node {
	s := w.stride
	first := part(0, 0)
	if s == 1 {
		return first
	}
	c := first.Shape().Dimensions[3]
	var all []*Node
	for row := range s {
		var columns []*Node
		for column := range s {
			phase := first
			if row > 0 || column > 0 {
				if phase = part(row, column); phase == nil {
					phase = ZerosLike(first)
				}
			}
			columns = append(columns, Reshape(phase, n, w.out, 1, w.out, 1, c))
		}
		all = append(all, Concatenate(columns, 4))
	}
	whole := Reshape(Concatenate(all, 2), n, w.out*s, w.out*s, c)
	return Slice(whole, AxisRange(), AxisRange(0, w.in), AxisRange(0, w.in), AxisRange())
}

// pointwise is a [channels, out] weight as a kernel of one position.
func pointwise(weight *Node) *Node {
	d := weight.Shape().Dimensions
	return Reshape(weight, 1, 1, d[0], d[1])
}
