package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/allocator"
	"densenas/internal/backends"
	"densenas/internal/exit"
	"densenas/internal/onnxruntime"
	"densenas/lut"
	"densenas/profiler/onnxrunner"
)

// onnxRuntime is the name of ONNX Runtime as a backend, and in tables.
const onnxRuntime = "onnxruntime"

// onnxOptions are settings of ONNX Runtime.
type onnxOptions struct {
	provider     string
	optimization string
	arena        bool
}

// onnxFlags are theirs, which other backends refuse.
var onnxFlags = []string{"provider", "optimization", "arena"}

func (o *onnxOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.provider, "provider", onnxruntime.CPU, "what executes operators in ONNX Runtime: "+strings.Join(onnxruntime.Providers(), ", "))
	f.StringVar(&o.optimization, "optimization", onnxruntime.All, "of graphs, by ONNX Runtime: "+strings.Join(onnxruntime.Optimizations(), ", "))
	f.BoolVar(&o.arena, "arena", true, "let ONNX Runtime keep memory from call to call")
}

func (o *onnxOptions) settings(threads int) onnxruntime.Settings {
	return onnxruntime.Settings{Provider: o.provider, Optimization: o.optimization, NoArena: !o.arena, Threads: threads}
}

// libraryOf is the library in a specification, onnxruntime or onnxruntime:LIBRARY; ok says whether it is one.
func libraryOf(spec string) (library string, ok bool) {
	kind, library, _ := strings.Cut(spec, ":")
	return library, kind == onnxRuntime
}

// checkONNXRuntime says, without loading it, whether ONNX Runtime is there and takes these options.
func (o *backendOptions) checkONNXRuntime(library string) error {
	if strings.HasSuffix(o.backend, ":") {
		return exit.BadInput("--backend %s names no library: give onnxruntime:LIBRARY, or onnxruntime alone to look for it", o.backend)
	}
	// The backend that is always there asks of threads and processors what this one does.
	if err := backends.Check(backends.Go, o.options()); err != nil {
		return err
	}
	if err := o.onnx.settings(o.threads).Check(); err != nil {
		return err
	}
	_, err := onnxruntime.Find(library)
	return err
}

// openONNXRuntime loads the library. The goroutine that calls it is the one to measure, and to finalize it.
func (o *backendOptions) openONNXRuntime(library string, stderr io.Writer) (opened, error) {
	device, threads := devices.Host(), o.usedThreads() // before the number of processors is limited
	build, err := onnxruntime.Identify(library)
	if err != nil {
		return opened{}, err
	}
	r, err := onnxruntime.Open(build.Path)
	if err != nil {
		return opened{}, err
	}
	settings := o.onnx.settings(threads)
	if err := r.CheckSettings(settings); err != nil {
		return opened{}, err
	}
	caller, err := backends.BindCaller(o.options())
	if err != nil {
		return opened{}, fmt.Errorf("bind the threads of ONNX Runtime: %w", err)
	}
	settings.Processors = caller.Others
	fmt.Fprintf(stderr, "backend: onnxruntime %s from %s, as asked for\n", r.Version, r.Path)
	version := r.Version
	if allocator.Kept() {
		version += ", memory kept"
	}
	return opened{
		device:  device,
		runtime: lut.Runtime{Name: onnxRuntime, Version: version, Plugin: build.String(), Provider: settings.Provider, Optimization: settings.Optimization, NoArena: settings.NoArena},
		threads: threads, processors: o.processors, layout: "nchw",
		runner: func(ro runnerOptions) (runner, error) {
			if ro.dtype != lut.F32 {
				return nil, exit.BadInput("ONNX Runtime is measured in %s only, not in %s: what `search export` writes has these numbers", lut.F32, ro.dtype)
			}
			return onnxrunner.New(r, onnxrunner.Options{Batch: ro.batch, Seed: ro.seed, Caches: ro.caches, Settings: settings})
		},
		finalize: caller.Release,
	}, nil
}

// onnxReport says which library --backend onnxruntime would load.
func onnxReport() runtimeReport {
	r := runtimeReport{Backend: onnxRuntime}
	build, err := onnxruntime.Identify("")
	if err != nil {
		r.Missing = err.Error()
		return r
	}
	r.Build = &backends.Build{Name: onnxRuntime, Version: "interface of 1.24", Plugin: build.Path, Digest: build.Digest}
	return r
}
