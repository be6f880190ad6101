//go:build linux

package backends

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"densenas/internal/exit"
)

// checkProcessors says whether the processors of the options are such that threads can be bound to.
func checkProcessors(options Options) error {
	if options.Processors == nil {
		return nil
	}
	if len(options.Processors) == 0 || options.Threads > len(options.Processors) {
		return exit.BadInput("%d threads asked for on the processors %v; give at most as many threads as processors", options.Threads, options.Processors)
	}
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the processors of this process: %w", err)
	}
	var seen unix.CPUSet
	for _, n := range options.Processors {
		if n < 0 || !allowed.IsSet(n) {
			return exit.BadInput("processor %d is not among those that this process may use, %v; choose among them", n, numbers(&allowed))
		}
		if seen.IsSet(n) {
			return exit.BadInput("processor %d is chosen twice; name it once", n)
		}
		seen.Set(n)
	}
	return nil
}

// numbers lists the processors of a set.
func numbers(set *unix.CPUSet) []int {
	var list []int
	for n := range len(set) * 64 {
		if set.IsSet(n) {
			list = append(list, n)
		}
	}
	return list
}

// processorsOf splits the processors of the options, or those that the process may use, into as many as there are to be threads that
// compute, and the rest.
func processorsOf(options Options) (computing, rest unix.CPUSet, err error) {
	if err := unix.SchedGetaffinity(0, &rest); err != nil {
		return computing, rest, fmt.Errorf("read the processors of this process: %w", err)
	}
	n := options.Threads
	if len(options.Processors) > 0 {
		rest.Zero()
		for _, processor := range options.Processors {
			rest.Set(processor)
		}
		if n == 0 {
			n = len(options.Processors)
		}
	}
	computing = chooseProcessors(&rest, n, coreOf)
	for _, processor := range numbers(&computing) {
		rest.Clear(processor)
	}
	return computing, rest, nil
}

// bindThreads binds every thread of the process to the processors that compute. Threads that start later inherit it.
func bindThreads(options Options) error {
	computing, _, err := processorsOf(options)
	if err != nil {
		return err
	}
	return bindTo(&computing)
}

// compilingThreads says, before threads are bound, how many threads may compile at once, and what gives one of them all processors
// that the process may use.
func compilingThreads(options Options) (n int, spread func(), err error) {
	options.Threads = 0
	computing, rest, err := processorsOf(options)
	if err != nil {
		return 0, nil, err
	}
	if len(options.Processors) == 0 {
		computing = rest
	}
	return computing.Count(), func() {
		_ = unix.SchedSetaffinity(0, &computing) // where that fails, it compiles where it is
	}, nil
}

// bindTo binds all threads of the process, and the Go runtime to as many at once.
func bindTo(processors *unix.CPUSet) error {
	// A thread may start another one while the list is read: read it until a pass meets no new one.
	seen := map[int]bool{}
	for grew := true; grew; {
		grew = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list the threads of this process: %w", err)
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil || seen[id] {
				continue
			}
			seen[id], grew = true, true
			if err := unix.SchedSetaffinity(id, processors); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("bind a thread to %v: %w", numbers(processors), err)
			}
		}
	}
	runtime.GOMAXPROCS(processors.Count())
	return nil
}

// chooseProcessors takes n of the allowed processors: first one of each core, from the last one on, for systems give the first ones
// most interrupts to serve; then the rest.
func chooseProcessors(allowed *unix.CPUSet, n int, core func(processor int) string) unix.CPUSet {
	var first, rest []int
	used := map[string]bool{}
	for _, processor := range slices.Backward(numbers(allowed)) {
		if name := core(processor); !used[name] {
			used[name] = true
			first = append(first, processor)
		} else {
			rest = append(rest, processor)
		}
	}
	var chosen unix.CPUSet
	for _, processor := range slices.Concat(first, rest)[:min(n, allowed.Count())] {
		chosen.Set(processor)
	}
	return chosen
}

// coreOf names the core of a processor by the processors that share it; its own number where the system does not say.
func coreOf(processor int) string {
	name := strconv.Itoa(processor)
	text, err := os.ReadFile(filepath.Join("/sys/devices/system/cpu/cpu"+name, "topology/thread_siblings_list"))
	if err != nil {
		return name
	}
	return strings.TrimSpace(string(text))
}
