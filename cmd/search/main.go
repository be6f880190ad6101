// Search finds the most accurate network that meets a latency on a device, by training a super network with the device's
// lookup table as its second objective.
//
//	search run      searches, into a run folder
//	search resume   continues a run folder
//	search derive   turns architecture parameters into an architecture, within a latency if asked
//	search cost     computes the expected latency of architecture parameters
//	search range    says how fast and how slow the networks of a space can be
//	search train    trains an architecture from scratch and tests it
//
// It refuses bad input before it creates or computes anything, in one line and with exit code 2. An interrupted run is
// saved, and says the command that continues it.
package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"densenas/internal/exit"
)

func main() { exit.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:               "search",
		Short:             "Search for the network that meets a latency on a device",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              arguments(0, 0),
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.BadInput("%w; see `%s --help`", err, c.CommandPath())
	})
	root.AddCommand(newRunCommand(), newResumeCommand(), newDeriveCommand(), newCostCommand(), newRangeCommand(), newTrainCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if saved := (exit.Interrupted{}); errors.Is(err, context.Canceled) && !errors.As(err, &saved) {
		return exit.Interrupted{} // before there was anything to continue
	}
	return err
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
