//go:build linux && cgo && !noxla

package allocator

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
