package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
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
		Args:    command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return resume(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
}

func resume(ctx context.Context, folder string, stdout, stderr io.Writer) error {
	s, err := restore(ctx, folder, stderr)
	if errors.Is(err, context.Canceled) {
		return interrupted(folder)
	}
	if err != nil {
		return err
	}
	defer s.close()
	origin, err := rundir.ReadOrigin(folder)
	if err != nil {
		return err
	}
	if found := origin.Differences(rundir.NewOrigin("", command.Version(), "")); len(found) > 0 {
		fmt.Fprintf(stderr, "warning: other than when the run began: %s; numbers may differ from those of a run that was not stopped\n", strings.Join(found, ", "))
	}
	return s.execute(ctx, folder, stdout)
}

// restore opens what the run of a folder needs and puts it where its checkpoint stands.
func restore(ctx context.Context, folder string, stderr io.Writer) (opened *session, err error) {
	config, err := rundir.ReadConfig(folder)
	if err != nil {
		return nil, err
	}
	path := checkpointPath(folder)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, exit.BadInput("%s: no such file, so there is nothing to continue; start the run again by `%s -o NEW_FOLDER`",
			path, command.Line("search", "run", "--config", filepath.Join(folder, rundir.ConfigFile)))
	}
	lock, err := rundir.Acquire(folder)
	if err != nil {
		return nil, err
	}
	files.RemoveAbandoned(path)
	s, err := open(ctx, config, stderr)
	if err != nil {
		lock.Release()
		return nil, err
	}
	s.lock = lock
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	c, err := search.ReadCheckpoint(path, s.identity())
	if err != nil {
		return nil, err
	}
	if err := s.search.Resume(c.State); err != nil {
		return nil, exit.BadInput("%s: %w; start a new run in another folder", path, err)
	}
	if err := s.network.SetState(c.Tensors); err != nil {
		return nil, exit.BadInput("%s: %w; start a new run in another folder", path, err)
	}
	s.chooser.Preset(c.Lowerings)
	return s, rundir.KeepRecords(folder, c.State.Epoch)
}
