//go:build !unix

package main

import "context"

// surviveTheConnection changes nothing: there are no signals for it.
func surviveTheConnection(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
