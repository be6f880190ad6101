package command

import (
	"cmp"
	"runtime/debug"
)

// Version of the program, as Go recorded it when it was built: of the module, or of the commit. "(devel)" where there is no record.
func Version() string {
	const unknown = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknown
	}
	return cmp.Or(info.Main.Version, unknown)
}
