package devices

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"densenas/lut"
)

func describe(device *lut.Device) {
	describeLinux(os.DirFS("/"), device)
	describeAndroid(androidProperty, device)
}

// androidProperty asks Android's own program; other systems do not have it.
func androidProperty(name string) string {
	out, err := exec.Command("/system/bin/getprop", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func look(root fs.FS) moment { return lookLinux(root, os.Getpid()) }

func systemChecks(root fs.FS, use Use, before, after moment) []Check {
	return checkLinux(root, use, before, after)
}

func clockSource(root fs.FS) string { return clockSourceLinux(root) }
