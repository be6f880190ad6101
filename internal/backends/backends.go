package backends

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/gobackend"

	"densenas/internal/backends/plugin"
	"densenas/internal/exit"
)

// Usage is the help text of a --backend flag.
const Usage = "runtime: auto, go, xla, xla:PATH (a PJRT plugin file) or xla:cuda"

// Names of the runtimes, as tables and run folders record them.
const (
	Go  = "go"
	XLA = "xla"
)

// Backend is an open runtime. Close it by Finalize.
type Backend struct {
	compute.Backend

	// Name is [Go] or [XLA].
	Name string
	// Version names the modules behind the runtime, such as "gomlx v0.28.0, go-xla v0.3.0".
	Version string
	// Plugin describes the PJRT plugin: file name, PJRT version and size. Empty for go.
	Plugin string
	// PluginPath is the plugin's file. Empty for go.
	PluginPath string
	// Why says in one line what was opened and, for auto, the reason.
	Why string
	// Devices is how many devices of the runtime are to compute together, see [Options.Devices]; 1 for go.
	Devices int
	// More are further clients of the runtime, see [Options.Clients]; nil for go.
	More []compute.Backend

	sleep     func() // lets the processors sleep that are kept awake; nil where none is
	compilers int    // that may work at once; at most 1: no more
	spread    func() // lets the thread at hand use all processors that the process may use
}

// Finalize closes all clients.
func (b Backend) Finalize() {
	for _, more := range b.More {
		more.Finalize()
	}
	b.Backend.Finalize()
	if b.sleep != nil {
		b.sleep()
	}
}

// Parallel calls task with 0 to n-1, several at once where the runtime compiles on several processors at once, also on those
// that only execute otherwise, and returns when all have returned. All compiling should go through it, the first executable above
// all: XLA compiles on threads of their own, as many as there are processors for the thread that it compiles for first, and bound
// to these.
func (b Backend) Parallel(n int, task func(i int)) {
	if b.compilers < 2 {
		for i := range n {
			task(i)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, b.compilers) {
		all.Go(func() {
			runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
			b.spread()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				task(i)
			}
		})
	}
	all.Wait()
}

// Options of [OpenWith]. The zero value is the default.
type Options struct {
	// Threads limits the threads that execute operations, at most the number of processors; 0 (the default) sets no
	// limit. The limit holds for the whole process from then on: go lowers GOMAXPROCS; xla, on Linux only, binds every
	// thread of the process to as many processors, and must be the first opened in the process.
	Threads int

	// Processors are the numbers of the processors that every thread of the process is bound to, on Linux only; nil (the
	// default) binds none for them. Where Threads is less than their number, as many of them are taken, of different cores
	// first; where it is 0, all.
	Processors []int

	// Training tunes XLA on the CPU for large graphs with many temporaries, as forward and backward in one executable have,
	// unless XLA_FLAGS is set. It acts on the first xla backend of the process only.
	Training bool

	// Clients is how many clients of XLA are opened, on the CPU only, each with its share of the threads; 0 (the default)
	// is one. A client runs one operation at a time; small ones gain little from several threads, so several clients that
	// run an operation each are faster than one that runs them in turn. Their buffers are their own.
	Clients int

	// Devices is how many devices compute together; 0 (the default) is all GPUs with CUDA, and one elsewhere. More than one on
	// the CPU are virtual, and share its processors: they show what several GPUs would compute, not how fast. There is one
	// client then. Go has one device.
	Devices int

	// Awake makes the times of calls steady where XLA's threads are bound, by Threads or Processors, on Linux, and not all
	// processors compute: all else of the process is bound to one of the others, and neither that one nor those that compute ever
	// sleep. What keeps them awake gives way to every other thread.
	Awake bool
}

// maxDevices is more than a host has.
const maxDevices = 64

// Open opens the runtime that spec names, with the default options.
//
// An unknown or missing runtime is bad input (see [exit.BadInput]), with the way out in its message.
func Open(spec string) (Backend, error) { return OpenWith(spec, Options{}) }

// OpenWith opens the runtime that spec names. Errors are those of [Open].
func OpenWith(spec string, options Options) (Backend, error) {
	if err := Check(spec, options); err != nil {
		return Backend{}, err
	}
	kind, argument, _ := strings.Cut(spec, ":")
	switch kind {
	case Go:
		return openGo(options, "go, as asked for")
	case XLA:
		path, err := resolve(argument)
		if err != nil {
			return Backend{}, err
		}
		return openXLA(path, options, fmt.Sprintf("xla with %s, as asked for", path))
	default:
		if missing := xlaMissing(); missing != "" {
			return openGo(options, "go, because "+missing)
		}
		path, err := plugin.Find(plugin.CPU)
		if err != nil {
			return openGo(options, "go, because "+err.Error())
		}
		backend, err := openXLA(path, options, "xla, because its CPU plugin was found: "+path)
		if err != nil {
			return openGo(options, "go, because "+err.Error())
		}
		return backend, nil
	}
}

