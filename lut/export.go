package lut

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// Columns names the values of [Entry.Row].
func Columns() []string {
	return []string{"key", "block", "connection", "layer", "median_ms", "low_ms", "high_ms", "mad_ms", "p10_ms", "p90_ms", "min_ms", "count", "rounds", "flags",
		"lowering", "multiply_adds", "weights"}
}

// Row is the entry as texts, in the order of [Columns]: numbers with all digits, what is unknown empty. Multiply-adds and
// weights are those of the key.
func (e *Entry) Row() []string {
	exact := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	row := []string{e.Key, "", "", ""}
	if p := e.Position; p != nil {
		row[1] = strconv.Itoa(p.Block)
		if p.Connection != nil {
			row[2] = strconv.Itoa(*p.Connection)
		}
		if p.Layer != nil {
			row[3] = strconv.Itoa(*p.Layer)
		}
	}
	row = append(row, exact(e.MedianMS))
	if e.HasInterval() {
		for _, x := range []float64{e.LowMS, e.HighMS, e.MADMS, e.P10MS, e.P90MS, e.MinMS} {
			row = append(row, exact(x))
		}
		row = append(row, strconv.Itoa(e.Count), strconv.Itoa(e.Rounds))
	} else {
		row = append(row, make([]string, 8)...)
	}
	var multiplyAdds, weights int64
	ops, _ := e.Ops() // a key that is none has no work
	for _, op := range ops {
		multiplyAdds += op.MultiplyAdds()
		weights += op.Weights()
	}
	return append(row, strings.Join(e.Flags, " "), e.Lowering, strconv.FormatInt(multiplyAdds, 10), strconv.FormatInt(weights, 10))
}

// ExportCSV writes the entries, one a row, with a header of [Columns]. Times are as measured, each with one call in it.
func ExportCSV(w io.Writer, t *Table) error {
	c := csv.NewWriter(w)
	if err := c.Write(Columns()); err != nil {
		return err
	}
	for i := range t.Entries {
		if err := c.Write(t.Entries[i].Row()); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// ExportBenchmarks writes raw samples in the format of Go's benchmarks, which benchstat reads: the device and the settings as
// configuration, and a line for every sample, in ns, of the benchmark Op/KEY or, at a place, Op/KEY/block=1/layer=0. Entries
// without samples are left out; it returns how many were written.
func ExportBenchmarks(w io.Writer, t *Table, samples Samples) (entries int, err error) {
	buffered := bufio.NewWriter(w)
	out := benchfmt.NewWriter(buffered)
	var config []benchfmt.Config
	for _, c := range []struct{ key, value string }{
		{"pkg", "densenas/lut"},
		{"goarch", t.Device.Architecture},
		{"cpu", t.Device.Model},
		{"device", t.Device.Model},
		{"runtime", t.Runtime.Name},
		{"runtime-version", t.Runtime.Version},
		{"plugin", t.Runtime.Plugin},
		{"threads", strconv.Itoa(t.Threads)},
		{"batch", strconv.Itoa(t.Batch)},
		{"dtype", t.DType},
		{"layout", t.Layout},
		{"caches", t.Caches},
	} {
		if c.value != "" {
			config = append(config, benchfmt.Config{Key: c.key, Value: []byte(c.value), File: true})
		}
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		name := "Op/" + e.Key
		if p := e.Position; p != nil && p.Connection != nil {
			name += fmt.Sprintf("/block=%d/connection=%d", p.Block, *p.Connection)
		} else if p != nil {
			name += fmt.Sprintf("/block=%d/layer=%d", p.Block, *p.Layer)
		}
		raw := samples(e)
		if len(raw) > 0 {
			entries++
		}
		for _, ms := range raw {
			result := &benchfmt.Result{Config: config, Name: benchfmt.Name(name), Iters: 1, Values: []benchfmt.Value{{Value: ms * 1e6, Unit: "ns/op"}}}
			if err := out.Write(result); err != nil {
				return entries, err
			}
		}
	}
	return entries, buffered.Flush()
}
