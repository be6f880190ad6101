package devices

import (
	"io/fs"
	"os"

	"densenas/lut"
)

func describe(device *lut.Device) { describeLinux(os.DirFS("/"), device) }

func look(root fs.FS) moment { return lookLinux(root, os.Getpid()) }

func systemChecks(root fs.FS, use Use, before, after moment) []Check {
	return checkLinux(root, use, before, after)
}

func clockSource(root fs.FS) string { return clockSourceLinux(root) }
