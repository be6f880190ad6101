//go:build linux && cgo && !noxla && (amd64 || arm64)

package backends

import (
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// bindPool runs start with the number of threads that are to compute, and binds those that it makes to as many processors: XLA sizes
// its pools by the processors of the thread that makes its client, and ignores every other limit. All other threads of the
// process are bound to the rest of the processors, if there is one. A thread of the pool spins before it sleeps; the thread that
// waits for its result would have to wait for the end of that too, were both on one processor, and calls would take longer by up
// to 40 µs, or not, as it happens. It returns what lets processors sleep that are kept awake, nil if there are none.
func bindPool(options Options, start func(threads int)) (sleep func(), err error) {
	computing, rest, err := processorsOf(options)
	if err != nil {
		return nil, err
	}
	if rest.Count() == 0 {
		if err := bindTo(&computing); err != nil {
			return nil, err
		}
		start(computing.Count())
		return nil, nil
	}
	if options.Awake {
		waiting := chooseWaiting(&computing, &rest, coreOf)
		rest.Zero()
		rest.Set(waiting)
	}
	if err := bindTo(&rest); err != nil {
		return nil, err
	}
	runtime.LockOSThread() // the runtime starts no thread of its own from a locked one, which would inherit
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetaffinity(0, &computing); err != nil {
		return nil, fmt.Errorf("bind a thread to %v: %w", numbers(&computing), err)
	}
	start(computing.Count())
	if err := unix.SchedSetaffinity(0, &rest); err != nil {
		return nil, fmt.Errorf("bind a thread to %v: %w", numbers(&rest), err)
	}
	if options.Awake { // last, for whoever is bound to a set of processors after that would take these threads along
		return keepAwake(append(numbers(&rest), numbers(&computing)...))
	}
	return nil, nil
}

// chooseWaiting takes one of the rest: of a core that does not compute, if there is one, for what keeps it awake takes time of
// the core.
func chooseWaiting(computing, rest *unix.CPUSet, core func(processor int) string) int {
	busy := map[string]bool{}
	for _, processor := range numbers(computing) {
		busy[core(processor)] = true
	}
	processors := numbers(rest)
	for _, processor := range slices.Backward(processors) {
		if !busy[core(processor)] {
			return processor
		}
	}
	return processors[len(processors)-1]
}
