package main

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/supernet/space"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type archOptions struct {
	luts       []string
	resolution int
	classes    int
	format     tables.Format
}

func (o *archOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.luts, "lut", nil, "lookup `table` to take latencies from; may be given several times")
	flags.IntVar(&o.resolution, "resolution", 0, "side of the input in `pixels` (default: the architecture's own; 224 for net_config text)")
	flags.IntVar(&o.classes, "classes", 0, "`number` of classes (default: the architecture's own; 1000 for net_config text)")
	addFormat(flags, &o.format)
}

// maxTables bounds the columns of a table.
const maxTables = 8

func (o *archOptions) Validate() error {
	switch {
	case o.resolution < 0 || o.resolution > space.MaxResolution:
		return exit.BadInput("--resolution is %d, allowed is 1 to %d", o.resolution, space.MaxResolution)
	case o.classes < 0 || o.classes > space.MaxClasses:
		return exit.BadInput("--classes is %d, allowed is 1 to %d", o.classes, space.MaxClasses)
	case len(o.luts) > maxTables:
		return exit.BadInput("--lut is given %d times, allowed are at most %d", len(o.luts), maxTables)
	}
	return nil
}

func archCommand() *cobra.Command {
	o := &archOptions{}
	return subcommand("arch", "FILE", "Show an architecture (*.arch.json or net_config text) layer by layer", `  report arch run/arch.json
  report arch run/arch.json --lut cpu.lut.json --format markdown
  report arch published.txt --lut cpu.lut.json --lut gpu.lut.json --resolution 192`, o, o.show)
}

func (o *archOptions) show(w io.Writer, file string) error {
	a, err := space.ReadArchitecture(file)
	if err != nil {
		return err
	}
	changed := a
	if o.resolution > 0 && o.resolution != a.Resolution {
		changed = changed.WithResolution(o.resolution)
	}
	if o.classes > 0 && o.classes != a.Classes {
		changed = changed.WithClasses(o.classes)
	}
	if err := changed.Check(); err != nil {
		return exit.BadInput("%s: with this resolution and these classes: %w", file, err)
	}
	var luts []*lut.Table
	for _, path := range o.luts {
		t, err := lut.Read(path)
		if err != nil {
			return err
		}
		// No command measures another number of classes than a file's.
		if head := changed.Layers[len(changed.Layers)-1].Op; changed.Classes != a.Classes && len(t.Missing([]space.Op{head})) > 0 {
			return exit.BadInput("%s: has no %s for --classes %d; leave --classes out, or name the table of a network with %d classes",
				path, head.Key(), changed.Classes, changed.Classes)
		}
		luts = append(luts, t)
	}
	r, err := newArchReport(file, changed, luts)
	if err != nil {
		return err
	}
	t := r.table()
	if o.format == tables.CSV {
		t = r.csv()
	}
	return tables.Write(w, o.format, []tables.Table{t}, r)
}

// archReport is an architecture with its latency by tables, and the JSON form of it.
type archReport struct {
	File       string        `json:"file"`
	Name       string        `json:"name,omitempty"`
	Space      string        `json:"space,omitempty"`
	Resolution int           `json:"resolution"`
	Channels   int           `json:"channels"`
	Classes    int           `json:"classes"`
	Path       []int         `json:"path,omitempty"`
	Tables     []tableReport `json:"tables,omitempty"`
	Layers     []layerReport `json:"layers"`
	Total      totalReport   `json:"total"`
	// Predicted is what the file itself says, of its own resolution and classes.
	Predicted *space.Prediction `json:"predicted,omitempty"`
}

// tableReport says by which table a latency is.
type tableReport struct {
	File     string  `json:"file"`
	Identity string  `json:"identity"`
	Verified bool    `json:"verified"`
	Device   string  `json:"device"`
	Runtime  string  `json:"runtime"`
	Batch    int     `json:"batch"`
	CallMS   float64 `json:"call_ms"`
	FixedMS  float64 `json:"fixed_ms"` // that a network takes beside its layers: one call, or the offset of the fit
	// Accuracy is of the fit's predictions of networks that it has not seen; absent in an unverified table.
	Accuracy *lut.Accuracy `json:"accuracy,omitempty"`
}

