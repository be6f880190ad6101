// Package gomlxrunner makes the executables that the profiler times, on a GoMLX backend: of single operations, of whole
// networks, and of the empty call. Weights and inputs are random and lie on the device; batch norm is folded. What an
// executable returns is freed after each call, outside of the measured time. For cold caches, memory is read and written
// before each call, outside of it too.
//
// A skip is an executable that returns its input, which both backends copy: that is its raw time.
package gomlxrunner

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/device"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/network"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Runner implements [profiler.Runner] on the first device of a backend. Use it from one goroutine.
type Runner struct {
	backend compute.Backend
	options Options
	random  *rand.Rand
	chosen  map[convolution]op.Lowering
	evictor *profiler.Evictor // before each call; nil: caches are left as they are
}

// Options of a runner.
type Options struct {
	Batch  int    // images per call
	Seed   uint64 // of inputs and weights
	DType  string // of inputs, weights and all that is computed: f32 (also where empty), bf16 or f16
	Caches string // lut.Warm (also where empty) or lut.Cold
	// Plan are the operations that will be compiled, as far as they are known: how those that differ in their channels alone are
	// written best is found out together, by timing a few of them.
	Plan []space.Op
	// Parallel calls task with 0 to n-1, as many at once as it likes, and returns when all have returned: tasks compile. nil: one
	// after the other.
	Parallel func(n int, task func(i int))
}

// New makes a runner. A type of numbers that is not known is bad input.
func New(b compute.Backend, o Options) (*Runner, error) {
	o.DType = cmp.Or(o.DType, lut.F32)
	if err := CheckDType(o.DType); err != nil {
		return nil, err
	}
	if o.Parallel == nil {
		o.Parallel = func(n int, task func(i int)) {
			for i := range n {
				task(i)
			}
		}
	}
	r := &Runner{backend: b, options: o, random: rand.New(rand.NewPCG(o.Seed, 1)), chosen: map[convolution]op.Lowering{}}
	if o.Caches == lut.Cold {
		r.evictor = profiler.NewEvictor()
	}
	return r, nil
}

// CheckDType refuses a type of numbers that is not known, as bad input.
func CheckDType(name string) error {
	if name != lut.F32 && name != lut.BF16 && name != lut.F16 {
		return exit.BadInput("dtype %q is not known, only %s, %s and %s", name, lut.F32, lut.BF16, lut.F16)
	}
	return nil
}

// Ops compiles the inference forms of operations. Where one can be written in several ways, that is the one of [Runner.Choose],
// and named.
func (r *Runner) Ops(ctx context.Context, ops []space.Op) ([]profiler.Compiled, error) {
	if err := r.choose(ctx, ops); err != nil {
		return nil, err
	}
	jobs := make([]job, len(ops))
	for i, o := range ops {
		lowering := r.chosen[convolutionOf(o, r.options.Batch)]
		jobs[i] = job{name: o.Key(), build: func(in []*graph.Node) *graph.Node { return op.Inference(o, lowering, in[0], in[1:]) }}
		in := r.inputs()
		jobs[i].inputs = in
		err := in.add(1, r.options.Batch, o.Resolution, o.Resolution, o.In)
		if err == nil {
			err = in.addWeights(o)
		}
		if err != nil {
			free(jobs)
			return nil, fmt.Errorf("%s: %w", o.Key(), err)
		}
	}
	if err := r.compileAll(ctx, jobs); err != nil {
		free(jobs)
		return nil, err
	}
	compiled := make([]profiler.Compiled, len(ops))
	for i, o := range ops {
		compiled[i].Call = jobs[i].call
		if op.HasChoice(o) {
			compiled[i].Lowering = r.chosen[convolutionOf(o, r.options.Batch)].String()
		}
	}
	return compiled, nil
}

// inputs starts a list of inputs.
func (r *Runner) inputs() *inputs {
	return &inputs{backend: r.backend, random: r.random, dtype: r.options.DType}
}

// Empty compiles the product of 32 numbers and a matrix, a thousand multiply-adds. Less would not do: XLA on the CPU runs an
// executable of fewer than about a thousand operations at once, and hands any other to a thread, which takes six times as long
// as the rest of the call. Every operation but a skip is handed over.
func (r *Runner) Empty() (profiler.Call, error) {
	const n = 32
	inputs := r.inputs()
	for _, dims := range [][]int{{1, n}, {n, n}} {
		if err := inputs.add(1, dims...); err != nil {
			inputs.free()
			return nil, err
		}
	}
	return r.compileOne(job{"an empty call", inputs, func(in []*graph.Node) *graph.Node { return graph.Dot(in[0], in[1]).Product() }, nil})
}

