package op

import (
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/space"
)

// SGD builds a step of SGD with momentum and coupled L2 weight decay: v' = momentum·v + (gradient + decay·w),
// w' = w − rate·v'.
func SGD(w, v, gradient, rate *Node, momentum, decay float64) (updated, velocity *Node) {
	if decay != 0 {
		gradient = Add(gradient, MulScalar(w, decay))
	}
	velocity = Add(MulScalar(v, momentum), gradient)
	return Sub(w, Mul(rate, velocity)), velocity
}

// ClipGradient scales a gradient down to where its norm is the given share of that of its weights w, if it is more: what Brock et al. (2021) do for
// each unit, here for a whole tensor. The norm of weights counts as no less than a thousandth. Vectors, which are offsets and
// biases, stay as they are.
func ClipGradient(gradient, w *Node, share float64) *Node {
	if w.Rank() < 2 {
		return gradient
	}
	norm := func(x *Node) *Node { return Sqrt(ReduceAllSum(Square(x))) }
	allowed := MulScalar(MaxScalar(norm(w), 1e-3), share)
	return Mul(gradient, Div(allowed, Max(norm(gradient), allowed)))
}

// UpdateStatistics moves running statistics towards those of a batch of samples images by momentum, as batch norm does in
// training: packed as [Statistics] describes, the variance made unbiased for the number of rows of each batch norm.
func UpdateStatistics(o space.Op, running, batch *Node, samples int, momentum float64) *Node {
	var unbiased []float64
	for i, width := range NormWidths(o) {
		resolution := o.OutResolution()
		if o.Expansion > 1 && i == 0 {
			resolution = o.Resolution // the expansion's, before the stride
		}
		correction := 1.0
		if n := float64(samples * resolution * resolution); n > 1 {
			correction = n / (n - 1)
		}
		for range width {
			unbiased = append(unbiased, 1)
		}
		for range width {
			unbiased = append(unbiased, correction)
		}
	}
	scale := ConstAsDType(batch.Graph(), batch.DType(), [][]float64{unbiased})
	return Add(MulScalar(running, 1-momentum), MulScalar(Mul(batch, scale), momentum))
}

// InitialStatistics are running statistics before any batch: means 0, variances 1.
func InitialStatistics(o space.Op) []float32 {
	var v []float32
	for _, width := range NormWidths(o) {
		v = append(v, make([]float32, width)...)
		for range width {
			v = append(v, 1)
		}
	}
	return v
}
