//go:build cgo && !noxla && ((linux && (amd64 || arm64)) || (darwin && arm64) || (windows && amd64))

package backends

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
	"k8s.io/klog/v2"

	"densenas/internal/backends/plugin"
	"densenas/internal/exit"
)

// trainingFlags keeps one temporary of a large graph alive instead of all of them.
const trainingFlags = "--xla_cpu_enable_concurrency_optimized_scheduler=false"

// xlaMissing says why this program has no XLA; empty where it has.
func xlaMissing() string { return "" }

// quiet keeps go-xla's and the plugin's remarks off standard error: errors come back as errors.
var quiet = sync.OnceFunc(func() { klog.SetSlogLogger(slog.New(slog.DiscardHandler)) })

func openXLA(path string, options Options, why string) (Backend, error) {
	quiet()
	xla.EnableAutoInstall(false)
	if options.Training && os.Getenv("XLA_FLAGS") == "" {
		if err := os.Setenv("XLA_FLAGS", trainingFlags); err != nil {
			return Backend{}, fmt.Errorf("open backend xla: %w", err)
		}
	}
	var backend *xla.Backend
	var failed error // of the plugin
	start := func() error {
		backend, failed = xla.NewWithOptions(path, clientOptions(path))
		return nil
	}
	var err error
	if options.Threads > 0 || len(options.Processors) > 0 {
		err = bindPool(options, start)
	} else {
		err = start()
	}
	if err != nil {
		return Backend{}, fmt.Errorf("bind the threads of xla: %w", err)
	}
	if err := failed; err != nil {
		return Backend{}, exit.BadInput("XLA cannot use the plugin %s: %s; get one that it can use by `make xla`, or use the backend go", path, exit.OneLine(err.Error()))
	}
	description := filepath.Base(path)
	if loaded, err := pjrt.GetPlugin(path); err == nil {
		major, minor := loaded.Version()
		description += fmt.Sprintf(", PJRT %d.%d", major, minor)
	}
	if info, err := os.Stat(path); err == nil {
		description += fmt.Sprintf(", %d bytes", info.Size())
	}
	return Backend{
		Backend:    backend,
		Name:       XLA,
		Version:    xlaVersion(),
		Plugin:     description,
		PluginPath: path,
		Why:        why,
	}, nil
}

// clientOptions keeps XLA's pools as small as the processors that this process may use. By itself the CPU plugin pretends to have
// several devices, and makes a thread for each. Threads that wait for work spin, and where there are more of them than processors they
// take the time of the one that works: on one processor, calls took 1.7 times as long, and varied by 20 % instead of 4 %.
func clientOptions(path string) pjrt.NamedValuesMap {
	if strings.Contains(filepath.Base(path), string(plugin.CUDA)) {
		return nil
	}
	return pjrt.NamedValuesMap{"cpu_device_count": int64(1)}
}
