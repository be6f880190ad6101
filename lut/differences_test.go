package lut

import (
	"strings"
	"testing"
)

func TestDifferences(t *testing.T) {
	same, _ := sample(t, small)
	for want, change := range map[string]func(*Table){
		"": func(t *Table) {
			t.Device.Kernel, t.Device.MaxMHz, t.Resolutions, t.Notes = "6.2", 900, []int{32, 96}, nil
		},
		`device.model: "Example CPU 9000" and x`: func(t *Table) { t.Device.Model = "x" },
		"device.architecture: amd64 and arm64":   func(t *Table) { t.Device.Architecture = "arm64" },
		`device.features: "" and "avx avx2"`:     func(t *Table) { t.Device.Features = "avx avx2" },
		"device.cores: 2 and 4":                  func(t *Table) { t.Device.Cores = 4 },
		"device.logical_cpus: 0 and 8":           func(t *Table) { t.Device.LogicalCPUs = 8 },
		`device.governor: "" and powersave`:      func(t *Table) { t.Device.Governor = "powersave" },
		"runtime.name: go and xla":               func(t *Table) { t.Runtime.Name = "xla" },
		"runtime.version: 0.1 and 0.2":           func(t *Table) { t.Runtime.Version = "0.2" },
		`runtime.plugin: "" and p`:               func(t *Table) { t.Runtime.Plugin = "p" },
		"threads: 2 and 1":                       func(t *Table) { t.Threads = 1 },
		`processors: any and "4 5"`:              func(t *Table) { t.Processors = []int{4, 5} },
		"batch: 1 and 2":                         func(t *Table) { t.Batch = 2 },
		"dtype: f32 and f16":                     func(t *Table) { t.DType = "f16" },
		"layout: nhwc and nchw":                  func(t *Table) { t.Layout = "nchw" },
		`caches: "" and cold`:                    func(t *Table) { t.Caches = Cold },
		"policy.precision: 0.01 and 0":           func(t *Table) { t.Policy = nil },
		"empty call: measured and unknown":       func(t *Table) { t.CallMS, t.CallLowMS = 0, 0 },
		"threads: 2 and 1; batch: 1 and 2":       func(t *Table) { t.Threads, t.Batch = 1, 2 },
	} {
		other, _ := sample(t, small)
		change(other)
		var got []string
		for _, d := range Differences(same, other) {
			got = append(got, d.String())
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
