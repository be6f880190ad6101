package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/backends"
	"densenas/internal/exit"
	"densenas/lut"
)

// backendOptions say with what, and how, is measured.
type backendOptions struct {
	backend string
	threads int
	batch   int
	device  string

	processors []int // that threads are bound to, as the device's description lists them, ascending; nil: not bound

	flags *pflag.FlagSet
}

func (o *backendOptions) AddFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.backend, "backend", "auto", backends.Usage)
	f.IntVar(&o.threads, "threads", 0, "threads that execute operations (default: as many as there are processors)")
	f.IntVar(&o.batch, "batch", 1, "images per call")
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
	return backends.Check(o.backend, o.options())
}

func (o *backendOptions) options() backends.Options {
	return backends.Options{Threads: o.threads, Processors: o.processors, Awake: true}
}

// opened is an open backend with what a table says about it.
type opened struct {
	backends.Backend
	device  lut.Device
	runtime lut.Runtime
	threads int

	processors []int // that threads are bound to, ascending; nil: not bound
}

// open opens the backend and says on stderr which.
func (o *backendOptions) open(stderr io.Writer) (opened, error) {
	// Before the number of processors is limited.
	device, threads := devices.Host(), o.threads
	if threads == 0 {
		threads = runtime.NumCPU()
		if len(o.processors) > 0 {
			threads = len(o.processors)
		}
	}
	b, err := backends.OpenWith(o.backend, o.options())
	if err != nil {
		return opened{}, err
	}
	fmt.Fprintf(stderr, "backend: %s\n", b.Why)
	result := opened{Backend: b, device: device, runtime: lut.Runtime{Name: b.Name, Version: b.Version, Plugin: b.Plugin}, threads: threads, processors: o.processors}
	if b.OnGPU() {
		result.threads, result.processors = 0, nil
		result.device.Model = b.DeviceDescription(0)
	}
	digest, err := b.PluginDigest()
	if err != nil {
		return opened{}, err
	}
	if digest != "" {
		result.runtime.Plugin += ", sha256 " + digest[:16]
	}
	return result, nil
}
