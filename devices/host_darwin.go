package devices

import (
	"golang.org/x/sys/unix"

	"densenas/lut"
)

// describe asks the kernel by sysctl. Apple publishes neither clocks nor a governor.
func describe(device *lut.Device) {
	text := func(name string) string {
		value, err := unix.Sysctl(name)
		if err != nil {
			return ""
		}
		return clean(value)
	}
	device.Model = text("machdep.cpu.brand_string")
	device.Vendor = text("machdep.cpu.vendor")
	device.Kernel = text("kern.osrelease")
	if version := text("kern.osproductversion"); version != "" {
		device.OperatingSystem = "macOS " + version
	}
	if cores, err := unix.SysctlUint32("hw.physicalcpu"); err == nil {
		device.Cores = int(cores)
	}
	if bytes, err := unix.SysctlUint64("hw.memsize"); err == nil {
		device.MemoryMB = int(bytes >> 20)
	}
}
