//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64))

package backends

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
	"k8s.io/klog/v2"

	"densenas/internal/backends/plugin"
	"densenas/internal/exit"
)

// trainingFlags keep one temporary of a large graph alive instead of all of them, and the code of an executable in one piece: by
// itself XLA makes some twenty, each mapped three times, and 65,530 mappings, all that Linux gives a process, end at about a
// thousand executables. In one piece they also compile in two thirds of the time. They are of the CPU: a plugin that does not know a
// flag ends the process.
const trainingFlags = "--xla_cpu_enable_concurrency_optimized_scheduler=false --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"

// xlaMissing says why this program has no XLA; empty where it has.
func xlaMissing() string { return "" }

// quiet keeps go-xla's and the plugin's remarks off standard error: errors come back as errors.
var quiet = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) })

func openXLA(path string, options Options, why string) (Backend, error) {
	quiet()
	xla.EnableAutoInstall(false)
	if options.Training && !onCUDA(path) && os.Getenv("XLA_FLAGS") == "" {
		if err := os.Setenv("XLA_FLAGS", trainingFlags); err != nil {
			return Backend{}, fmt.Errorf("open backend xla: %w", err)
		}
	}
	var opened []compute.Backend
	var failed error // of the plugin
	start := func(threads int) {
		opened, failed = openClients(path, min(options.Clients, threads), threads, options.Devices)
	}
	compilers, spread, err := compilingThreads(options)
	if err != nil {
		return Backend{}, fmt.Errorf("find the processors for xla: %w", err)
	}
	var sleep func()
	if options.Threads > 0 || len(options.Processors) > 0 {
		sleep, err = bindPool(options, start)
	} else {
		start(runtime.GOMAXPROCS(0))
	}
	if err != nil {
		return Backend{}, fmt.Errorf("bind the threads of xla: %w", err)
	}
	if failed != nil {
		if sleep != nil {
			sleep()
		}
		return Backend{}, exit.BadInput("XLA cannot use the plugin %s: %s; get one that it can use by `make xla`, or use the backend go", path, exit.OneLine(failed.Error()))
	}
	joined, there := 1, opened[0].NumDevices()
	if options.Devices > 0 || onCUDA(path) {
		joined = cmp.Or(options.Devices, there)
	}
	if joined > there {
		Backend{Backend: opened[0], More: opened[1:], sleep: sleep}.Finalize()
		return Backend{}, exit.BadInput("%d devices asked for, but %s has %d; give at most so many", joined, filepath.Base(path), there)
	}
	description := filepath.Base(path)
	if loaded, err := pjrt.GetPlugin(path); err == nil {
		major, minor := loaded.Version()
		description += fmt.Sprintf(", PJRT %d.%d", major, minor)
	}
	if info, err := os.Stat(path); err == nil {
		description += fmt.Sprintf(", %d bytes", info.Size())
	}
	version := xlaVersion()
	if sleep != nil {
		version += ", awake"
	}
	return Backend{
		Backend:    opened[0],
		More:       opened[1:],
		Name:       XLA,
		Version:    version,
		Plugin:     description,
		PluginPath: path,
		Why:        why,
		Devices:    joined,
		sleep:      sleep,
		compilers:  compilers,
		spread:     spread,
	}, nil
}

// threadsVariable is read by the CPU plugin when it makes a client, and sizes the client's pools.
const threadsVariable = "PJRT_NPROC"

// openClients opens n clients, one at least, that share threads which compute; only one where that is not possible, or where it has
// several devices.
func openClients(path string, n, threads, devices int) ([]compute.Backend, error) {
	n = max(1, n)
	if onCUDA(path) || devices > 1 || os.Getenv(threadsVariable) != "" {
		n = 1
	}
	if n > 1 {
		if err := os.Setenv(threadsVariable, strconv.Itoa(threads/n)); err != nil {
			return nil, err
		}
		defer os.Unsetenv(threadsVariable)
	}
	var opened []compute.Backend
	for range n {
		b, err := xla.NewWithOptions(path, clientOptions(path, devices))
		if err != nil {
			for _, o := range opened {
				o.Finalize()
			}
			return nil, err
		}
		opened = append(opened, b)
	}
	return opened, nil
}

func onCUDA(path string) bool { return strings.Contains(filepath.Base(path), string(plugin.CUDA)) }

// clientOptions keeps XLA's pools as small as the processors that this process may use. By itself the CPU plugin pretends to have
// several devices, and makes a thread for each. Threads that wait for work spin, and where there are more of them than processors they
// take the time of the one that works: on one processor, calls took 1.7 times as long, and varied by 20 % instead of 4 %.
func clientOptions(path string, devices int) pjrt.NamedValuesMap {
	if onCUDA(path) {
		return nil
	}
	return pjrt.NamedValuesMap{"cpu_device_count": int64(max(1, devices))}
}