// Network compiles the inference form of a whole architecture as one graph, written as lowering says; nil means taps
// everywhere.
func (r *Runner) Network(a *space.Architecture, lowering network.Lowering) (profiler.Call, error) {
	inputs := r.inputs()
	if err := inputs.add(1, r.options.Batch, a.Resolution, a.Resolution, a.Channels); err != nil {
		return nil, err
	}
	var sizes []int
	for _, o := range a.Ops() {
		if err := inputs.addWeights(o); err != nil {
			inputs.free()
			return nil, err
		}
		sizes = append(sizes, len(op.InferenceParameters(o)))
	}
	return r.compileOne(job{"a network", inputs, func(in []*graph.Node) *graph.Node {
		params, rest := make([][]*graph.Node, len(sizes)), in[1:]
		for i, n := range sizes {
			params[i], rest = rest[:n:n], rest[n:]
		}
		return network.Inference(a, lowering, in[0], params)
	}, nil})
}

// job is a graph to compile over inputs, which may be those of several jobs.
type job struct {
	name   string // for errors
	inputs *inputs
	build  func(in []*graph.Node) *graph.Node
	call   *call
}

// free frees what was made of jobs, and their inputs.
func free(jobs []job) {
	for i := range jobs {
		jobs[i].call.free()
		if jobs[i].inputs != nil {
			jobs[i].inputs.free()
		}
	}
}

// compileAll compiles jobs, several at once. An error is that of the first job that failed.
func (r *Runner) compileAll(ctx context.Context, jobs []job) error {
	errs := make([]error, len(jobs))
	r.options.Parallel(len(jobs), func(i int) {
		if errs[i] = ctx.Err(); errs[i] != nil {
			return
		}
		if jobs[i].call, errs[i] = r.compile(jobs[i].inputs, jobs[i].build); errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", jobs[i].name, errs[i])
		}
	})
	return cmp.Or(errs...)
}

// compileOne compiles one job, and frees its inputs where that fails.
func (r *Runner) compileOne(j job) (profiler.Call, error) {
	jobs := []job{j}
	if err := r.compileAll(context.Background(), jobs); err != nil {
		free(jobs)
		return nil, err
	}
	return jobs[0].call, nil
}

// compile compiles a graph over the inputs, which the call then owns.
func (r *Runner) compile(in *inputs, build func(in []*graph.Node) *graph.Node) (*call, error) {
	exec, err := graph.NewExec(r.backend, build)
	if err != nil {
		return nil, err
	}
	c := &call{exec: exec, inputs: in, args: device.Arguments(in.tensors), evictor: r.evictor}
	if err := exec.PreCompile(c.args...); err != nil {
		exec.Finalize()
		return nil, err
	}
	return c, nil
}

// inputs are random values on the device.
type inputs struct {
	backend compute.Backend
	random  *rand.Rand
	dtype   string
	tensors []*tensors.Tensor
}

// add draws a tensor from a normal distribution around 0.
func (in *inputs) add(deviation float64, dims ...int) error {
	values := make([]float32, device.Size(dims))
	for i := range values {
		values[i] = float32(deviation * in.random.NormFloat64())
	}
	t, err := in.upload(values, dims)
	if err != nil {
		return err
	}
	in.tensors = append(in.tensors, t)
	return nil
}

// upload copies values to the device, in the type that is computed with.
func (in *inputs) upload(values []float32, dims []int) (*tensors.Tensor, error) {
	switch in.dtype {
	case lut.BF16:
		return device.Upload(in.backend, convert(values, bfloat16.FromFloat32), dims...)
	case lut.F16:
		return device.Upload(in.backend, convert(values, float16.FromFloat32), dims...)
	}
	return device.Upload(in.backend, values, dims...)
}

func convert[T any](values []float32, to func(float32) T) []T {
	converted := make([]T, len(values))
	for i, v := range values {
		converted[i] = to(v)
	}
	return converted
}

func (in *inputs) addWeights(o space.Op) error {
	for _, w := range op.InferenceParameters(o) {
		if err := in.add(w.Deviation, w.Dims...); err != nil {
			return err
		}
	}
	return nil
}

func (in *inputs) free() { device.Free(in.tensors...) }

// call implements [profiler.Call].
type call struct {
	exec    *graph.Exec
	inputs  *inputs
	args    []any
	evictor *profiler.Evictor
}

// Run implements [profiler.Call].
func (c *call) Run() (time.Duration, error) {
	c.evictor.Pass()
	start := time.Now()
	out, err := c.exec.Call(c.args...)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	device.Free(out...)
	return took, nil
}

// try is the shortest of a few calls after a first one: enough to tell ways of writing an operation apart, which differ by
// much or do not matter.
func (c *call) try(ctx context.Context) (time.Duration, error) {
	const calls, limit = 10, 100 * time.Millisecond
	if _, err := c.Run(); err != nil {
		return 0, err
	}
	var shortest, spent time.Duration
	for i := 0; i < calls && spent < limit; i++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		took, err := c.Run()
		if err != nil {
			return 0, err
		}
		if spent += took; i == 0 || took < shortest {
			shortest = took
		}
	}
	return shortest, nil
}

// Close implements [profiler.Call].
func (c *call) Close() {
	c.free()
	c.inputs.free()
}

// free frees the executable alone; nil has none.
func (c *call) free() {
	if c != nil {
		c.exec.Finalize()
	}
}
