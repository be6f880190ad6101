// Profiler measures how long the operations of search spaces and networks take on this device, and writes lookup tables.
//
//	profiler plan     lists what would be measured
//	profiler run      measures, and writes or continues a table
//	profiler measure  measures a network as a whole, and holds a table's prediction against it
//	profiler import   brings a published table into the project's form
//	profiler device   shows the fingerprint of this host, and descriptions of devices
//
// It refuses bad input before it measures anything, in one line and with exit code 2. An interrupted run keeps what was
// complete, and says the command that continues it.
package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"densenas/internal/exit"
)

func main() { exit.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:               "profiler",
		Short:             "Measure how long operations of networks take on this device",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              arguments(0, 0),
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.BadInput("%w; see `%s --help`", err, c.CommandPath())
	})
	root.AddCommand(planCommand(), runCommand(command(args)), measureCommand(), importCommand(), deviceCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// arguments takes from least to most arguments; others are bad input.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return exit.BadInput("an argument is missing: %s", c.UseLine())
		case len(args) > most:
			return exit.BadInput("unexpected argument %q; see `%s --help`", args[most], c.CommandPath())
		}
		return nil
	}
}

// command is the command line that was given, as one pastes it into a shell.
func command(args []string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%"
	words := []string{"profiler"}
	for _, arg := range args {
		if arg == "" || strings.Trim(arg, plain) != "" {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
