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
)

// bindThreads binds every thread of the process to n of the processors that it may use, different cores first.
// Threads that start later inherit it. XLA sizes its thread pools by it when its client is made; it ignores every
// other limit.
func bindThreads(n int) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the processors of this process: %w", err)
	}
	chosen := chooseProcessors(&allowed, n, coreOf)
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
				return fmt.Errorf("bind a thread to %d processors: %w", n, err)
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
	for processor := range len(allowed) * 64 {
		if !allowed.IsSet(processor) {
			continue
		}
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
