// Report shows tables, architectures and runs as text, CSV, JSON or Markdown.
//
//	report lut    shows a lookup table: where it was measured, and every entry with its interval
//	report arch   shows an architecture layer by layer: sizes, multiply-adds, and latency by one table or several
//	report run    shows a search epoch by epoch, and the network that it derived
//
// It only reads: files are refused in one line that names file and place, with exit code 2. What rests on a table that was
// never held against whole networks is called unverified. The program links no runtime, so it runs wherever the files are.
package main

import (
	"context"
	"io"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() { exit.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return command.Program{
		Name: "report", Short: "Show tables, architectures and runs",
		Subcommands: []*cobra.Command{lutCommand(), archCommand(), runCommand()},
	}.Run(ctx, args, stdout, stderr)
}

// options are those of one subcommand.
type options interface {
	AddFlags(*pflag.FlagSet)
	Validate() error
}

// subcommand takes one argument, named what, and shows it.
func subcommand(name, what, short, example string, o options, show func(w io.Writer, argument string) error) *cobra.Command {
	c := &cobra.Command{
		Use:     name + " " + what,
		Short:   short,
		Example: example,
		Args:    command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return show(c.OutOrStdout(), args[0])
		},
	}
	c.Flags().SortFlags = false
	o.AddFlags(c.Flags())
	return c
}

// addFormat adds the flag that all subcommands have.
func addFormat(flags *pflag.FlagSet, f *tables.Format) {
	*f = tables.Text
	flags.Var(f, "format", tables.FormatUsage)
}
