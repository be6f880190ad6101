package devices

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"densenas/lut"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestDescribeLinux(t *testing.T) {
	server := fstest.MapFS{
		"proc/cpuinfo": file("processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)  Xeon(R) Processor\ncpu MHz\t\t: 2100.128\n" +
			"flags\t\t: fpu avx fma avx2 avx512f amx_tile hypervisor\n\nprocessor\t: 1\ncpu MHz\t\t: 2400.5\n"),
		"proc/meminfo":              file("MemTotal:       24636172 kB\nMemFree: 1 kB\n"),
		"proc/sys/kernel/osrelease": file("6.1.0-test\n"),
		"etc/os-release":            file("NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
		"sys/devices/system/cpu/cpu0/topology/thread_siblings_list": file("0-1\n"),
		"sys/devices/system/cpu/cpu1/topology/thread_siblings_list": file("0-1\n"),
		"sys/devices/system/cpu/cpu2/topology/thread_siblings_list": file("2-3\n"),
		"sys/devices/system/cpu/cpufreq/policy0":                    file(""),
	}
	board := fstest.MapFS{
		"proc/cpuinfo":           file("processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\n"),
		"proc/device-tree/model": file("Raspberry Pi 5 Model B Rev 1.0\x00"),
		"sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": file("2400000\n"),
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": file("ondemand\n"),
	}
	for name, test := range map[string]struct {
		root fstest.MapFS
		want lut.Device
	}{
		"server": {server, lut.Device{
			Model: "Intel(R) Xeon(R) Processor", Vendor: "GenuineIntel", Features: "avx avx2 fma avx512f amx_tile", Cores: 2, MaxMHz: 2400,
			MemoryMB: 24058, OperatingSystem: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0-test",
		}},
		"board": {board, lut.Device{
			Model: "Raspberry Pi 5 Model B Rev 1.0", Vendor: "ARM", Features: "asimd asimddp", MaxMHz: 2400, Governor: "ondemand",
		}},
		"nothing": {fstest.MapFS{}, lut.Device{}},
	} {
		var got lut.Device
		describeLinux(test.root, &got)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHostFitsATable(t *testing.T) {
	host := Host()
	table := lut.Table{
		Device: host, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{32}, DType: "f32", Layout: "nhwc",
		Entries: []lut.Entry{{Key: "skip_i8_o8_s1_r8", MedianMS: 1}},
	}
	if err := table.Check(); err != nil {
		t.Errorf("%+v: %v", host, err)
	}
	again := Host()
	again.MaxMHz = host.MaxMHz // where the system does not say the highest clock, it is the highest seen
	if host != again {
		t.Errorf("two fingerprints of one host differ: %+v, %+v", host, again)
	}
	if host.LogicalCPUs < 1 {
		t.Errorf("%d processors", host.LogicalCPUs)
	}
}

func FuzzDescribeLinux(f *testing.F) {
	f.Add("model name : x\nflags : avx\ncpu MHz : 1e9", "MemTotal: 12 kB", "PRETTY_NAME='a'")
	f.Add("model name:\xff\x00"+strings.Repeat("x", 300), "MemTotal: -5", "PRETTY_NAME=")
	f.Fuzz(func(t *testing.T, cpu, memory, release string) {
		var device lut.Device
		describeLinux(fstest.MapFS{"proc/cpuinfo": file(cpu), "proc/meminfo": file(memory), "etc/os-release": file(release)}, &device)
		for _, value := range []string{device.Model, device.Vendor, device.OperatingSystem, device.Features} {
			if len(value) > 200 || clean(value) != value {
				t.Errorf("%q is not fit for a table", value)
			}
		}
	})
}
