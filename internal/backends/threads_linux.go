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

// bindThreads binds every thread of the process to the processors of the options: the listed ones, or those that the
// process may use, and of these as many as threads, different cores first. Threads that start later inherit it. XLA sizes
// its thread pools by it when its client is made; it ignores every other limit.
func bindThreads(options Options) error {
	var from unix.CPUSet
	if err := unix.SchedGetaffinity(0, &from); err != nil {
		return fmt.Errorf("read the processors of this process: %w", err)
	}
	n := options.Threads
	if len(options.Processors) > 0 {
		from.Zero()
		for _, processor := range options.Processors {
			from.Set(processor)
		}
		if n == 0 {
			n = len(options.Processors)
		}
	}
	chosen := chooseProcessors(&from, n, coreOf)
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
			if err := unix.SchedSetaffinity(id, &chosen); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("bind a thread to %v: %w", numbers(&chosen), err)
			}
		}
	}
	runtime.GOMAXPROCS(n)
	return nil
}

// chooseProcessors takes n of the allowed processors: first one of each core, in order, then the rest.
func chooseProcessors(allowed *unix.CPUSet, n int, core func(processor int) string) unix.CPUSet {
	var first, rest []int
	used := map[string]bool{}
	for _, processor := range numbers(allowed) {
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
