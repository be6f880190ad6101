//go:build !linux

package backends

import (
	"fmt"
	"runtime"
)

// bindThreads refuses: XLA follows no limit of threads but the processors that the process may use, and only Linux
// lets a process choose them.
func bindThreads(int) error {
	return fmt.Errorf("this is not possible on %s; leave the number of threads at 0, or use the backend go", runtime.GOOS)
}
