package op

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/space"
)

// Inference builds o in its inference form: x [batch, resolution, resolution, in] to [batch, out resolution, out
// resolution, out], and for the classifier, which averages over positions first, to logits [batch, out]. The parameters
// are those of [InferenceParameters].
func Inference(o space.Op, l Lowering, x *Node, params []*Node) *Node {
	checkCount(o, params, len(InferenceParameters(o)))
	n := x.Shape().Dimensions[0]
	switch o.Kind {
	case space.Skip:
		return Identity(x)
	case space.Stem:
		w := windowOf(o)
		return activationOf(o).apply(Add(full(l, x, params[0], w), Reshape(params[1], 1, 1, 1, o.Out)))
	case space.Final:
		return fromRows(relu6.apply(Add(product(rows(x), params[0]), params[1])), n, o.Resolution)
	case space.Classifier:
		return Add(product(ReduceMean(x, 1, 2), params[0]), params[1])
	case space.MBConv:
		h, rest := x, params
		if o.Expansion > 1 {
			h = fromRows(relu6.apply(Add(product(rows(x), params[0]), params[1])), n, o.Resolution)
			rest = params[2:]
		}
		h = depthwise(l, h, rest[0], windowOf(o))
		h = relu6.apply(Add(h, Reshape(rest[1], 1, 1, 1, o.In*o.Expansion)))
		y := fromRows(Add(product(rows(h), rest[2]), rest[3]), n, o.OutResolution())
		if o.Shortcut() {
			y = Add(y, x)
		}
		return y
	case space.Basic:
		ws := basicWindows(o)
		bias := func(i int) *Node { return Reshape(params[i], 1, 1, 1, o.Out) }
		h := relu.apply(Add(full(l, x, params[0], ws[0]), bias(1)))
		h = Add(full(l, h, params[2], ws[1]), bias(3))
		if !o.Shortcut() {
			x = Add(full(Taps, x, pointwise(params[4]), ws[2]), bias(5))
		}
		return relu.apply(Add(h, x))
	}
	panic(fmt.Errorf("op %s has no inference form", o.Key()))
}

// rows flattens [n, h, w, c] to [n·h·w, c].
func rows(x *Node) *Node {
	d := x.Shape().Dimensions
	return Reshape(x, d[0]*d[1]*d[2], d[3])
}

// fromRows undoes rows for n square maps.
func fromRows(x *Node, n, resolution int) *Node {
	return Reshape(x, n, resolution, resolution, x.Shape().Dimensions[1])
}

func checkCount(o space.Op, params []*Node, want int) {
	if len(params) != want {
		panic(fmt.Errorf("op %s takes %d parameters, not %d", o.Key(), want, len(params)))
	}
}
