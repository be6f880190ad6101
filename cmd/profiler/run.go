package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/progress"
	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/gomlxrunner"
	"densenas/supernet/space"
)

type runOptions struct {
	sourceOptions
	backendOptions
	precision float64
	limit     time.Duration
	output    string
}

func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	p := profiler.DefaultPolicy()
	o.sourceOptions.AddFlags(f)
	o.backendOptions.AddFlags(f)
	f.Float64Var(&o.precision, "precision", p.Precision, "measure until the 95 % interval of an operation's median is as narrow as ± this share of it")
	f.DurationVar(&o.limit, "limit", p.Limit, "time to measure an operation for, at most; it is flagged noisy then")
	f.StringVarP(&o.output, "output", "o", "", "table to write, or to continue: FILE.lut.json")
}

func (o *runOptions) Validate() error {
	if err := o.sourceOptions.Validate(); err != nil {
		return err
	}
	if err := o.backendOptions.Validate(); err != nil {
		return err
	}
	if err := o.policy().Check(); err != nil {
		return err
	}
	if o.output == "" {
		return exit.BadInput("no file to write: name it by -o FILE.lut.json")
	}
	return command.CheckOutput(o.output)
}

func (o *runOptions) policy() profiler.Policy {
	p := profiler.DefaultPolicy()
	p.Precision, p.Limit = o.precision, o.limit
	p.WarmUp = min(p.WarmUp, p.Limit)
	return p
}

func runCommand(commandLine string) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run (--space SPACE | --arch FILE)... -o FILE.lut.json",
		Short: "Measure each distinct operation once, and write a lookup table",
		Long: `Measure each distinct operation of spaces and architectures once, and write a lookup table.

The table is saved as the run proceeds. The same command continues an interrupted run, and completes a table to which a
space was added: what a table has is not measured again. A table of another device, runtime, batch or resolution is refused.`,
		Example: `  profiler run --space tiny -o tiny.lut.json
  profiler run --space mbv2 --only '*_r7*' --backend xla --threads 1 -o small.lut.json
  profiler run --arch found.arch.json --resolution 96 --precision 0.01 -o found.lut.json
  profiler run --space mbv2 --device raspberry-pi-5 -o pi.lut.json`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), commandLine, c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *runOptions) run(ctx context.Context, commandLine string, stderr io.Writer) error {
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if _, err := os.Lstat(o.output); err == nil {
		if _, err := lut.Read(o.output); err != nil {
			return fmt.Errorf("cannot continue: %w", err)
		}
	}
	b, err := o.open(stderr)
	if err != nil {
		return err
	}
	defer b.Finalize()
	settings := profiler.Settings{
		Device: b.device, Runtime: b.runtime, Threads: b.threads, Batch: o.batch, Resolutions: plan.Resolutions, DType: "f32", Policy: o.policy(),
	}
	runner := gomlxrunner.New(b.Backend.Backend, o.batch, settings.Policy.Seed)
	return profileInto(ctx, runner, settings, plan, o.output, commandLine, stderr)
}

// profileInto measures what the table at path lacks of a plan. Where ctx ends, what is complete is in the table, stderr says
// how much of the plan that is, and the error the command that continues; or starts again, where nothing was complete.
func profileInto(ctx context.Context, r profiler.Runner, settings profiler.Settings, plan profiler.Plan, path, commandLine string, stderr io.Writer) error {
	before, err := settings.Continue(path)
	if err != nil {
		return err
	}
	ops := profiler.Remaining(plan, before)
	if len(ops) == 0 {
		fmt.Fprintf(stderr, "%s has all %s\n", path, operations(len(plan.Items)))
		return nil
	}
	if have := len(plan.Items) - len(ops); have > 0 {
		fmt.Fprintf(stderr, "%s has %d of %s: going on with the others\n", path, have, operations(len(plan.Items)))
	}
	table := settings.NewTable()
	if before != nil {
		table = before
	}
	remaining := map[space.Op]bool{}
	for _, op := range ops {
		remaining[op] = true
	}
	sentinel, _ := profiler.SentinelOf(plan.Items)
	job := profiler.Job{Sentinel: sentinel, Log: &profiler.Log{}}
	for _, item := range plan.Items {
		if remaining[item.Op] {
			job.Items = append(job.Items, item)
		}
	}
	bar := progress.New(stderr, "measuring", profiler.Steps(len(ops), settings.Policy))
	defer bar.Done()
	err = profiler.Profile(ctx, r, job, settings.Policy, profiler.Observer{
		Progress: bar.Add,
		Save: func(profiler.Record) error {
			settings.Fill(table, job.Log, sentinel.Key())
			return table.Write(path)
		},
	})
	bar.Done()
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		saved := len(plan.Items) - len(profiler.Remaining(plan, table))
		if saved == 0 {
			return fmt.Errorf("%w before an operation was complete: nothing was saved; start again with: %s", exit.Interrupted{}, commandLine)
		}
		fmt.Fprintf(stderr, "%d of %s saved in %s\n", saved, operations(len(plan.Items)), path)
		return exit.Interrupted{Continue: commandLine}
	}
	if err != nil {
		return err
	}
	noisy := 0
	for i := range table.Entries {
		if slices.Contains(table.Entries[i].Flags, profiler.Noisy) {
			noisy++
		}
	}
	if noisy > 0 {
		fmt.Fprintf(stderr, "noisy: %d of %s, with an interval wider than asked for; close other programs, or give more time by --limit\n", noisy, operations(len(table.Entries)))
	}
	return nil
}
