package devices

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"densenas/lut"
)

// maxSystemFile bounds what is read of a file under /proc and /sys. The description of processors is the longest: about
// 1.5 KB each.
const maxSystemFile = 4 << 20

// features are the instruction sets that decide how fast neural networks run, by the names of Linux: of amd64, of arm64.
var features = []string{
	"avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8",
	"asimd", "fphp", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16",
}

// describeLinux reads a fingerprint from /proc, /sys and /etc below root.
func describeLinux(root fs.FS, device *lut.Device) {
	cpu := processors(read(root, "proc/cpuinfo"))
	device.Model = cpu.model
	if board := clean(string(read(root, "proc/device-tree/model"))); device.Model == "" {
		device.Model = board // of single-board computers, whose processors have no name
	}
	device.Vendor = cpu.vendor
	device.Features = cpu.features
	device.MaxMHz = cpu.mhz
	if kHz, err := strconv.Atoi(text(root, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")); err == nil {
		device.MaxMHz = kHz / 1000
	}
	if kHz, err := strconv.Atoi(text(root, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_min_freq")); err == nil {
		device.MinMHz = kHz / 1000
	}
	device.Governor = text(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	device.Cores = cores(root)
	device.MemoryMB = memory(read(root, "proc/meminfo"))
	device.Kernel = text(root, "proc/sys/kernel/osrelease")
	if name := distribution(read(root, "etc/os-release")); name != "" {
		device.OperatingSystem = name
	}
}

// read is the beginning of a file; nil where it cannot be read.
func read(root fs.FS, name string) []byte {
	file, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSystemFile))
	if err != nil {
		return nil
	}
	return data
}

func text(root fs.FS, name string) string { return clean(string(read(root, name))) }

// clean makes a text fit for a table: what cannot be printed becomes a space, runs of spaces one, and its length is bounded.
func clean(s string) string { return cleanTo(s, 200) }

// cleanTo is clean with the length in bytes, at most.
func cleanTo(s string, length int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	return strings.ToValidUTF8(s[:min(len(s), length)], "")
}

type processor struct {
	model, vendor, features string
	mhz                     int // highest that is seen now
}

// processors reads /proc/cpuinfo, whose fields differ between architectures.
func processors(data []byte) processor {
	var p processor
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), ":")
		if !found {
			continue
		}
		value = clean(value)
		switch strings.TrimSpace(name) {
		case "model name":
			p.model = value
		case "vendor_id":
			p.vendor = value
		case "CPU implementer":
			if p.vendor = value; value == "0x41" {
				p.vendor = "ARM"
			}
		case "flags", "Features":
			p.features = known(lines.Text())
		case "cpu MHz":
			if mhz, err := strconv.ParseFloat(value, 64); err == nil {
				p.mhz = max(p.mhz, int(mhz))
			}
		}
	}
	return p
}

// known are the features of the list above that a line names.
func known(line string) string {
	words := strings.Fields(line)
	var list []string
	for _, feature := range features {
		if slices.Contains(words, feature) {
			list = append(list, feature)
		}
	}
	return strings.Join(list, " ")
}

// cores counts the distinct sets of processors that share a core.
func cores(root fs.FS) int {
	names, err := fs.Glob(root, "sys/devices/system/cpu/cpu[0-9]*")
	if err != nil {
		return 0
	}
	distinct := map[string]bool{}
	for _, name := range names {
		if siblings := text(root, path.Join(name, "topology/thread_siblings_list")); siblings != "" {
			distinct[siblings] = true
		}
	}
	return len(distinct)
}

// memory reads the total in MB from /proc/meminfo.
func memory(data []byte) int {
	total, _ := memoryField(data, "MemTotal:")
	return total
}

// memoryField reads a field of /proc/meminfo, which counts in KiB, in MB.
func memoryField(data []byte, name string) (mb int, known bool) {
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(line, name); found {
			kB, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			return kB >> 10, err == nil
		}
	}
	return 0, false
}

// distribution reads the name from /etc/os-release.
func distribution(data []byte) string {
	for line := range strings.Lines(string(data)) {
		if value, found := strings.CutPrefix(line, "PRETTY_NAME="); found {
			return clean(strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	return ""
}
