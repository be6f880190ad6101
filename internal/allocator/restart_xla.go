//go:build linux && cgo && !noxla

package allocator

// #include <malloc.h>
// #include <stdlib.h>
//
// static void reserve(size_t n) {
// 	volatile char *p = malloc(n);
// 	for (size_t i = 0; p && i < n; i += 4096) p[i] = 0;
// 	free((void *)p);
// }
import "C"

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const supported = true

// restart replaces the process, and returns only where that fails.
func restart(env []string) {
	program, err := os.Executable()
	if err != nil {
		return
	}
	_ = syscall.Exec(program, os.Args, env) // without the settings the program works as well
}

// Trim gives memory that is free back to the system, once: after much has been compiled, which takes more than it leaves.
func Trim() { C.malloc_trim(0) }

// Reserve sees to it that the heap has half a gigabyte that is free and in memory already, or a quarter of the system's free memory where that
// is less. The system zeroes memory when it is first touched, so that calls which come upon new memory take up to five times as
// long: until no two of them leave gaps any more that are too small for the next, which takes seconds. It does
// nothing where memory is not kept.
func Reserve() {
	var system unix.Sysinfo_t
	if !Kept() || unix.Sysinfo(&system) != nil {
		return
	}
	C.reserve(C.size_t(min(reserved, system.Freeram*uint64(system.Unit)/4)))
}

const reserved = 512 << 20
