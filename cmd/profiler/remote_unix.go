//go:build unix

package main

import (
	"context"
	"os/signal"
	"syscall"
)

// surviveTheConnection lets the end of a connection end the context, so that what was measured is saved. Writing into a closed
// connection must not end the process before.
func surviveTheConnection(ctx context.Context) (context.Context, context.CancelFunc) {
	signal.Ignore(syscall.SIGPIPE)
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}