// Check says, without opening anything, whether spec and options are well formed and the runtime is there.
func Check(spec string, options Options) error {
	kind, argument, hasArgument := strings.Cut(spec, ":")
	known := kind == "auto" || kind == Go || kind == XLA
	if !known || hasArgument && (kind != XLA || argument == "") {
		return exit.BadInput("unknown backend %q: use auto, go, xla, xla:PATH or xla:cuda", spec)
	}
	if processors := runtime.NumCPU(); options.Threads < 0 || options.Threads > processors {
		return exit.BadInput("%d threads asked for, but this process may use 1 to %d processors; give a number in that range, or 0 for no limit", options.Threads, processors)
	}
	if err := checkProcessors(options); err != nil {
		return err
	}
	if options.Devices < 0 || options.Devices > maxDevices {
		return exit.BadInput("%d devices asked for; give 1 to %d, or 0 for all GPUs", options.Devices, maxDevices)
	}
	if kind == Go && options.Devices > 1 {
		return exit.BadInput("%d devices asked for, but the backend go has one; use xla:cuda, or xla for virtual devices on the CPU", options.Devices)
	}
	if kind != XLA {
		return nil
	}
	if missing := xlaMissing(); missing != "" {
		return exit.BadInput("backend %q is not there: %s; use the backend go, or build with cgo and without the tag noxla", spec, missing)
	}
	_, err := resolve(argument)
	return err
}

// resolve turns what follows "xla:" into the path of a plugin.
func resolve(argument string) (string, error) {
	switch argument {
	case "":
		path, err := plugin.Find(plugin.CPU)
		if err != nil {
			return "", exit.BadInput("backend xla: %w; get it by `make xla`, or name a plugin by xla:PATH", err)
		}
		return path, nil
	case string(plugin.CUDA):
		path, err := plugin.Find(plugin.CUDA)
		if err != nil {
			return "", exit.BadInput("backend xla:cuda: %w; get it by `sh scripts/xla.sh cuda`, or name a plugin by xla:PATH", err)
		}
		return path, nil
	}
	path, err := filepath.Abs(argument)
	if err != nil {
		return "", exit.BadInput("backend xla:%s: %w", argument, err)
	}
	if strings.Contains(path, ",") {
		return "", exit.BadInput("backend xla:%s: the runtime cannot load a plugin whose path contains a comma; move or link it elsewhere", argument)
	}
	if err := plugin.CheckFile(path); err != nil {
		return "", exit.BadInput("backend xla:%s: %w; name a PJRT plugin file, or get one by `make xla`", argument, err)
	}
	return path, nil
}

// openGo opens the pure-Go backend. Its own option for parallelism prints to standard output, where data goes, so
// that the limit is set for the Go runtime instead, which the backend follows.
func openGo(options Options, why string) (Backend, error) {
	if err := Check(Go, options); err != nil {
		return Backend{}, err
	}
	if len(options.Processors) > 0 {
		if err := bindThreads(options); err != nil {
			return Backend{}, fmt.Errorf("bind go to processors %v: %w", options.Processors, err)
		}
	} else if options.Threads > 0 {
		runtime.GOMAXPROCS(options.Threads)
	}
	backend, err := gobackend.New("")
	if err != nil {
		return Backend{}, fmt.Errorf("open backend go: %w", err)
	}
	return Backend{
		Backend: backend,
		Name:    Go,
		Version: goVersion(),
		Devices: 1,
		Why:     why,
	}, nil
}

// versions lists the versions that the named modules have in this program, as "gomlx v0.28.0, compute v0.1.0".
func versions(modules ...string) string {
	found := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			found[module.Path] = module.Version
		}
	}
	var texts []string
	for _, module := range modules {
		version := found[module]
		if version == "" {
			version = "unknown"
		}
		texts = append(texts, module[strings.LastIndexByte(module, '/')+1:]+" "+version)
	}
	return strings.Join(texts, ", ")
}

// OnGPU says whether the backend computes on an NVIDIA GPU instead of the host's processors.
func (b Backend) OnGPU() bool {
	x, ok := b.Backend.(interface{ IsCUDA() bool })
	return ok && x.IsCUDA()
}
