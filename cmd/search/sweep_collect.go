package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"densenas/internal/command"
	"densenas/internal/tables"
	"densenas/search/rundir"
	"densenas/supernet/space"
)

// The states of a search in a sweep.
const (
	stateMissing    = "missing"    // not begun
	stateUnfinished = "unfinished" // running, or interrupted
	stateFinished   = "finished"
)

// sweepResult is one search of a sweep. What is not known yet is absent.
type sweepResult struct {
	Run      int     `json:"run"` // number, from 0
	Name     string  `json:"name"`
	TargetMS float64 `json:"target_ms"`
	Seed     uint64  `json:"seed"`
	Device   string  `json:"device"`
	State    string  `json:"state"`
	Epochs   int     `json:"epochs_done"`
	// Predicted is the derived network's.
	Predicted *space.Prediction `json:"predicted,omitempty"`
	// Expected latency of the super network and accuracy on the held-out images, in the last epoch done.
	ExpectedMS      *float64 `json:"expected_ms,omitempty"`
	HeldOutAccuracy *float64 `json:"held_out_accuracy,omitempty"`
}

func newSweepCollectCommand() *cobra.Command {
	var format tables.Format
	c := &cobra.Command{
		Use:   "collect FOLDER",
		Short: "Show the results of a sweep in one table",
		Long: `Gather the results of the searches of a sweep, finished or not: the latency that the table predicts for the derived network, with
its interval, and of the last epoch the latency expected of the super network and the accuracy on the held-out images.`,
		Example: `  search sweep collect sweep
  search sweep collect sweep --format csv > sweep.csv`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			results, err := collectSweep(args[0])
			if err != nil {
				return err
			}
			return tables.Write(c.OutOrStdout(), format, []tables.Table{sweepTable(args[0], format, results)}, results)
		},
	}
	c.Flags().Var(&format, "format", tables.FormatUsage)
	return c
}

func collectSweep(folder string) ([]sweepResult, error) {
	plan, err := rundir.ReadSweep(folder)
	if err != nil {
		return nil, err
	}
	var results []sweepResult
	for i, run := range plan.Runs() {
		r := sweepResult{Run: i, Name: run.Name, TargetMS: run.TargetMS, Seed: run.Seed, Device: run.Device, State: stateMissing}
		if err := r.collect(filepath.Join(folder, run.Name)); err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}

func (r *sweepResult) collect(folder string) error {
	if _, err := os.Stat(checkpointPath(folder)); err != nil {
		return nil
	}
	r.State = stateUnfinished
	records, _, err := rundir.ReadRecords(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.Epochs = len(records)
	if n := len(records); n > 0 {
		r.ExpectedMS, r.HeldOutAccuracy = &records[n-1].ExpectedLatencyMS, records[n-1].HeldOutAccuracy
	}
	path := filepath.Join(folder, rundir.ArchitectureFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	a, err := space.ReadArchitecture(path)
	if err != nil {
		return err
	}
	r.State, r.Predicted = stateFinished, a.Predicted
	return nil
}

func sweepTable(folder string, format tables.Format, results []sweepResult) tables.Table {
	t := tables.Table{
		Title:      "Sweep " + filepath.Base(filepath.Clean(folder)),
		Header:     []string{"run", "device", "target ms", "seed", "state", "epochs", "predicted ms", "interval", "expected ms", "held-out"},
		RightAlign: []bool{true, false, true, true, false, true, true, true, true, true},
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	percent := func(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }
	interval := func(p *space.Prediction) []string { return []string{number(p.LowMS) + " to " + number(p.HighMS)} }
	if format == tables.CSV {
		t.Header = []string{"run", "device", "target_ms", "seed", "state", "epochs_done", "predicted_ms", "predicted_low_ms", "predicted_high_ms", "expected_ms", "held_out_accuracy"}
		t.RightAlign = nil
		number = func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
		percent = number
		interval = func(p *space.Prediction) []string { return []string{number(p.LowMS), number(p.HighMS)} }
	}
	finished, verified := 0, true
	for _, r := range results {
		optional := func(v *float64, text func(float64) string) string {
			if v == nil {
				return ""
			}
			return text(*v)
		}
		row := []string{strconv.Itoa(r.Run), r.Device, number(r.TargetMS), strconv.FormatUint(r.Seed, 10), r.State, strconv.Itoa(r.Epochs)}
		if r.Predicted != nil {
			row = append(append(row, number(r.Predicted.LatencyMS)), interval(r.Predicted)...)
			verified = verified && r.Predicted.Verified
		} else {
			row = append(row, make([]string, 1+len(interval(new(space.Prediction))))...)
		}
		if r.State == stateFinished {
			finished++
		}
		t.Rows = append(t.Rows, append(row, optional(r.ExpectedMS, number), optional(r.HeldOutAccuracy, percent)))
	}
	t.Notes = []string{fmt.Sprintf("%d of %d searches are finished", finished, len(results))}
	if finished < len(results) {
		t.Notes = append(t.Notes, "continue with: "+command.Line("search", "sweep", "resume", folder))
	}
	if !verified {
		t.Notes = append(t.Notes, "predictions are unverified: sums of operations measured alone, not held against whole networks")
	}
	t.Notes = append(t.Notes, "expected: of the super network, in its last epoch; held-out: accuracy inside the super network on images that its weights do not see")
	return t
}
