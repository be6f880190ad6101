package devices

import (
	"runtime"

	"densenas/lut"
)

// Host is the fingerprint of this host as far as the operating system tells. The model is never empty.
func Host() lut.Device {
	device := lut.Device{
		Architecture:    runtime.GOARCH,
		LogicalCPUs:     runtime.NumCPU(),
		OperatingSystem: runtime.GOOS,
	}
	describe(&device)
	if device.Model == "" {
		device.Model = "unknown " + runtime.GOARCH
	}
	return device
}
