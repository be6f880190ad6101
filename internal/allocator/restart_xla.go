//go:build linux && cgo && !noxla

package allocator

// #include <malloc.h>
import "C"

import (
	"os"
	"syscall"
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
