// Package allocator makes the C library keep memory that XLA frees. By default glibc returns every large buffer to the system,
// and the next call faults it in again, page by page: that can cost more than what is computed in it, and varies from call to
// call, so that measurements do too. The settings act from the start of a process only, hence a second start.
package allocator

import (
	"os"
	"slices"
	"strings"
)

// settings make glibc take all memory from its heaps, which it does not return.
var settings = []string{"MALLOC_MMAP_MAX_=0", "MALLOC_TRIM_THRESHOLD_=17179869184"}

// tunables is the variable of the settings that glibc reads from one list.
const tunables = "GLIBC_TUNABLES="

// Settings for [Keep].
const (
	// HugePages has the heap in huge pages, where the system has them. It suits training, which moves much memory.
	HugePages = "glibc.malloc.hugetlb=1"
	// OneHeap has all threads share a heap. It takes a sixth less memory than the few of its own that each thread gets
	// otherwise, but threads that compile wait for each other.
	OneHeap = "glibc.malloc.arena_max=1"
)

// Variable switches it off where it is set to Off.
const (
	Variable = "DENSENAS_ALLOCATOR"
	Off      = "system"
)

// Keep starts the program again, in the same process, with the settings, where that is of use: on Linux, in a program with
// XLA. It does nothing where it was done, or where the user set one of the variables, and where it fails: the program works
// without. More are settings beyond the usual ones. Call it first in main.
func Keep(more ...string) {
	if env := environment(os.Environ(), more); env != nil {
		restart(env)
	}
}

// Kept says whether this process has the settings.
func Kept() bool {
	return supported && !slices.ContainsFunc(settings, func(s string) bool {
		name, value, _ := strings.Cut(s, "=")
		return os.Getenv(name) != value
	})
}

// environment is env with the settings; nil where they must not, or need not, be made.
func environment(env, more []string) []string {
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "MALLOC_") || name+"=" == tunables || name == Variable && value == Off {
			return nil
		}
	}
	env = slices.Concat(env, settings)
	if len(more) > 0 {
		env = append(env, tunables+strings.Join(more, ":"))
	}
	return env
}
