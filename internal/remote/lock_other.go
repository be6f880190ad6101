//go:build !unix

package remote

import (
	"context"
	"errors"
	"io"
	"time"
)

// acquire refuses: runs are served on Linux and macOS.
func acquire(context.Context, string, time.Duration) (io.Closer, error) {
	return nil, errors.New("runs are not served on this system")
}
