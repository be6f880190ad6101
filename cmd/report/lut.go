package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"densenas/internal/tables"
	"densenas/lut"
	"densenas/supernet/space"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type lutOptions struct {
	format tables.Format
}

func (o *lutOptions) AddFlags(flags *pflag.FlagSet) { addFormat(flags, &o.format) }

func (o *lutOptions) Validate() error { return nil }

func lutCommand() *cobra.Command {
	o := &lutOptions{}
	return subcommand("lut", "FILE", "Show a lookup table", `  report lut cpu.lut.json
  report lut cpu.lut.json --format csv > cpu.csv`, o, o.show)
}

// lutReport is the JSON form.
type lutReport struct {
	File     string `json:"file"`
	Identity string `json:"identity"`
	Unit     string `json:"unit"`
	Verified bool   `json:"verified"`
	*lut.Table
}

func (o *lutOptions) show(w io.Writer, file string) error {
	t, err := lut.Read(file)
	if err != nil {
		return err
	}
	identity := t.Identity()
	t.Entries = sorted(t.Entries)
	ts := []tables.Table{lutEntries(t)}
	switch o.format {
	case tables.CSV:
		ts = []tables.Table{lutCSV(t)}
	case tables.Text, tables.Markdown:
		ts = []tables.Table{lutSettings(t, identity), lutKinds(t), ts[0]}
	}
	return tables.Write(w, o.format, ts, lutReport{File: file, Identity: identity, Unit: lut.Unit, Verified: t.Verified(), Table: t})
}

// lutSettings says where and how the table was measured.
func lutSettings(t *lut.Table, identity string) tables.Table {
	out := tables.Table{Title: "Table " + filepath.Base(t.Path()), Header: []string{"", ""}}
	row := func(name string, values ...string) {
		var known []string
		for _, v := range values {
			if v != "" {
				known = append(known, v)
			}
		}
		for i, line := range wrap(strings.Join(known, ", "), 62) {
			if i > 0 {
				name = ""
			}
			out.Rows = append(out.Rows, []string{name, line})
		}
	}
	count := func(n int, unit string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	d := t.Device
	row("device", d.Model, count(d.Cores, "cores"), count(d.LogicalCPUs, "logical"), count(d.MaxMHz, "MHz"), count(d.MemoryMB, "MB"))
	row("system", d.OperatingSystem, d.Kernel, d.Architecture, d.Governor)
	row("runtime", t.Runtime.Name, t.Runtime.Version, t.Runtime.Plugin, count(t.Threads, "threads"))
	row("measured for", "batch "+strconv.Itoa(t.Batch), "input "+joinInts(t.Resolutions), t.DType, t.Layout)
	if t.CallMS > 0 {
		ms := newMilliseconds(t.CallMS)
		row("empty call", ms.of(t.CallMS)+" ms", ms.interval(t.CallLowMS, t.CallHighMS))
	}
	row("identity", identity[:16]+"…")
	for _, note := range t.Notes {
		row("note", note)
	}
	if !t.Verified() {
		row(unverified, "not held against whole networks")
	}
	return out
}

// wrap breaks a text at spaces into lines of at most width runes, where words allow; none for an empty text.
func wrap(text string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

func joinInts(list []int) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, " ")
}

// lutKinds sums the entries up by the kind of op.
func lutKinds(t *lut.Table) tables.Table {
	type sum struct {
		entries, flagged, without int
		low, high, widest         float64
	}
	var order []string
	kinds := map[string]*sum{}
	for i := range t.Entries {
		e := &t.Entries[i]
		kind, _, _ := strings.Cut(e.Key, "_")
		if strings.Contains(e.Key, "+") {
			kind = "stem + first"
		}
		s := kinds[kind]
		if s == nil {
			s = &sum{low: e.MedianMS}
			kinds[kind] = s
			order = append(order, kind)
		}
		s.entries++
		s.low, s.high = min(s.low, e.MedianMS), max(s.high, e.MedianMS)
		if len(e.Flags) > 0 {
			s.flagged++
		}
		if e.HasInterval() {
			s.widest = max(s.widest, (e.HighMS-e.LowMS)/2/e.MedianMS)
		} else {
			s.without++
		}
	}
	ms := newMilliseconds(smallest(t))
	out := tables.Table{Header: []string{"op", "entries", "flagged", "fastest ms", "slowest ms", "widest interval"},
		RightAlign: []bool{false, true, true, true, true, true}}
	for _, kind := range order {
		s := kinds[kind]
		widest := "±" + percent(s.widest)
		if s.without > 0 {
			widest = "unknown"
		}
		out.Rows = append(out.Rows, []string{kind, strconv.Itoa(s.entries), strconv.Itoa(s.flagged), ms.of(s.low), ms.of(s.high), widest})
	}
	return out
}

