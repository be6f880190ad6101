package main

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/lut"
)

type lintOptions struct {
	allow  int
	format tables.Format
}

func (o *lintOptions) AddFlags(f *pflag.FlagSet) {
	f.IntVar(&o.allow, "allow", 0, "`number` of operations that may be faster than a smaller one without exit code 1")
	f.Var(&o.format, "format", tables.FormatUsage)
}

func (o *lintOptions) Validate() error {
	if o.allow < 0 {
		return exit.BadInput("--allow is %d, allowed is from 0", o.allow)
	}
	return nil
}

func lintCommand() *cobra.Command {
	var o lintOptions
	c := &cobra.Command{
		Use:   "lint FILE.lut.json",
		Short: "Look for times that cannot be right",
		Long: `Report the operations of a table that have a larger resolution, width, kernel or expansion than another one, all else being
equal, and measured faster beyond both 95 % intervals; each with the slowest of the smaller ones. Entries that are flagged or
have no interval, and a missing verification, are counted.

An operation that is reported was measured at a bad moment, or the runtime has a kernel that fits it better than the smaller
one: measure again; if it stays, it is so, and --allow lets it pass.

Exit code 1: more operations than --allow are reported. 0: otherwise; what is only counted does not matter.`,
		Example: `  profiler lint board.lut.json
  profiler lint board.lut.json --allow 12
  profiler lint board.lut.json --format json`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(args[0], c.OutOrStdout())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

// lintReport is the JSON form.
type lintReport struct {
	File            string          `json:"file"`
	Entries         int             `json:"entries"`
	Inverted        int             `json:"inverted"`
	Inversions      []lintInversion `json:"inversions"` // the worst first, at most 1000
	Flagged         int             `json:"flagged"`
	Flags           map[string]int  `json:"flags"`
	WithoutInterval int             `json:"without_interval"`
	Verified        bool            `json:"verified"`
	Warnings        int             `json:"warnings"`
	found           []lut.Inversion
}

type lintInversion struct {
	Dimension string    `json:"dimension"`
	Smaller   lintEntry `json:"smaller"`
	Larger    lintEntry `json:"larger"`
	Ratio     float64   `json:"ratio"` // of the medians, smaller over larger
}

type lintEntry struct {
	Key      string        `json:"key"`
	Position *lut.Position `json:"position,omitempty"`
	MedianMS float64       `json:"median_ms"`
	LowMS    float64       `json:"low_ms"`
	HighMS   float64       `json:"high_ms"`
	Flags    []string      `json:"flags,omitempty"`
}

func newLintEntry(e *lut.Entry) lintEntry {
	return lintEntry{e.Key, e.Position, e.MedianMS, e.LowMS, e.HighMS, e.Flags}
}

func (o *lintOptions) run(path string, stdout io.Writer) error {
	t, err := lut.Read(path)
	if err != nil {
		return err
	}
	found := lut.Lint(t)
	r := &lintReport{File: path, Entries: found.Entries, Inverted: found.Inverted, Inversions: []lintInversion{}, Flagged: found.Flagged, Flags: found.Flags,
		WithoutInterval: found.WithoutInterval, Verified: found.Verified, Warnings: found.Warnings, found: found.Inversions}
	for _, i := range found.Inversions {
		r.Inversions = append(r.Inversions, lintInversion{string(i.Dimension), newLintEntry(i.Smaller), newLintEntry(i.Larger), i.Ratio()})
	}
	if err := tables.Write(stdout, o.format, []tables.Table{r.table(o.format)}, r); err != nil {
		return err
	}
	if r.Inverted > o.allow {
		return fmt.Errorf("%s: %d of %s faster than a smaller one; measure them again, or let them pass by --allow %d", path, r.Inverted, operations(r.Entries), r.Inverted)
	}
	return nil
}

func (r *lintReport) table(f tables.Format) tables.Table {
	t := tables.Table{
		Title:      "Operations of " + filepath.Base(r.File) + " that are faster than a smaller one",
		Header:     []string{"larger", "ms", "95 % interval", "smaller", "ms", "95 % interval", "larger in", "ratio"},
		RightAlign: []bool{false, true, true, false, true, true, false, true},
	}
	for _, i := range r.found {
		t.Rows = append(t.Rows, []string{i.Larger.Name(), inMS(i.Larger.MedianMS), intervalOf(i.Larger), i.Smaller.Name(), inMS(i.Smaller.MedianMS), intervalOf(i.Smaller),
			string(i.Dimension), fmt.Sprintf("%.3f", i.Ratio())})
	}
	t.Notes = r.notes()
	if len(t.Rows) == 0 && f != tables.CSV {
		t.Title, t.Header, t.RightAlign = "", nil, nil
	}
	return t
}

// notes sum up what is wrong, and what is only counted.
func (r *lintReport) notes() []string {
	notes := []string{fmt.Sprintf("%d of %s faster than a smaller one, beyond both intervals", r.Inverted, operations(r.Entries))}
	if more := r.Inverted - len(r.found); more > 0 {
		notes = append(notes, fmt.Sprintf("%d more are not listed", more))
	}
	if r.Flagged > 0 {
		var flags []string
		for _, flag := range slices.Sorted(maps.Keys(r.Flags)) {
			flags = append(flags, fmt.Sprintf("%d %s", r.Flags[flag], flag))
		}
		notes = append(notes, fmt.Sprintf("%d of %s flagged: %s", r.Flagged, operations(r.Entries), strings.Join(flags, ", ")))
	}
	if r.WithoutInterval > 0 {
		notes = append(notes, fmt.Sprintf("%d of %s without an interval, which cannot be held against others", r.WithoutInterval, operations(r.Entries)))
	}
	if r.Warnings > 0 {
		notes = append(notes, fmt.Sprintf("%d warnings about the device when it was measured; `report lut` shows them", r.Warnings))
	}
	if !r.Verified {
		notes = append(notes, "unverified: not held against whole networks; do so by `profiler verify`")
	}
	return notes
}
