package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/space"
)

// The forms of an export.
const (
	exportCSV        = "csv"
	exportDenseNAS   = "densenas"
	exportBenchmarks = "benchfmt"
)

type exportOptions struct {
	input      string
	format     string
	space      string
	resolution int
	output     string // empty: standard output
}

func (o *exportOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", exportCSV, "form to write: csv, a row for each entry; benchfmt, raw samples for benchstat; densenas, the nested list of the published implementation")
	f.StringVar(&o.space, "space", "", "for densenas: space whose operations are written, such as mbv2")
	f.IntVar(&o.resolution, "resolution", 0, "for densenas: side of the input images (default: the table's, where it has one)")
	f.StringVarP(&o.output, "output", "o", "", "file to write (default: standard output)")
}

func (o *exportOptions) Validate() error {
	switch o.format {
	case exportDenseNAS:
		if o.space == "" {
			return exit.BadInput("the form densenas is that of a space: name it by --space")
		}
		if err := checkResolution(o.resolution); err != nil {
			return err
		}
	case exportCSV, exportBenchmarks:
		if o.space != "" || o.resolution != 0 {
			return exit.BadInput("--space and --resolution are for --format densenas alone; %s has all entries", o.format)
		}
	default:
		return exit.BadInput("unknown format %q, known are csv, benchfmt and densenas", o.format)
	}
	if o.output == "" {
		return nil
	}
	return command.CheckOutput(o.output, o.input, profiler.JournalPath(o.input), o.space)
}

func exportCommand() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export FILE.lut.json --format FORMAT",
		Short: "Write a table in a form that others read",
		Long: `Write a table in a form that others read.

csv       a row for each entry with all its columns; times as measured, each with one call in it
benchfmt  the raw samples, out of FILE.samples.jsonl beside the table, in the format of Go's benchmarks for benchstat: a line
          for the median of each round that counts
densenas  the nested list of times that the published implementation and "profiler import" read; the times of a network add
          up to what the table predicts: without the call of each operation, by the fit of a verified table, and with one call,
          or the fit's offset, in the first number. Import, export and import give the same times`,
		Example: `  profiler export board.lut.json --format csv -o board.csv
  profiler export monday.lut.json --format benchfmt -o monday.txt && benchstat monday.txt tuesday.txt
  profiler export board.lut.json --format densenas --space mbv2 -o board.txt`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			o.input = args[0]
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *exportOptions) run(stdout, stderr io.Writer) error {
	t, err := lut.Read(o.input)
	if err != nil {
		return err
	}
	write := lut.ExportCSV
	switch o.format {
	case exportBenchmarks:
		samples, err := samplesOf(t, false, stderr)
		if err != nil {
			return err
		}
		if samples == nil {
			return exit.BadInput("%s: there is no journal %s, which has the raw samples; it is written by `profiler run`", o.input, profiler.JournalPath(o.input))
		}
		write = func(w io.Writer, t *lut.Table) error {
			n, err := lut.ExportBenchmarks(w, t, samples)
			if err == nil && n == 0 {
				err = exit.BadInput("%s has no samples of the entries of %s; are they of the same run?", profiler.JournalPath(o.input), o.input)
			}
			return err
		}
	case exportDenseNAS:
		s, err := o.spaceOf(t)
		if err != nil {
			return err
		}
		var ops []space.Op
		for _, c := range s.Ops() {
			ops = append(ops, c.Op)
		}
		// The command that measures what is missing has the space as the user named it.
		if err := t.Require(ops, fmt.Sprintf("--space %s --resolution %d", command.Line(o.space), s.Resolution)); err != nil {
			return err
		}
		write = func(w io.Writer, t *lut.Table) error { return lut.ExportDenseNAS(w, t, s) }
	}
	if o.output != "" {
		return files.WriteAtomic(o.output, func(w io.Writer) error { return write(w, t) })
	}
	buffered := bufio.NewWriter(stdout)
	if err := write(buffered, t); err != nil {
		return err
	}
	return buffered.Flush()
}

// spaceOf loads the space, at the resolution that is asked for, or that the table was measured for.
func (o *exportOptions) spaceOf(t *lut.Table) (*space.Space, error) {
	s, err := space.Load(o.space)
	if err != nil {
		return nil, exit.AsBadInput(err)
	}
	resolution := o.resolution
	switch {
	case resolution > 0:
	case slices.Contains(t.Resolutions, s.Resolution):
		return s, nil
	case len(t.Resolutions) == 1:
		resolution = t.Resolutions[0]
	default:
		return nil, exit.BadInput("%s was measured for the resolutions %s; name one by --resolution", o.input, fmt.Sprint(t.Resolutions))
	}
	if s, err = s.WithResolution(resolution); err != nil {
		return nil, exit.BadInput("--space %s --resolution %d: %w", o.space, resolution, err)
	}
	return s, nil
}