// smallest is the shortest time in a table.
func smallest(t *lut.Table) float64 {
	shortest := t.Entries[0].MedianMS
	for i := range t.Entries {
		shortest = min(shortest, t.Entries[i].MedianMS)
	}
	return shortest
}

// sorted orders entries without places as a network does: by kind, size of the input, widths, kernel and expansion. Those
// with places are in the order of their table.
func sorted(entries []lut.Entry) []lut.Entry {
	if slices.ContainsFunc(entries, func(e lut.Entry) bool { return e.Position != nil }) {
		return entries
	}
	kinds := []space.Kind{space.Stem, space.MBConv, space.Skip, space.Final, space.Classifier}
	rank := func(e lut.Entry) []int {
		ops, _ := e.Ops() // checked on reading
		op := ops[0]
		return []int{slices.Index(kinds, op.Kind), -op.Resolution, op.In, op.Out, op.Stride, op.Kernel, op.Expansion, len(ops)}
	}
	out := slices.Clone(entries)
	slices.SortStableFunc(out, func(a, b lut.Entry) int { return slices.Compare(rank(a), rank(b)) })
	return out
}

// lutEntries lists the entries for people, with the columns that have something to say.
func lutEntries(t *lut.Table) tables.Table {
	ms := newMilliseconds(smallest(t))
	type column struct {
		header string
		right  bool
		cell   func(*lut.Entry) string
	}
	columns := []column{
		{"place", false, func(e *lut.Entry) string {
			if e.Position == nil {
				return ""
			}
			return e.Position.String()
		}},
		{"median ms", true, func(e *lut.Entry) string { return ms.of(e.MedianMS) }},
		{"95 % interval", true, func(e *lut.Entry) string {
			if !e.HasInterval() {
				return ""
			}
			return ms.interval(e.LowMS, e.HighMS)
		}},
		{"laps", true, func(e *lut.Entry) string {
			if !e.HasInterval() {
				return ""
			}
			return strconv.Itoa(e.Count)
		}},
		{"flags", false, func(e *lut.Entry) string { return strings.Join(e.Flags, " ") }},
	}
	columns = slices.DeleteFunc(columns, func(c column) bool {
		for i := range t.Entries {
			if c.cell(&t.Entries[i]) != "" {
				return false
			}
		}
		return true
	})
	out := tables.Table{Header: []string{"key"}, RightAlign: []bool{false}, Notes: []string{"Times are as measured, each with one call of the runtime in it."}}
	for _, c := range columns {
		out.Header, out.RightAlign = append(out.Header, c.header), append(out.RightAlign, c.right)
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		key, second, composite := strings.Cut(e.Key, "+")
		if composite {
			key += " +"
		}
		row := []string{key}
		for _, c := range columns {
			row = append(row, c.cell(e))
		}
		out.Rows = append(out.Rows, row)
		if composite { // on a line of its own, for the width
			row = make([]string, len(row))
			row[0] = "  " + second
			out.Rows = append(out.Rows, row)
		}
	}
	if !slices.Contains(out.Header, "95 % interval") {
		out.Notes = []string{"The intervals of the times are unknown."}
	}
	return out
}

// lutCSV lists all fields of the entries for spreadsheets.
func lutCSV(t *lut.Table) tables.Table {
	out := tables.Table{Header: []string{"key", "block", "connection", "layer", "median_ms", "low_ms", "high_ms", "mad_ms", "p10_ms", "p90_ms", "min_ms",
		"count", "rounds", "flags", "lowering", "multiply_adds", "weights"}}
	for i := range t.Entries {
		e := &t.Entries[i]
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
		multiplyAdds, weights := work(e)
		row = append(row, strings.Join(e.Flags, " "), e.Lowering, strconv.FormatInt(multiplyAdds, 10), strconv.FormatInt(weights, 10))
		out.Rows = append(out.Rows, row)
	}
	return out
}

// work counts multiply-adds and weights of an entry's ops; its key was checked on reading.
func work(e *lut.Entry) (multiplyAdds, weights int64) {
	ops, _ := e.Ops()
	for _, op := range ops {
		multiplyAdds += op.MultiplyAdds()
		weights += op.Weights()
	}
	return multiplyAdds, weights
}

// resolutions is the side of an op's feature maps: "112→56", or "56" where it stays.
func resolutions(op space.Op) string {
	if op.OutResolution() == op.Resolution {
		return strconv.Itoa(op.Resolution)
	}
	return fmt.Sprintf("%d→%d", op.Resolution, op.OutResolution())
}
