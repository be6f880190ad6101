package devices

import (
	"os"

	"densenas/lut"
)

func describe(device *lut.Device) { describeLinux(os.DirFS("/"), device) }
