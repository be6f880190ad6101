//go:build !linux || !cgo || noxla

package allocator

const supported = false

func restart([]string) {}

// Trim does nothing here.
func Trim() {}