type layerReport struct {
	Block        *int   `json:"block,omitempty"` // absent for stem, final and classifier
	Op           string `json:"op"`
	Key          string `json:"key"`
	In           int    `json:"in"`
	Out          int    `json:"out"`
	Stride       int    `json:"stride,omitempty"`
	Resolution   int    `json:"resolution"` // of the input
	MultiplyAdds int64  `json:"multiply_adds"`
	Parameters   int64  `json:"parameters"`
	latencies
	op space.Op
}

type totalReport struct {
	MultiplyAdds int64 `json:"multiply_adds"`
	Parameters   int64 `json:"parameters"`
	latencies
}

// latencies are by the first table in the fields themselves; by every table, in the order of tables, where there are more.
type latencies struct {
	*latency
	ByTable []latency `json:"by_table,omitempty"`
}

type latency struct {
	LatencyMS float64  `json:"latency_ms"`
	LowMS     *float64 `json:"low_ms,omitempty"` // 95 % interval; absent where it is unknown
	HighMS    *float64 `json:"high_ms,omitempty"`
	Share     float64  `json:"share"` // of the network's
	// WithPrevious: the table has the op only together with the layer before, whose latency includes it.
	WithPrevious bool `json:"with_previous,omitempty"`
	estimate     lut.Estimate
}

func newLatency(e lut.Estimate, total float64) latency {
	l := latency{LatencyMS: e.MS, WithPrevious: e.InPrevious, estimate: e}
	if total > 0 {
		l.Share = e.MS / total
	}
	if !e.IntervalUnknown && !e.InPrevious {
		l.LowMS, l.HighMS = &e.LowMS, &e.HighMS
	}
	return l
}

func (l *latencies) add(one latency, of int) {
	if l.latency == nil {
		l.latency = &one
	}
	if of > 1 {
		l.ByTable = append(l.ByTable, one)
	}
}

func newArchReport(file string, a *space.Architecture, luts []*lut.Table) (*archReport, error) {
	r := &archReport{File: file, Name: a.Name, Space: a.Space, Resolution: a.Resolution, Channels: a.Channels, Classes: a.Classes, Path: a.Path,
		Predicted: a.Predicted, Total: totalReport{MultiplyAdds: a.MultiplyAdds(), Parameters: a.Parameters()}}
	for i, l := range a.Layers {
		layer := layerReport{Op: name(l.Op), Key: l.Op.Key(), In: l.Op.In, Out: l.Op.Out, Stride: l.Op.Stride, Resolution: l.Op.Resolution,
			MultiplyAdds: l.Op.MultiplyAdds(), Parameters: l.Op.Parameters(), op: l.Op}
		if l.Block != space.NoBlock {
			layer.Block = &a.Layers[i].Block
		}
		r.Layers = append(r.Layers, layer)
	}
	for _, t := range luts {
		if err := t.Require(a.Ops(), command.Line("--arch", file, "--resolution", strconv.Itoa(a.Resolution))); err != nil {
			return nil, err
		}
		total, layers, err := t.Network(a)
		if err != nil {
			return nil, err
		}
		r.Tables = append(r.Tables, tableReport{File: t.Path(), Identity: t.Identity(), Verified: t.Verified(), Device: t.Device.Model,
			Runtime: strings.TrimSpace(t.Runtime.Name + " " + t.Runtime.Version), Batch: t.Batch, CallMS: t.CallMS, FixedMS: t.Fixed().MS})
		if v := t.Verification; v != nil {
			r.Tables[len(r.Tables)-1].Accuracy = &v.HeldOut
		}
		for i := range layers {
			r.Layers[i].add(newLatency(layers[i], total.MS), len(luts))
		}
		r.Total.add(newLatency(total, total.MS), len(luts))
	}
	return r, nil
}

