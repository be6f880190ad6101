//go:build !linux

package devices

import "runtime"

// unpublished are checks of what this system does not publish.
func unpublished(names ...string) []Check {
	var list []Check
	for _, name := range names {
		list = append(list, unknown(name, "%s does not publish it", runtime.GOOS))
	}
	return list
}
