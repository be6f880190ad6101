package op

import (
	"fmt"
	"math/rand/v2"
	"testing"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// images are maps [image][row][column][channel].
type images [][][][]float64

func newImages(n, side, channels int) images {
	x := make(images, n)
	for i := range x {
		x[i] = make([][][]float64, side)
		for row := range x[i] {
			x[i][row] = make([][]float64, side)
			for column := range x[i][row] {
				x[i][row][column] = make([]float64, channels)
			}
		}
	}
	return x
}

// each calls f for every position.
func (x images) each(f func(i, row, column int)) {
	for i := range x {
		for row := range x[i] {
			for column := range x[i][row] {
				f(i, row, column)
			}
		}
	}
}

// convolved is x's convolution by its definition, with half the kernel of zeros around it; weight is [k, k, in, out], flat.
func convolved(x images, weight, bias []float64, kernel, stride, out int) images {
	side, in := len(x[0]), len(x[0][0][0])
	y := newImages(len(x), (side+stride-1)/stride, out)
	y.each(func(i, row, column int) {
		for o := range out {
			sum := bias[o]
			for a := range kernel {
				for b := range kernel {
					r, c := row*stride+a-kernel/2, column*stride+b-kernel/2
					if r < 0 || c < 0 || r >= side || c >= side {
						continue
					}
					for k := range in {
						sum += x[i][r][c][k] * weight[((a*kernel+b)*in+k)*out+o]
					}
				}
			}
			y[i][row][column][o] = sum
		}
	})
	return y
}

// A basic block is ReLU(convolution(ReLU(convolution(x))) + x), where x is projected if width or resolution change: written out from
// that, position by position.
func TestBasicBlockIsWhatItsDefinitionSays(t *testing.T) {
	backend := backendstest.Go(t)
	for _, o := range cases() {
		if o.Kind != space.Basic {
			continue
		}
		r := rand.New(rand.NewPCG(8, 9))
		const n = 2
		in := []*tensors.Tensor{random(r, 1, 0, n, o.Resolution, o.Resolution, o.In)}
		var params [][]float64
		for _, p := range InferenceParameters(o) {
			in = append(in, random(r, 0.5, 0.1, p.Dims...))
			params = append(params, flat(in[len(in)-1]))
		}
		x := newImages(n, o.Resolution, o.In)
		values := flat(in[0])
		x.each(func(i, row, column int) {
			values = values[copy(x[i][row][column], values):]
		})
		h := convolved(x, params[0], params[1], 3, o.Stride, o.Out)
		h.each(func(i, row, column int) {
			for k, v := range h[i][row][column] {
				h[i][row][column][k] = max(v, 0)
			}
		})
		y, beside := convolved(h, params[2], params[3], 3, 1, o.Out), x
		if o.Stride > 1 || o.In != o.Out {
			beside = convolved(x, params[4], params[5], 1, o.Stride, o.Out)
		}
		var want []float64
		y.each(func(i, row, column int) {
			for k, v := range y[i][row][column] {
				want = append(want, max(v+beside[i][row][column][k], 0))
			}
		})
		for _, l := range Lowerings() {
			got := run(t, backend.Backend, func(in []*Node) []*Node { return []*Node{Inference(o, l, in[0], in[1:])} }, in...)[0]
			if wanted := tensors.FromFlatDataAndDimensions(want, n, o.OutResolution(), o.OutResolution(), o.Out); !got.InDelta(wanted, 1e-9) {
				t.Errorf("%s, %s: %s", o.Key(), l, fmt.Sprint(flat(got)))
			}
		}
	}
}
