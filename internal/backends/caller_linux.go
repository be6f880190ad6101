package backends

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// BindCaller prepares a runtime that computes on the thread that calls it, and on threads of its own beside. With Threads or
// Processors, which options must have been checked, the calling goroutine gets a thread that is bound to the first of as many
// processors, and keeps it until Release, which takes all bindings back: it is the one to call the runtime. All other threads of the
// process are bound to the rest of the processors. Where there is no rest, all threads are bound to all of these: one each would leave
// a thread that computes no way around what else has to run, and calls took 7 to 20 % longer. Without a limit nothing is bound.
func BindCaller(options Options) (Caller, error) {
	if options.Threads == 0 && len(options.Processors) == 0 {
		return Caller{}, nil
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return Caller{}, fmt.Errorf("read the processors of this process: %w", err)
	}
	computing, rest, err := processorsOf(options)
	if err != nil {
		return Caller{}, err
	}
	if rest.Count() == 0 {
		if err := bindTo(&computing); err != nil {
			return Caller{}, err
		}
		return Caller{release: func() { _ = bindTo(&before) }}, nil
	}
	if err := bindTo(&rest); err != nil {
		return Caller{}, err
	}
	// The goroutine that computes takes its turn of Go's with it.
	runtime.GOMAXPROCS(rest.Count() + 1)
	runtime.LockOSThread() // the runtime starts no thread of its own from a locked one, which would inherit
	release := func() {
		_ = bindTo(&before) // where that fails, what follows is slower
		runtime.UnlockOSThread()
	}
	list := numbers(&computing)
	var first unix.CPUSet
	first.Set(list[0])
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		release()
		return Caller{}, fmt.Errorf("bind a thread to processor %d: %w", list[0], err)
	}
	return Caller{Others: list[1:], release: release}, nil
}
