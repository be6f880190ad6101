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

	"densenas/internal/exit"
	"densenas/internal/tables"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func main() { exit.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:               "report",
		Short:             "Show tables, architectures and runs",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return exit.BadInput("unknown command %q; see `report --help`", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.BadInput("%w; see `%s --help`", err, c.CommandPath())
	})
	root.AddCommand(lutCommand(), archCommand(), runCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
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
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return exit.BadInput("%d arguments, expected one: %s", len(args), c.UseLine())
			}
			return nil
		},
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
