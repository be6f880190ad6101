package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"densenas/internal/tables"
	"densenas/search/rundir"
	"densenas/supernet/space"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

type runOptions struct {
	format tables.Format
}

func (o *runOptions) AddFlags(flags *pflag.FlagSet) { addFormat(flags, &o.format) }

func (o *runOptions) Validate() error { return nil }

func runCommand() *cobra.Command {
	o := &runOptions{}
	return subcommand("run", "DIR", "Show a search epoch by epoch, and the network that it derived", `  report run run
  report run run --format csv > run.csv`, o, o.show)
}

// runReport is the JSON form.
type runReport struct {
	Folder          string          `json:"folder"`
	Space           string          `json:"space"`
	Data            string          `json:"data"`
	Seed            uint64          `json:"seed"`
	Epochs          int             `json:"epochs"` // planned
	TargetLatencyMS float64         `json:"target_latency_ms,omitempty"`
	Table           string          `json:"table"`
	Verified        bool            `json:"verified"` // the table
	Records         []rundir.Record `json:"records"`
	Torn            bool            `json:"torn,omitempty"` // the last record broke off
	Architecture    *archReport     `json:"architecture,omitempty"`
}

func (o *runOptions) show(w io.Writer, folder string) error {
	c, err := rundir.ReadConfig(folder)
	if err != nil {
		return err
	}
	r := &runReport{Folder: folder, Space: c.Space, Data: c.Data, Seed: c.Seed, Epochs: c.Epochs, TargetLatencyMS: c.TargetLatencyMS, Table: c.LUT.Path, Verified: c.LUT.Verified}
	if r.Records, r.Torn, err = rundir.ReadRecords(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	path := filepath.Join(folder, rundir.ArchitectureFile)
	if _, err := os.Stat(path); err == nil {
		a, err := space.ReadArchitecture(path)
		if err != nil {
			return err
		}
		if r.Architecture, err = newArchReport(path, a, nil); err != nil {
			return err
		}
	}
	if o.format == tables.CSV {
		return tables.Write(w, o.format, []tables.Table{r.csv()}, r)
	}
	ts := []tables.Table{r.table(c)}
	if others := r.others(); len(others) > 0 {
		ts = append(ts, r.othersTable(others))
	}
	if r.Architecture != nil {
		t := r.Architecture.table()
		t.Title = "Derived network " + t.Title
		ts = append(ts, t)
	}
	return tables.Write(w, o.format, ts, r)
}

// table lists the epochs for people.
func (r *runReport) table(c *rundir.Config) tables.Table {
	title := fmt.Sprintf("Search %s: space %s, data %s, seed %d", filepath.Base(r.Folder), r.Space, filepath.Base(r.Data), r.Seed)
	out := tables.Table{Title: title, Header: []string{"epoch", "loss", "accuracy", "held-out", "accuracy", "ms", "H(α)", "H(β)", "skip", "factor"},
		RightAlign: []bool{true, true, true, true, true, true, true, true, true, true}}
	shortest := math.Inf(1)
	for _, e := range r.Records {
		shortest = min(shortest, e.ExpectedLatencyMS)
	}
	ms := newMilliseconds(shortest)
	short := func(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
	for _, e := range r.Records {
		heldOut, accuracy := "", ""
		if e.HeldOutLoss != nil {
			heldOut = short(*e.HeldOutLoss)
		}
		if e.HeldOutAccuracy != nil {
			accuracy = percent(*e.HeldOutAccuracy)
		}
		out.Rows = append(out.Rows, []string{strconv.Itoa(e.Epoch), short(e.TrainLoss), percent(e.TrainAccuracy), heldOut, accuracy,
			ms.of(e.ExpectedLatencyMS), short(e.EntropyAlpha), short(e.EntropyBeta), percent(e.SkipShare), short(e.Factor)})
	}
	out.Notes = []string{
		fmt.Sprintf("%d of %d epochs, architecture from epoch %d", len(r.Records), r.Epochs, c.ArchitectureEpoch),
		"ms: " + r.latency(),
		"H: mean entropy of the choices of alpha and beta, 1 undecided, 0 decided",
		"skip: its mean probability; factor: weight in the loss, or a target's multiplier",
	}
	for _, e := range r.Records {
		for _, w := range e.Warnings {
			out.Notes = append(out.Notes, fmt.Sprintf("warning: epoch %d: %s", e.Epoch, w))
		}
	}
	if r.Torn {
		out.Notes = append(out.Notes, "the last record broke off and is left out")
	}
	if r.Architecture == nil {
		out.Notes = append(out.Notes, "no network is derived yet; derive one with: search derive "+r.Folder)
	}
	return out
}

// others are the objectives besides the latency by the first table, as the first record has them; none unless all records have
// as many.
func (r *runReport) others() []other {
	var all []other
	for i, e := range r.Records {
		if len(e.Others) != len(r.Records[0].Others) {
			return nil
		}
		if i == 0 {
			for _, o := range e.Others {
				all = append(all, other(o))
			}
		}
	}
	return all
}

// othersTable lists what the super network lets one expect by the other objectives.
func (r *runReport) othersTable(others []other) tables.Table {
	out := tables.Table{Title: "Other objectives", Header: []string{"epoch"}, RightAlign: []bool{true}}
	for _, o := range others {
		name := o.name()
		if o.Target > 0 {
			name += " for " + exact(o.Target)
		}
		out.Header, out.RightAlign = append(out.Header, name, "factor"), append(out.RightAlign, true, true)
	}
	for _, e := range r.Records {
		row := []string{strconv.Itoa(e.Epoch)}
		for _, o := range e.Others {
			row = append(row, strconv.FormatFloat(o.Expected, 'g', 4, 64), strconv.FormatFloat(o.Factor, 'f', 3, 64))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// other is an objective besides the latency by the first table.
type other rundir.OtherObjective

// name is short enough for a column.
func (o other) name() string {
	if o.Table != "" {
		return "ms by " + o.Table
	}
	return "M " + o.Objective
}

// column begins the names of its columns in CSV.
func (o other) column(number int) string {
	return fmt.Sprintf("%s_%d", strings.ReplaceAll(o.Objective, "-", "_"), number)
}

// latency says what the column of latencies is.
func (r *runReport) latency() string {
	text := "expected of the super network"
	if r.Table != "" {
		text += ", by " + filepath.Base(r.Table)
		if r.Verified {
			text += ", verified"
		} else {
			text += ", " + unverified
		}
	}
	if r.TargetLatencyMS > 0 {
		text += fmt.Sprintf("; target %s ms", exact(r.TargetLatencyMS))
	}
	return text
}

// csv lists the epochs with all numbers.
func (r *runReport) csv() tables.Table {
	out := tables.Table{Header: []string{"epoch", "phase", "steps", "seconds", "images_per_second", "train_loss", "train_accuracy", "held_out_loss",
		"held_out_accuracy", "expected_latency_ms", "target_latency_ms", "factor", "entropy_alpha", "entropy_beta", "skip_share", "warnings"}}
	others := r.others()
	for i, o := range others {
		column := o.column(i + 2) // the latency before is the first
		out.Header = append(out.Header, column+"_expected_"+o.Unit, column+"_target_"+o.Unit, column+"_factor")
	}
	optional := func(x *float64) string {
		if x == nil {
			return ""
		}
		return exact(*x)
	}
	for _, e := range r.Records {
		target := ""
		if e.TargetLatencyMS > 0 {
			target = exact(e.TargetLatencyMS)
		}
		row := []string{strconv.Itoa(e.Epoch), e.Phase, strconv.Itoa(e.Steps), exact(e.Seconds), exact(e.ImagesPerSecond),
			exact(e.TrainLoss), exact(e.TrainAccuracy), optional(e.HeldOutLoss), optional(e.HeldOutAccuracy), exact(e.ExpectedLatencyMS), target,
			exact(e.Factor), exact(e.EntropyAlpha), exact(e.EntropyBeta), exact(e.SkipShare), kinds(e.Warnings)}
		for k := range others {
			o, target := e.Others[k], ""
			if o.Target > 0 {
				target = exact(o.Target)
			}
			row = append(row, exact(o.Expected), target, exact(o.Factor))
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// kinds lists what an epoch is warned of.
func kinds(warnings []rundir.Warning) string {
	var kinds []string
	for _, w := range warnings {
		kinds = append(kinds, w.Kind)
	}
	return strings.Join(kinds, " ")
}
