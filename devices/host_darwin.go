package devices

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"runtime"

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

// look watches nothing: there are no counters to read.
func look(fs.FS) moment { return moment{} }

func systemChecks(_ fs.FS, use Use, _, _ moment) []Check {
	checks := unpublished("governor", "clock", "turbo", "heat", "processes", "neighbours")
	return append(checks, efficiencyCheck(use), darwinLoad(use), darwinMemory())
}

// efficiencyCheck warns where there are more threads than fast processors, for the others are several times slower.
func efficiencyCheck(use Use) Check {
	const name = "processors"
	processors := runtime.NumCPU()
	found := fmt.Sprintf("%s, for %s", count(processors, "processor"), count(use.threads(processors), "thread"))
	fast, err := unix.SysctlUint32("hw.perflevel0.logicalcpu")
	if err != nil {
		return ok(name, "%s", found)
	}
	found += fmt.Sprintf("; %d are performance cores", fast)
	if use.threads(processors) > int(fast) {
		return warning(name, fmt.Sprintf("use at most --threads %d: the others are slower", fast), "%s", found)
	}
	return ok(name, "%s", found)
}

// darwinLoad reads struct loadavg: three fixed-point numbers of 32 bits, and, aligned to 64 bits, what they are multiples of.
func darwinLoad(use Use) Check {
	data, err := unix.SysctlRaw("vm.loadavg")
	if err != nil || len(data) < 24 {
		return unpublished("load")[0]
	}
	scale := binary.LittleEndian.Uint64(data[16:])
	if scale == 0 {
		return unpublished("load")[0]
	}
	return judgeLoad(float64(binary.LittleEndian.Uint32(data))/float64(scale), use, runtime.NumCPU())
}

// darwinMemory reads the free pages, and struct xsw_usage: total, available and used bytes of the swap.
func darwinMemory() Check {
	pages, err1 := unix.SysctlUint32("vm.page_free_count")
	purgeable, err2 := unix.SysctlUint32("vm.page_purgeable_count")
	swap, err3 := unix.SysctlRaw("vm.swapusage")
	if err1 != nil || err2 != nil || err3 != nil || len(swap) < 24 {
		return unpublished("memory")[0]
	}
	// macOS keeps pages for files that it would give up, and swaps early: neither alone is a want of memory.
	found := fmt.Sprintf("%d MB free, %d MB in swap", (int64(pages)+int64(purgeable))*int64(unix.Getpagesize())>>20, binary.LittleEndian.Uint64(swap[16:])>>20)
	return ok("memory", "%s", found)
}

func clockSource(fs.FS) string { return "" }
