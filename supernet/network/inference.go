// Package network builds a whole architecture as one graph: the inference form that is measured and evaluated, and the
// training form with its backward and update. Both chain the operations of package op, whose definitions the super network
// shares.
package network

import (
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/device"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Lowering chooses how an operation is written; a nil Lowering means taps everywhere.
type Lowering func(space.Op) op.Lowering

func (l Lowering) of(o space.Op) op.Lowering {
	if l == nil {
		return op.Taps
	}
	return l(o)
}

// Inference builds a from x [batch, resolution, resolution, channels] to logits [batch, classes], batch norm folded. Params
// holds for each layer its [op.InferenceParameters]. It panics where the parameters do not fit, as graph functions do.
func Inference(a *space.Architecture, l Lowering, x *Node, params [][]*Node) *Node {
	ops := a.Ops()
	if len(params) != len(ops) {
		panic(fmt.Errorf("parameters for %d layers, the architecture has %d", len(params), len(ops)))
	}
	for i, o := range ops {
		x = op.Inference(o, l.of(o), x, params[i])
	}
	return x
}

// group splits a flat list of nodes by the sizes of the groups.
func group[T any](flat []T, sizes []int) [][]T {
	var out [][]T
	for _, n := range sizes {
		out = append(out, flat[:n:n])
		flat = flat[n:]
	}
	return out
}

// Evaluator runs a trained architecture on batches of a fixed size. It is compiled at the first.
type Evaluator struct {
	backend compute.Backend
	ops     []space.Op
	batch   int
	params  []*tensors.Tensor
	exec    *Exec
}

// NewEvaluator makes one of a at the given batch with folded parameters, for each layer the flat values of its
// [op.InferenceParameters].
func NewEvaluator(b compute.Backend, a *space.Architecture, l Lowering, batch int, folded [][][]float32) (*Evaluator, error) {
	e := &Evaluator{backend: b, ops: a.Ops(), batch: batch}
	if len(folded) != len(e.ops) {
		return nil, fmt.Errorf("parameters for %d layers, the architecture has %d", len(folded), len(e.ops))
	}
	var sizes []int
	for i, o := range e.ops {
		ps := op.InferenceParameters(o)
		sizes = append(sizes, len(ps))
		fits := len(folded[i]) == len(ps)
		for k, p := range ps {
			if fits = fits && len(folded[i][k]) == p.Size(); !fits {
				break
			}
			t, err := device.Upload(b, folded[i][k], p.Dims...)
			if err != nil {
				e.Finalize()
				return nil, err
			}
			e.params = append(e.params, t)
		}
		if !fits {
			e.Finalize()
			return nil, fmt.Errorf("layer %d (%s): parameters do not fit", i, o.Key())
		}
	}
	var err error
	e.exec, err = NewExec(b, func(in []*Node) *Node { return Inference(a, l, in[0], group(in[1:], sizes)) })
	if err != nil {
		e.Finalize()
		return nil, err
	}
	return e, nil
}

// Logits returns what the network computes of a batch of images, [batch, resolution, resolution, channels] flat: [batch, classes].
func (e *Evaluator) Logits(images []float32) ([]float32, error) {
	stem := e.ops[0]
	if want := e.batch * stem.Resolution * stem.Resolution * stem.In; len(images) != want {
		return nil, fmt.Errorf("a batch of %d values, want %d", len(images), want)
	}
	x, err := device.Upload(e.backend, images, e.batch, stem.Resolution, stem.Resolution, stem.In)
	if err != nil {
		return nil, err
	}
	defer device.Free(x)
	out, err := e.exec.Call(device.Arguments([]*tensors.Tensor{x}, e.params)...)
	if err != nil {
		return nil, fmt.Errorf("evaluating: %w", err)
	}
	defer device.Free(out...)
	return tensors.CopyFlatData[float32](out[0])
}

// Finalize frees all device memory.
func (e *Evaluator) Finalize() {
	device.Free(e.params...)
	if e.exec != nil {
		e.exec.Finalize()
	}
}
