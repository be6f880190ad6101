// Package onnxrunner makes the executables that the profiler times, in ONNX Runtime: of single operations, of whole networks, and
// of the empty call. Each is a graph that package export writes, as it does for deployment, with random weights and batch norm
// folded, for a batch of fixed size. Inputs and outputs are tensors of the host that are kept from call to call, so that a call
// allocates nothing here.
//
// A graph of one operation is not what that operation is in a network: ONNX Runtime computes convolutions in a layout of its own,
// and brings the input into it and the output out of it at the edges of every graph. So the entries of a table have two such
// conversions each, a network two in all.
package onnxrunner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"densenas/internal/onnx"
	"densenas/internal/onnxruntime"
	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/export"
	"densenas/supernet/space"
)

// Runner implements [profiler.Runner]. Use it from one goroutine.
type Runner struct {
	runtime *onnxruntime.Runtime
	options Options
	evictor *profiler.Evictor // before each call; nil: caches are left as they are
}

// Options of a runner.
type Options struct {
	Batch    int    // images per call
	Seed     uint64 // of inputs and weights
	Caches   string // lut.Warm (also where empty) or lut.Cold
	Settings onnxruntime.Settings
}

// New makes a runner. Settings that are not known are bad input.
func New(r *onnxruntime.Runtime, o Options) (*Runner, error) {
	if err := o.Settings.Check(); err != nil {
		return nil, err
	}
	runner := &Runner{runtime: r, options: o}
	if o.Caches == lut.Cold {
		runner.evictor = profiler.NewEvictor()
	}
	return runner, nil
}

// Ops prepares the inference forms of operations. There is one way to write each.
func (r *Runner) Ops(ctx context.Context, ops []space.Op) ([]profiler.Compiled, error) {
	compiled := make([]profiler.Compiled, 0, len(ops))
	for _, o := range ops {
		c, err := r.chain(ctx, []space.Op{o})
		if err != nil {
			for _, before := range compiled {
				before.Call.Close()
			}
			return nil, fmt.Errorf("%s: %w", o.Key(), err)
		}
		compiled = append(compiled, profiler.Compiled{Call: c})
	}
	return compiled, nil
}

// Network prepares the inference form of a whole architecture.
func (r *Runner) Network(ctx context.Context, a *space.Architecture) (profiler.Call, error) {
	return r.chain(ctx, a.Ops())
}

// Model prepares a network that was exported: the content of its file, of an architecture whose images it takes. One that does not
// take them is an error.
func (r *Runner) Model(data []byte, a *space.Architecture) (profiler.Call, error) {
	in := []int{r.options.Batch, a.Channels, a.Resolution, a.Resolution}
	c, err := r.bind(data, onnx.Value{Name: export.Input, Dims: onnx.Fixed(in...)}, onnx.Value{Name: export.Logits, Dims: onnx.Fixed(r.options.Batch, a.Classes)})
	if err != nil {
		return nil, err
	}
	if _, err := c.Run(); err != nil { // names are looked at when it is loaded, sizes when it is called
		c.Close()
		return nil, err
	}
	return c, nil
}

// Empty prepares the product of 32 numbers and a matrix: a graph of one operator.
func (r *Runner) Empty() (profiler.Call, error) {
	const n = 32
	return r.build(&onnx.Model{Producer: "densenas", Opset: export.Opset, Graph: onnx.Graph{
		Name:    "empty",
		Inputs:  []onnx.Value{{Name: export.Input, Dims: onnx.Fixed(1, n)}},
		Outputs: []onnx.Value{{Name: export.Output, Dims: onnx.Fixed(1, n)}},
		Weights: []onnx.Tensor{{Name: "weight", Dims: []int{n, n}, Data: make([]float32, n*n)}},
		Nodes:   []onnx.Node{{Name: "product", Operator: "MatMul", Inputs: []string{export.Input, "weight"}, Outputs: []string{export.Output}}},
	}})
}

// chain prepares operations that follow each other as one graph.
func (r *Runner) chain(ctx context.Context, ops []space.Op) (profiler.Call, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	model, err := export.Model(export.Random(ops, r.options.Seed), export.Options{Batch: r.options.Batch})
	if err != nil {
		return nil, err
	}
	return r.build(model)
}

// build writes and loads a model of one input and one output.
func (r *Runner) build(model *onnx.Model) (profiler.Call, error) {
	data, err := model.Encode()
	if err != nil {
		return nil, err
	}
	return r.bind(data, model.Graph.Inputs[0], model.Graph.Outputs[0])
}

// bind loads a model, with random numbers in the input.
func (r *Runner) bind(data []byte, input, output onnx.Value) (profiler.Call, error) {
	in, out := tensor(input), tensor(output)
	random := rand.New(rand.NewPCG(r.options.Seed, 2))
	for i := range in.Data {
		in.Data[i] = float32(random.NormFloat64())
	}
	bound, err := r.runtime.Bind(data, onnxruntime.Options{
		Inputs: []string{input.Name}, Outputs: []string{output.Name}, Settings: r.options.Settings,
	}, []onnxruntime.Tensor{in}, []onnxruntime.Tensor{out})
	if err != nil {
		return nil, err
	}
	return &call{bound, r.evictor}, nil
}

// tensor has the shape of an input or output, all of whose dimensions are fixed.
func tensor(v onnx.Value) onnxruntime.Tensor {
	t, n := onnxruntime.Tensor{}, 1
	for _, d := range v.Dims {
		t.Dims = append(t.Dims, d.Size)
		n *= d.Size
	}
	t.Data = make([]float32, n)
	return t
}

// call implements [profiler.Call].
type call struct {
	bound   *onnxruntime.Bound
	evictor *profiler.Evictor
}

// Run implements [profiler.Call].
func (c *call) Run() (time.Duration, error) {
	c.evictor.Pass()
	start := time.Now()
	err := c.bound.Run()
	return time.Since(start), err
}

// Close implements [profiler.Call].
func (c *call) Close() { c.bound.Close() }
