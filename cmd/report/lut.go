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
	var ts []tables.Table
	switch o.format {
	case tables.CSV:
		ts = []tables.Table{lutCSV(t)}
	case tables.Text, tables.Markdown:
		ts = []tables.Table{lutSettings(t, identity)}
		if v := t.Verification; v != nil {
			ts = append(ts, lutAccuracy(v), lutFit(&v.Fit))
		}
		ts = append(ts, lutKinds(t), lutEntries(t))
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
	count := func(n int, one, more string) string {
		switch n {
		case 0:
			return ""
		case 1:
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, more)
	}
	d := t.Device
	row("device", d.Model, count(d.Cores, "core", "cores"), count(d.LogicalCPUs, "logical", "logical"),
		count(d.MaxMHz, "MHz", "MHz"), count(d.MemoryMB, "MB", "MB"))
	row("system", d.OperatingSystem, d.Kernel, d.Architecture, d.Governor)
	row("runtime", t.Runtime.Name, t.Runtime.Version, t.Runtime.Plugin, count(t.Threads, "thread", "threads"), onProcessors(t))
	row("measured for", "batch "+strconv.Itoa(t.Batch), "input "+joinInts(t.Resolutions), t.DType, t.Layout, caches(t))
	if t.CallMS > 0 {
		ms := newMilliseconds(t.CallMS)
		row("empty call", ms.of(t.CallMS)+" ms", ms.interval(t.CallLowMS, t.CallHighMS))
	}
	if s := t.Sentinel; s != nil {
		ms := newMilliseconds(s.MedianMS)
		row("sentinel", s.Key, ms.of(s.MedianMS)+" ms", fmt.Sprintf("drift %s to %s in 80 %% of %d rounds", signed(s.DriftP10-1), signed(s.DriftP90-1), s.Rounds),
			fmt.Sprintf("%d discarded", s.Dropped))
	}
	row("identity", identity[:16]+"…")
	for _, warning := range t.Warnings {
		row("warning", warning)
	}
	for _, note := range t.Notes {
		row("note", note)
	}
	if v := t.Verification; v != nil {
		row("verified", fmt.Sprintf("with %d networks of space %s at %d, on %d that the fit has not seen", v.Fit.Networks+v.HeldOut.Networks, v.Space, v.Resolution, v.HeldOut.Networks))
	} else {
		row(unverified, "not held against whole networks")
	}
	return out
}

// onProcessors says to which processors threads were bound; empty where they were not.
func onProcessors(t *lut.Table) string {
	if len(t.Processors) == 0 {
		return ""
	}
	return "on processors " + joinInts(t.Processors)
}

// caches says what they held when an op was called; empty where the table does not say.
func caches(t *lut.Table) string {
	if t.Caches == "" {
		return ""
	}
	return t.Caches + " caches"
}

// lutAccuracy holds the fit's predictions, and plain sums, against the networks that the fit has not seen.
func lutAccuracy(v *lut.Verification) tables.Table {
	out := tables.Table{Header: []string{"whole networks", "by the fit", "by the plain sum"}, RightAlign: []bool{false, true, true}}
	row := func(name string, cell func(*lut.Accuracy) string) {
		out.Rows = append(out.Rows, []string{name, cell(&v.HeldOut), cell(&v.Sum)})
	}
	share := func(p lut.Proportion) string {
		return fmt.Sprintf("%s (%.1f–%.1f)", percent(p.Share), 100*p.Low, 100*p.High)
	}
	row("networks", func(a *lut.Accuracy) string { return strconv.Itoa(a.Networks) })
	row("mean absolute error", func(a *lut.Accuracy) string { return percent(a.MeanError) })
	row("median absolute error", func(a *lut.Accuracy) string { return percent(a.MedianError) })
	row("worst error", func(a *lut.Accuracy) string { return percent(a.WorstError) })
	row("within ±5 %", func(a *lut.Accuracy) string { return share(a.Within5) })
	row("within ±10 %", func(a *lut.Accuracy) string { return share(a.Within10) })
	row("Kendall's tau", func(a *lut.Accuracy) string { return fmt.Sprintf("%.3f", a.Tau) })
	row("Spearman", func(a *lut.Accuracy) string { return fmt.Sprintf("%.3f", a.Spearman) })
	out.Notes = []string{
		"in brackets: 95 % binomial interval of the share",
		fmt.Sprintf("the networks' own medians are uncertain by %s", percent(v.NoiseShare)),
		fmt.Sprintf("95 %% of predictions are within ±%s, by cross-validation of the fit", percent(v.Fit.ResidualShare)),
	}
	return out
}

// maxTermsShown bounds the terms of a fit in text.
const maxTermsShown = 40

// lutFit lists the terms of the fit.
func lutFit(f *lut.Fit) tables.Table {
	out := tables.Table{Header: []string{"ops", "scale"}, RightAlign: []bool{false, true}}
	for i, term := range f.Terms {
		if i == maxTermsShown {
			out.Notes = append(out.Notes, fmt.Sprintf("%d more terms are not shown; --format json has all", len(f.Terms)-i))
			break
		}
		out.Rows = append(out.Rows, []string{term.Pattern, fmt.Sprintf("%.4f", term.Scale)})
	}
	operations := "Σ scale · (op − empty call)"
	if f.OperationMS > 0 {
		operations = fmt.Sprintf("Σ (%s ms + scale · (op − empty call))", newMilliseconds(f.OperationMS).of(f.OperationMS))
	}
	out.Notes = append([]string{
		fmt.Sprintf("network = %s ms + %s, fitted on %d networks", newMilliseconds(max(f.OffsetMS, 1e-3)).of(f.OffsetMS), operations, f.Networks),
		"the scale is that of the first pattern that matches the op's key",
	}, out.Notes...)
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
		kind := e.Kind()
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
	kinds := []space.Kind{space.Stem, space.MBConv, space.Basic, space.Skip, space.Final, space.Classifier}
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
	out := tables.Table{Header: lut.Columns()}
	for i := range t.Entries {
		out.Rows = append(out.Rows, t.Entries[i].Row())
	}
	return out
}

// resolutions is the side of an op's feature maps: "112→56", or "56" where it stays.
func resolutions(op space.Op) string {
	if op.OutResolution() == op.Resolution {
		return strconv.Itoa(op.Resolution)
	}
	return fmt.Sprintf("%d→%d", op.Resolution, op.OutResolution())
}
