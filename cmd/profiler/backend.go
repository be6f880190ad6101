package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/backends"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/gomlxrunner"
	"densenas/supernet/space"
)

// backendOptions say with what, and how, is measured.
type backendOptions struct {
	backend string
	threads int
	batch   int
	device  string
	onnx    onnxOptions

	processors []int // that threads are bound to, as the device's description lists them, ascending; nil: not bound

	flags *pflag.FlagSet
}

func (o *backendOptions) AddFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.backend, "backend", "auto", backendUsage)
	f.IntVar(&o.threads, "threads", 0, "threads that execute operations (default: as many as there are processors)")
	f.IntVar(&o.batch, "batch", 1, "images per call")
	o.onnx.AddFlags(f)
	f.StringVar(&o.device, "device", "", "take --backend, --threads and --batch, where not given, and the processors to use from the description of the device `NAME`: see profiler device")
}

func (o *backendOptions) Validate() error {
	if o.device != "" {
		d, err := devices.Load(o.device)
		if err != nil {
			return err
		}
		o.processors = slices.Sorted(slices.Values(d.Processors)) // nil where there are none
		for flag, set := range map[string]func(){
			"backend": func() { o.backend = d.Backend },
			"threads": func() { o.threads = d.Threads },
			"batch":   func() { o.batch = d.Batch },
		} {
			if !o.flags.Changed(flag) {
				set()
			}
		}
	}
	if o.batch < 1 || o.batch > lut.MaxBatch {
		return exit.BadInput("--batch is %d, allowed is 1 to %d", o.batch, lut.MaxBatch)
	}
	if library, ok := libraryOf(o.backend); ok {
		return o.checkONNXRuntime(library)
	}
	for _, flag := range onnxFlags {
		if o.flags != nil && o.flags.Changed(flag) {
			return exit.BadInput("--%s is of ONNX Runtime, not of the backend %s; leave it out, or give --backend onnxruntime", flag, o.backend)
		}
	}
	return backends.Check(o.backend, o.options())
}

// backendUsage is the help text of --backend.
const backendUsage = backends.Usage + ", or onnxruntime[:LIBRARY]"

func (o *backendOptions) options() backends.Options {
	return backends.Options{Threads: o.threads, Processors: o.processors, Awake: true}
}

// usedThreads are those that execute operations. Ask before the runtime is opened, which may limit the processors.
func (o *backendOptions) usedThreads() int {
	switch {
	case o.threads > 0:
		return o.threads
	case len(o.processors) > 0:
		return len(o.processors)
	}
	return runtime.NumCPU()
}

// opened is an open runtime with what a table says about it.
type opened struct {
	device  lut.Device
	runtime lut.Runtime
	threads int
	layout  string // of data

	processors []int // that threads are bound to, ascending; nil: not bound

	runner   func(runnerOptions) (runner, error)
	finalize func()
}

// runner makes the executables of operations and of whole networks.
type runner interface {
	profiler.Runner
	// Network compiles a whole architecture.
	Network(ctx context.Context, a *space.Architecture) (profiler.Call, error)
}

// runnerOptions say what executables are like.
type runnerOptions struct {
	batch  int        // images per call
	seed   uint64     // of inputs and weights
	dtype  string     // of numbers
	caches string     // what the processor's hold when an operation is called
	plan   []space.Op // all operations that will be asked for, where they are known
	table  *lut.Table // whose entries say how a network's operations are written; nil: the runner chooses
}

// open opens the runtime and says on stderr which. The same goroutine has to measure, and to finalize it.
func (o *backendOptions) open(stderr io.Writer) (opened, error) {
	if library, ok := libraryOf(o.backend); ok {
		return o.openONNXRuntime(library, stderr)
	}
	device, threads := devices.Host(), o.usedThreads() // before the number of processors is limited
	b, err := backends.OpenWith(o.backend, o.options())
	if err != nil {
		return opened{}, err
	}
	fmt.Fprintf(stderr, "backend: %s\n", b.Why)
	result := opened{
		device: device, runtime: lut.Runtime{Name: b.Name, Version: b.Version, Plugin: b.Plugin}, threads: threads, processors: o.processors, layout: "nhwc",
		runner: func(ro runnerOptions) (runner, error) {
			r, err := gomlxrunner.New(b.Backend, gomlxrunner.Options{Batch: ro.batch, Seed: ro.seed, DType: ro.dtype, Caches: ro.caches, Plan: ro.plan, Parallel: b.Parallel})
			if err != nil {
				return nil, err
			}
			return newLowerings(r, ro.table), nil
		},
		finalize: b.Finalize,
	}
	if b.OnGPU() {
		result.threads, result.processors = 0, nil
		result.device.Model = b.DeviceDescription(0)
	}
	digest, err := b.PluginDigest()
	if err != nil {
		b.Finalize()
		return opened{}, err
	}
	if digest != "" {
		result.runtime.Plugin += ", sha256 " + digest[:16]
	}
	return result, nil
}
