//go:build unix

package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// acquire takes the lock of this machine until it is closed, or the process ends, waiting for it a while.
func acquire(ctx context.Context, path string, wait time.Duration) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	tries := time.NewTicker(100 * time.Millisecond)
	defer tries.Stop()
	for end := time.Now().Add(wait); ; {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			holder := make([]byte, 20)
			n, _ := file.ReadAt(holder, 0) // for the message only
			file.Close()
			return nil, fmt.Errorf("another run is going on there (process %s); wait for its end: one whose connection was lost stops within a minute", strings.TrimSpace(string(holder[:n])))
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		case <-tries.C:
		}
	}
	if err := file.Truncate(0); err == nil {
		_, err = file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		if err != nil {
			file.Close()
			return nil, err
		}
	}
	return file, nil
}
