package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"densenas/internal/exit"
	"densenas/search"
	"densenas/search/rundir"
)

func newResumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume FOLDER",
		Short: "Continue a run from its last checkpoint",
		Long: `Continue the run of a folder that search run created, from its last checkpoint, as if it had not stopped.

Space, table, data and runtime must be those of the run; otherwise it is refused with what differs.`,
		Example: `  search resume run`,
		Args:    arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return resume(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
}

func resume(ctx context.Context, folder string, stdout, stderr io.Writer) error {
	config, err := rundir.ReadConfig(folder)
	if err != nil {
		return err
	}
	s, err := open(ctx, config, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	c, err := search.ReadCheckpoint(checkpointPath(folder), s.identity())
	if err != nil {
		return err
	}
	if err := s.search.Resume(c.State); err != nil {
		return exit.BadInput("%s: %w; start a new run in another folder", checkpointPath(folder), err)
	}
	if err := s.network.SetState(c.Tensors); err != nil {
		return exit.BadInput("%s: %w; start a new run in another folder", checkpointPath(folder), err)
	}
	s.chooser.Preset(c.Lowerings)
	if err := rundir.KeepRecords(folder, c.State.Epoch); err != nil {
		return err
	}
	return s.execute(ctx, folder, stdout)
}
