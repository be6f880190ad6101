//go:build !linux

package backends

// BindCaller prepares a runtime that computes on the thread that calls it, and on threads of its own beside. Only Linux lets a
// process choose processors: nothing is bound here.
func BindCaller(Options) (Caller, error) { return Caller{}, nil }
