package command

import (
	"github.com/spf13/cobra"

	"densenas/internal/exit"
)

// help is the subcommand that shows the help of another; one that does not exist is bad input.
func (p Program) help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		Args:  Arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			shown := root
			if len(args) > 0 {
				found, rest, err := root.Find(args)
				if err != nil || found == root || len(rest) > 0 {
					return exit.BadInput("unknown command %q; see `%s --help`", args[0], p.Name)
				}
				shown = found
			}
			shown.InitDefaultHelpFlag()
			return shown.Help()
		},
	}
}
