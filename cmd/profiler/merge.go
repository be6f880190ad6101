package main

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/profiler"
)

type mergeOptions struct {
	inputs []string
	output string
}

func (o *mergeOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.output, "output", "o", "", "table to write: FILE.lut.json")
}

func (o *mergeOptions) Validate() error {
	if o.output == "" {
		return exit.BadInput("no file to write: name it by -o FILE.lut.json")
	}
	inputs := slices.Clone(o.inputs)
	for _, path := range o.inputs {
		inputs = append(inputs, profiler.JournalPath(path)) // stays with it
	}
	return command.CheckOutput(o.output, inputs...)
}

// maxMerged bounds the tables of one merge, each of which is in memory.
const maxMerged = 64

func mergeCommand() *cobra.Command {
	var o mergeOptions
	c := &cobra.Command{
		Use:   "merge FILE.lut.json FILE.lut.json... -o FILE.lut.json",
		Short: "Unite tables that were measured alike",
		Long: `Unite tables that were measured on the same device, or on equal ones, in the same way: the shards of a farm, or two spaces.
Tables that differ in device, runtime, threads, batch, precision, layout, caches or aimed precision are refused, with all
differences. Resolutions are united.

Where several tables have an operation, one entry is kept: an unflagged one before a flagged one, then one with an interval,
then the narrower interval relative to its median, then the one with more rounds, then that of the earlier file. Entries
whose 95 % intervals do not overlap are shown on standard error.

The notes of the new table name the tables it is of. It is unverified: verify it by "profiler verify".`,
		Example: `  profiler merge shard1.lut.json shard2.lut.json -o board.lut.json
  profiler merge board-224.lut.json board-96.lut.json -o board.lut.json`,
		Args: command.Arguments(2, maxMerged),
		RunE: func(c *cobra.Command, args []string) error {
			o.inputs = args
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *mergeOptions) run(stderr io.Writer) error {
	var sources []*lut.Table
	for _, path := range o.inputs {
		t, err := lut.Read(path)
		if err != nil {
			return err
		}
		sources = append(sources, t)
	}
	merged, err := lut.Merge(sources...)
	if err != nil {
		return err
	}
	if err := merged.Table.Write(o.output); err != nil {
		return err
	}
	for _, warning := range merged.Warnings {
		fmt.Fprintf(stderr, "warning: %s\n", exit.OneLine(warning))
	}
	if len(merged.Conflicts) == 0 {
		return nil
	}
	return tables.Write(stderr, tables.Text, []tables.Table{o.conflicts(merged.Conflicts)}, nil)
}

// maxShown bounds the rows of what is shown beside the result.
const maxShown = 50

// conflicts lists entries that disagree.
func (o *mergeOptions) conflicts(all []lut.Conflict) tables.Table {
	t := tables.Table{
		Title:      fmt.Sprintf("%d of the entries that stand in several tables disagree beyond their 95 %% intervals", len(all)),
		Header:     []string{"key", "kept ms", "95 % interval", "of", "left out ms", "95 % interval", "of", "ratio"},
		RightAlign: []bool{false, true, true, false, true, true, false, true},
		Notes:      []string{"ratio: what is kept over what is left out; measure again the entries that matter"},
	}
	for i, c := range all {
		if i == maxShown {
			t.Notes = append(t.Notes, fmt.Sprintf("%d more are not shown", len(all)-maxShown))
			break
		}
		t.Rows = append(t.Rows, []string{c.Kept.Name(), inMS(c.Kept.MedianMS), intervalOf(&c.Kept), filepath.Base(o.inputs[c.KeptSource]),
			inMS(c.Left.MedianMS), intervalOf(&c.Left), filepath.Base(o.inputs[c.LeftSource]), fmt.Sprintf("%.3f", c.Ratio())})
	}
	return t
}

// inMS shows a time in four digits.
func inMS(ms float64) string { return fmt.Sprintf("%.4g", ms) }

// intervalOf shows an entry's 95 % interval.
func intervalOf(e *lut.Entry) string {
	if !e.HasInterval() {
		return "unknown"
	}
	return inMS(e.LowMS) + "–" + inMS(e.HighMS)
}
