//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package profiler

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"densenas/internal/exit"
)

// lock keeps other runs from writing a file until it is closed.
func lock(f *os.File) error {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return exit.BadInput("%s is being written by another run; wait for its end, or stop it", f.Name())
	case errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return nil // a file system without locks
	case err != nil:
		return fmt.Errorf("%s: cannot be locked: %w", f.Name(), err)
	}
	return nil
}