// name is the op without its sizes: mbconv_k3_t6, stem_k3, final.
func name(op space.Op) string {
	switch op.Kind {
	case space.MBConv, space.Basic, space.Skip:
		return space.Candidate{Kind: op.Kind, Kernel: op.Kernel, Expansion: op.Expansion}.String()
	case space.Stem:
		return fmt.Sprintf("%s_k%d", op.Kind, op.Kernel)
	}
	return string(op.Kind)
}

// by is the latency by table i.
func (l latencies) by(i int) latency {
	if len(l.ByTable) > 0 {
		return l.ByTable[i]
	}
	return *l.latency
}

// letter names a table where there are several.
func letter(i int) string { return string(rune('A' + i)) }

// fixed names what a network takes beside its layers.
func (r *archReport) fixed() string {
	fits := 0
	for _, t := range r.Tables {
		if t.Verified {
			fits++
		}
	}
	switch fits {
	case 0:
		return "one call"
	case len(r.Tables):
		return "offset"
	}
	return "call/offset"
}

// table lists the layers for people. What a network takes once, a call or the fit's offset, stands in a row of its own.
func (r *archReport) table() tables.Table {
	work := newCounts(r.Total.MultiplyAdds)
	out := tables.Table{Title: r.title(), Header: []string{"block", "op", "width", "size", "mult-adds"}, RightAlign: []bool{true, false, true, true, true}}
	formats := make([]milliseconds, len(r.Tables))
	call := []string{"", r.fixed(), "", "", ""}
	calls := false
	total := []string{"", "total", "", "", work.of(r.Total.MultiplyAdds)}
	for i, t := range r.Tables {
		shortest := math.Inf(1)
		for _, l := range r.Layers {
			if ms := l.by(i).LatencyMS; ms > 0 {
				shortest = min(shortest, ms)
			}
		}
		formats[i] = newMilliseconds(shortest)
		of := r.Total.by(i)
		prefix := ""
		if len(r.Tables) > 1 {
			prefix = letter(i) + " "
		}
		out.Header, out.RightAlign = append(out.Header, prefix+"ms"), append(out.RightAlign, true)
		// What the layers leave of the total: a call, unless the table's entries are without, or the fit's offset.
		left := max(0, of.LatencyMS-r.sum(i))
		share, callMS, callShare := 0.0, "", ""
		if of.LatencyMS > 0 {
			share = left / of.LatencyMS
		}
		if t.FixedMS > 0 {
			calls, callMS, callShare = true, formats[i].of(left), percent(share)
		}
		call, total = append(call, callMS), append(total, formats[i].of(of.LatencyMS))
		if r.intervals(i) {
			out.Header, out.RightAlign = append(out.Header, "interval"), append(out.RightAlign, true)
			call, total = append(call, ""), append(total, formats[i].interval(*of.LowMS, *of.HighMS))
		}
		out.Header, out.RightAlign = append(out.Header, prefix+"share"), append(out.RightAlign, true)
		call, total = append(call, callShare), append(total, "")
	}
	for _, l := range r.Layers {
		row := []string{"", l.Op, fmt.Sprintf("%d→%d", l.In, l.Out), resolutions(l.op), work.of(l.MultiplyAdds)}
		if l.Block != nil {
			row[0] = strconv.Itoa(*l.Block)
		}
		for i := range r.Tables {
			one := l.by(i)
			value, share := formats[i].of(one.LatencyMS), percent(one.Share)
			if one.WithPrevious {
				value, share = "above", ""
			}
			row = append(row, value)
			if r.intervals(i) {
				interval := ""
				if one.LowMS != nil {
					interval = formats[i].interval(*one.LowMS, *one.HighMS)
				}
				row = append(row, interval)
			}
			row = append(row, share)
		}
		out.Rows = append(out.Rows, row)
	}
	if calls {
		out.Rows = append(out.Rows, call)
	}
	out.Footer = total
	out.Notes = r.notes(formats)
	return out
}

// sum of the layers by table i.
func (r *archReport) sum(i int) float64 {
	sum := 0.0
	for _, l := range r.Layers {
		sum += l.by(i).LatencyMS
	}
	return sum
}

