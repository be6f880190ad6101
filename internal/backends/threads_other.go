//go:build !linux

package backends

import (
	"fmt"
	"runtime"

	"densenas/internal/exit"
)

// checkProcessors refuses a choice of processors, for only Linux lets a process choose them.
func checkProcessors(options Options) error {
	if options.Processors != nil {
		return exit.BadInput("threads cannot be bound to processors on %s; leave them out of the device description", runtime.GOOS)
	}
	return nil
}

// bindThreads refuses: XLA follows no limit of threads but the processors that the process may use, and only Linux
// lets a process choose them.
func bindThreads(Options) error {
	return fmt.Errorf("this is not possible on %s; leave the number of threads at 0, or use the backend go", runtime.GOOS)
}

// bindPool refuses, as bindThreads does.
func bindPool(options Options, _ func(threads int)) (sleep func(), err error) {
	return nil, bindThreads(options)
}

// compilingThreads are as many as there are processors, and are not bound.
func compilingThreads(Options) (n int, spread func(), err error) {
	return runtime.NumCPU(), func() {}, nil
}
