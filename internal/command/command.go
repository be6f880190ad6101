// Package command holds what the programs' command lines have in common: the root command, the number of arguments, the
// check of an output file, and command lines as one pastes them into a shell.
package command

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"densenas/internal/exit"
)

// Program is a program of subcommands.
type Program struct {
	Name, Short string
	Subcommands []*cobra.Command
}

// Run runs the program with arguments. Usage errors are bad input; a cancelled context is [exit.Interrupted], with nothing
// to continue unless the subcommand said so.
func (p Program) Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := &cobra.Command{
		Use:               p.Name,
		Short:             p.Short,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return exit.BadInput("unknown command %q; see `%s --help`", args[0], p.Name)
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.BadInput("%w; see `%s --help`", err, c.CommandPath())
	})
	root.AddCommand(p.Subcommands...)
	root.SetHelpCommand(p.help(root))
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if saved := (exit.Interrupted{}); errors.Is(err, context.Canceled) && !errors.As(err, &saved) {
		return exit.Interrupted{}
	}
	return err
}

// Arguments takes from least to most arguments; others are bad input.
func Arguments(least, most int) cobra.PositionalArgs {
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

// Line is a command line as one pastes it into a shell.
func Line(words ...string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%"
	quoted := make([]string, len(words))
	for i, word := range words {
		if word == "" || strings.Trim(word, plain) != "" {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted[i] = word
	}
	return strings.Join(quoted, " ")
}