// intervals says whether the layers' intervals by table i have a column: they are known, and there is room.
func (r *archReport) intervals(i int) bool { return len(r.Tables) == 1 && r.Total.by(i).LowMS != nil }

func (r *archReport) title() string {
	title := filepath.Base(r.File)
	if r.Name != "" {
		title += ": " + r.Name
	}
	if r.Space != "" {
		title += ", out of space " + r.Space
	}
	return fmt.Sprintf("%s, %d×%d×%d, %d classes", title, r.Resolution, r.Resolution, r.Channels, r.Classes)
}

func (r *archReport) notes(formats []milliseconds) []string {
	notes := []string{inWords(r.Total.MultiplyAdds) + " multiply-adds, " + inWords(r.Total.Parameters) + " parameters"}
	for i, t := range r.Tables {
		prefix := ""
		if len(r.Tables) > 1 {
			prefix = letter(i) + ": "
		}
		note := fmt.Sprintf("%s%s by %s", prefix, formats[i].estimate(r.Total.by(i).estimate), t.File)
		if a := t.Accuracy; a != nil {
			note += ", verified"
			notes = append(notes, note, fmt.Sprintf("%sof %d networks that the fit had not seen %s are within ±5 %%, %s ±10 %%", prefix,
				a.Networks, percent(a.Within5.Share), percent(a.Within10.Share)))
		} else {
			notes = append(notes, note+", "+unverified)
		}
		notes = append(notes, fmt.Sprintf("%smeasured at batch %d on %s, %s", prefix, t.Batch, t.Device, t.Runtime))
	}
	if p := r.Predicted; p != nil {
		notes = append(notes, "the file predicts "+prediction(p))
	}
	return notes
}

// prediction is what an architecture's file says of its latency.
func prediction(p *space.Prediction) string {
	ms := newMilliseconds(p.LatencyMS)
	text := ms.of(p.LatencyMS) + " ms"
	if p.LowMS < p.HighMS {
		text += " (95 %: " + ms.interval(p.LowMS, p.HighMS) + ")"
	}
	if table := p.Table; table != "" {
		text += " by table " + table[:min(8, len(table))] + "…"
	}
	if !p.Verified {
		return text + ", " + unverified
	}
	return text + ", verified"
}

// csv has a row per layer with all numbers, and the total as the last.
func (r *archReport) csv() tables.Table {
	out := tables.Table{Header: []string{"block", "op", "key", "in", "out", "stride", "resolution", "multiply_adds", "parameters"}}
	for i := range r.Tables {
		suffix := ""
		if len(r.Tables) > 1 {
			suffix = "_" + strings.ToLower(letter(i))
		}
		out.Header = append(out.Header, "latency_ms"+suffix, "low_ms"+suffix, "high_ms"+suffix, "share"+suffix, "verified"+suffix)
	}
	add := func(row []string, l latencies) {
		for i, t := range r.Tables {
			one := l.by(i)
			low, high := "", ""
			if one.LowMS != nil {
				low, high = exact(*one.LowMS), exact(*one.HighMS)
			}
			row = append(row, exact(one.LatencyMS), low, high, exact(math.Round(1e6*one.Share)/1e6), strconv.FormatBool(t.Verified))
		}
		out.Rows = append(out.Rows, row)
	}
	for _, l := range r.Layers {
		row := []string{"", l.Op, l.Key, strconv.Itoa(l.In), strconv.Itoa(l.Out), "", strconv.Itoa(l.Resolution),
			strconv.FormatInt(l.MultiplyAdds, 10), strconv.FormatInt(l.Parameters, 10)}
		if l.Block != nil {
			row[0] = strconv.Itoa(*l.Block)
		}
		if l.Stride > 0 {
			row[5] = strconv.Itoa(l.Stride)
		}
		add(row, l.latencies)
	}
	add([]string{"", "total", "", "", "", "", "", strconv.FormatInt(r.Total.MultiplyAdds, 10), strconv.FormatInt(r.Total.Parameters, 10)}, r.Total.latencies)
	return out
}
