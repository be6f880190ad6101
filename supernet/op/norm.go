package op

import (
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/space"
)

// like converts x to the type of numbers that y has, if it has another.
func like(x, y *Node) *Node { return ConvertDType(x, y.DType()) }

// product is the matrix product a·b, in a's type.
func product(a, b *Node) *Node { return Dot(a, like(b, a)).Product() }

// productTA is aᵀ·b.
func productTA(a, b *Node) *Node { return Dot(a, b).General([]int{0}, nil, []int{0}, nil) }

// productTB is a·bᵀ, in a's type.
func productTB(a, b *Node) *Node { return Dot(a, like(b, a)).General([]int{1}, nil, []int{1}, nil) }

// weightGradient is aᵀ·b, the gradient of a weight in its type, from activations and a gradient in theirs.
func weightGradient(a, b, weight *Node) *Node {
	dot := Dot(a, b)
	if weight.DType() != a.DType() {
		dot = dot.WithOutputDType(weight.DType())
	}
	return Reshape(dot.General([]int{0}, nil, []int{0}, nil), weight.Shape().Dimensions...)
}

// columnSum sums [rows, c] over its rows: [1, c].
func columnSum(x *Node) *Node { return ReduceAndKeep(x, ReduceSum, 0) }

// norm is one batch norm over rows: its batch statistics, and its affine parameters or nil, each [1, c].
type norm struct {
	mean, variance, scale, offset *Node
	synchronised                  bool // over the rows of all devices
}

// means averages each of xs [rows, c] over its rows: [1, c].
func (b norm) means(xs ...*Node) []*Node {
	rows := xs[0].Shape().Dimensions[0]
	out := make([]*Node, len(xs))
	for i, x := range xs {
		out[i] = columnSum(x)
	}
	if b.synchronised {
		rows *= xs[0].Graph().NumDevices()
		out = Total(out...)
	}
	for i, sum := range out {
		out[i] = MulScalar(sum, 1/float64(rows))
	}
	return out
}

// statistics measures mean and (biased) variance of u [rows, c].
func (b norm) statistics(u *Node) norm {
	b.mean = b.means(u)[0]
	b.variance = b.means(Square(Sub(u, b.mean)))[0]
	return b
}

func (b norm) inverseDeviation() *Node { return Inverse(Sqrt(AddScalar(b.variance, Epsilon))) }

// normalize returns u with mean zero and variance one.
func (b norm) normalize(u *Node) *Node { return Mul(Sub(u, b.mean), b.inverseDeviation()) }

// apply returns the batch norm's output for the normalized x.
func (b norm) apply(x *Node) *Node {
	if b.scale == nil {
		return x
	}
	return Add(Mul(x, b.scale), b.offset)
}

// backward returns the gradient of u from that of the output, with x the normalized u; and those of scale and offset (nil
// where there are none).
func (b norm) backward(dz, x *Node) (du, dscale, doffset *Node) {
	if b.scale != nil {
		dscale, doffset = columnSum(Mul(dz, x)), columnSum(dz)
		dz = Mul(dz, b.scale)
	}
	means := b.means(dz, Mul(dz, x))
	centred := Sub(dz, Add(means[0], Mul(x, means[1])))
	return Mul(b.inverseDeviation(), centred), dscale, doffset
}

// activation is what follows a batch norm.
type activation uint8

const (
	linear activation = iota
	relu              // clips to 0 and above
	relu6             // clips to [0, 6]
)

// activationOf is that of a stem or a final convolution.
func activationOf(o space.Op) activation {
	if o.Activation == space.ReLU {
		return relu
	}
	return relu6
}

func (a activation) apply(x *Node) *Node {
	switch a {
	case relu:
		return Max(x, ScalarZero(x.Graph(), x.DType()))
	case relu6:
		return ClipScalar(x, 0, 6)
	}
	return x
}

// backward passes dy where z, apply's input, is strictly between the limits.
func (a activation) backward(dy, z *Node) *Node {
	if a == linear {
		return dy
	}
	inside := GreaterThan(z, ScalarZero(z.Graph(), z.DType()))
	if a == relu6 {
		inside = LogicalAnd(inside, LessThan(z, Scalar(z.Graph(), z.DType(), 6)))
	}
	return Where(inside, dy, ZerosLike(dy))
}
