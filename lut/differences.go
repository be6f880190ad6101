package lut

import (
	"fmt"
	"strings"
)

// Difference is a setting that two tables were measured with otherwise.
type Difference struct {
	Field string // by its name in the file: "device.model"
	A, B  string
}

// String reads "threads: 1 and 2".
func (d Difference) String() string { return fmt.Sprintf("%s: %s and %s", d.Field, d.A, d.B) }

// Differences lists the settings that must be the same for the times of two tables to be comparable: what decides how fast
// the device is, the runtime, threads and the processors that they were bound to, batch, precision, layout, caches, the policy's precision, and whether an empty call is
// known, and so part of the entries. What says nothing of the speed, or follows from these, is left out: vendor, memory,
// operating system and kernel; so is the highest clock, which some systems do not say, so that it is the highest that was seen;
// and the resolutions, which keys tell apart.
func Differences(a, b *Table) []Difference {
	precision := func(t *Table) float64 {
		if t.Policy == nil {
			return 0
		}
		return t.Policy.Precision
	}
	call := func(t *Table) string {
		if t.CallMS > 0 {
			return "measured"
		}
		return "unknown"
	}
	processors := func(t *Table) string {
		if len(t.Processors) == 0 {
			return "any"
		}
		return strings.Trim(fmt.Sprint(t.Processors), "[]")
	}
	var list []Difference
	for _, f := range []struct {
		field string
		a, b  any
	}{
		{"device.model", a.Device.Model, b.Device.Model},
		{"device.architecture", a.Device.Architecture, b.Device.Architecture},
		{"device.features", a.Device.Features, b.Device.Features},
		{"device.cores", a.Device.Cores, b.Device.Cores},
		{"device.logical_cpus", a.Device.LogicalCPUs, b.Device.LogicalCPUs},
		{"device.governor", a.Device.Governor, b.Device.Governor},
		{"runtime.name", a.Runtime.Name, b.Runtime.Name},
		{"runtime.version", a.Runtime.Version, b.Runtime.Version},
		{"runtime.plugin", a.Runtime.Plugin, b.Runtime.Plugin},
		{"runtime.provider", a.Runtime.Provider, b.Runtime.Provider},
		{"runtime.optimization", a.Runtime.Optimization, b.Runtime.Optimization},
		{"runtime.no_arena", a.Runtime.NoArena, b.Runtime.NoArena},
		{"threads", a.Threads, b.Threads},
		{"processors", processors(a), processors(b)},
		{"batch", a.Batch, b.Batch},
		{"dtype", a.DType, b.DType},
		{"layout", a.Layout, b.Layout},
		{"caches", a.Caches, b.Caches},
		{"policy.precision", precision(a), precision(b)},
		{"empty call", call(a), call(b)},
	} {
		if f.a != f.b {
			list = append(list, Difference{f.field, quoted(f.a), quoted(f.b)})
		}
	}
	return list
}

// quoted shows a setting; a text that would be misread without them is in quotes.
func quoted(v any) string {
	text := fmt.Sprint(v)
	if text == "" || strings.ContainsAny(text, " ,;") {
		return fmt.Sprintf("%q", text)
	}
	return text
}
