package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/devices"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/progress"
	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/gomlxrunner"
)

type runOptions struct {
	sourceOptions
	backendOptions
	precision float64
	limit     time.Duration
	budget    time.Duration
	shard     string
	part, of  int // of the plan; 0: all of it
	dtype     string
	caches    string
	output    string
}

func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	p := profiler.DefaultPolicy()
	o.sourceOptions.AddFlags(f)
	o.backendOptions.AddFlags(f)
	f.Float64Var(&o.precision, "precision", p.Precision, "measure until the 95 % interval of an operation's median is as narrow as ± this share of it")
	f.DurationVar(&o.limit, "limit", p.Limit, "time to measure an operation for, at most; it is flagged noisy then")
	f.DurationVar(&o.budget, "budget", 0, "time for the whole run: every operation gets its first rounds, and the rest of it goes where it helps most (default: none)")
	f.StringVar(&o.shard, "shard", "", "measure `PART/PARTS`, such as 2/8, of the plan, on one of several equal devices; \"profiler merge\" joins the tables")
	f.StringVar(&o.dtype, "dtype", "f32", "type of the numbers: f32, bf16 or f16")
	f.StringVar(&o.caches, "caches", p.Caches, "what the processor's caches hold when an operation is called: warm, its own data, or cold, 64 MB of other data")
	f.StringVarP(&o.output, "output", "o", "", "table to write, or to continue: FILE.lut.json; its raw samples are beside it in FILE.samples.jsonl")
}

func (o *runOptions) Validate() error {
	if err := o.sourceOptions.Validate(); err != nil {
		return err
	}
	if err := o.backendOptions.Validate(); err != nil {
		return err
	}
	if err := gomlxrunner.CheckDType(o.dtype); err != nil {
		return exit.BadInput("--dtype: %w", err)
	}
	if err := o.policy().Check(); err != nil {
		return err
	}
	if err := o.parseShard(); err != nil {
		return err
	}
	if o.output == "" {
		return exit.BadInput("no file to write: name it by -o FILE.lut.json")
	}
	return command.CheckOutput(o.output)
}

func (o *runOptions) parseShard() error {
	if o.shard == "" {
		return nil
	}
	part, of, _ := strings.Cut(o.shard, "/")
	var err1, err2 error
	o.part, err1 = strconv.Atoi(part)
	o.of, err2 = strconv.Atoi(of)
	if err1 != nil || err2 != nil || o.part < 1 || o.part > o.of || o.of > 1000 {
		return exit.BadInput("--shard is %q, expected a part of a number of parts, up to 1000: 2/8 is the second of eight", o.shard)
	}
	return nil
}

func (o *runOptions) policy() profiler.Policy {
	p := profiler.DefaultPolicy()
	p.Precision, p.Limit, p.Total, p.Caches = o.precision, o.limit, o.budget, o.caches
	p.WarmUp = min(p.WarmUp, p.Limit)
	if o.caches == lut.Cold {
		// Each call is a lap, because a second one in a row would not be cold, and costs the time to make it so.
		p.MinLap, p.MaxRounds = time.Nanosecond, 160
	}
	return p
}

func runCommand(commandLine string) *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run (--space SPACE | --arch FILE)... -o FILE.lut.json",
		Short: "Measure each distinct operation once, and write a lookup table",
		Long: `Measure each distinct operation of spaces and architectures once, and write a lookup table.

Raw samples are in a journal beside the table, FILE.samples.jsonl, as soon as an operation is complete, and the table follows
from it. The same command continues an interrupted or killed run, and completes a table to which a space was added: what a
table has is not measured again. A table of another device, runtime, batch, resolution or precision is refused.

One operation, the sentinel, runs in every round. Rounds in which it is slower than before by 10 % do not count, so that other
programs, which come and go, do not move the results.`,
		Example: `  profiler run --space tiny -o tiny.lut.json
  profiler run --space mbv2 --only '*_r7*' --backend xla --threads 1 -o small.lut.json
  profiler run --arch found.arch.json --resolution 96 --precision 0.02 -o found.lut.json
  profiler run --space mbv2 --budget 10m -o mbv2.lut.json
  profiler run --space mbv2 --shard 2/8 -o part2.lut.json
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
	shard := plan
	if o.of > 0 {
		if shard = plan.Shard(o.part, o.of); len(shard.Items) == 0 {
			return exit.BadInput("--shard %s is empty: there are only %s; use fewer parts", o.shard, operations(len(plan.Items)))
		}
	}
	if _, err := os.Lstat(o.output); err == nil {
		if _, err := lut.Read(o.output); err != nil {
			return fmt.Errorf("cannot continue: %w", err)
		}
	}
	warnings := devices.Warnings(o.examine())
	b, err := o.open(stderr)
	if err != nil {
		return err
	}
	defer b.finalize()
	settings := profiler.Settings{
		Device: b.device, Runtime: b.runtime, Threads: b.threads, Processors: b.processors, Batch: o.batch, Resolutions: plan.Resolutions, DType: o.dtype, Layout: b.layout, Policy: o.policy(),
	}
	runner, err := b.runner(runnerOptions{batch: o.batch, seed: settings.Policy.Seed, dtype: o.dtype, caches: o.caches, plan: shard.Ops()})
	if err != nil {
		return err
	}
	store, err := settings.Open(o.output, plan, shard)
	if err != nil {
		return err
	}
	if o.of > 0 {
		store.Note(fmt.Sprintf("shard %d of %d of a plan of %s", o.part, o.of, operations(len(plan.Items))))
	}
	if !store.Job.Finished(settings.Policy) {
		for _, text := range warnings {
			fmt.Fprintf(stderr, "warning: %s\n", text)
		}
		store.Warn(warnings)
	}
	err = profileInto(ctx, runner, settings.Policy, store, o.output, commandLine, stderr)
	if closing := store.Close(); err == nil { // else it is most likely the same error again
		err = closing
	}
	return err
}

// profileInto measures what a store lacks. Where ctx ends, what is complete is in the table at path, and rounds of what is not in its
// journal; stderr says how many operations that is, and the error the command that continues; or starts again, where there is
// nothing.
func profileInto(ctx context.Context, r profiler.Runner, policy profiler.Policy, store *profiler.Store, path, commandLine string, stderr io.Writer) error {
	remaining := len(store.Remaining())
	verified := store.Table.Verified()
	have := len(store.Table.Entries)
	switch {
	case store.Job.Finished(policy):
		fmt.Fprintf(stderr, "%s has all %s\n", path, operations(len(store.Job.Items)))
		return store.Write()
	case remaining == 0:
		fmt.Fprintf(stderr, "%s has all %s: going on with those that are not precise yet\n", path, operations(len(store.Job.Items)))
	case have > 0:
		fmt.Fprintf(stderr, "%s has %s: going on with %d\n", path, operations(have), remaining)
	}
	bar := progress.New(stderr, "measuring", profiler.Steps(remaining, policy))
	defer bar.Done()
	err := profiler.Profile(ctx, r, store.Job, policy, profiler.Observer{Progress: bar.Add, Save: store.Save})
	bar.Done()
	if err := store.Write(); err != nil {
		return err
	}
	if verified && !store.Table.Verified() {
		fmt.Fprintf(stderr, "%s has other entries than those that were held against whole networks: do so again, by `profiler verify`\n", path)
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		saved, partial := len(store.Table.Entries), store.Job.Log.Partial()
		if saved+partial == 0 {
			return fmt.Errorf("%w before the first round ended: nothing was saved; start again with: %s", exit.Interrupted{}, commandLine)
		}
		fmt.Fprintf(stderr, "%d of %s saved in %s", saved, operations(saved+len(store.Remaining())), path)
		if partial > 0 {
			fmt.Fprintf(stderr, ", the rounds of %d more beside it", partial)
		}
		fmt.Fprintln(stderr)
		return exit.Interrupted{Continue: commandLine}
	}
	if err != nil {
		return err
	}
	report(stderr, store.Table, policy)
	return nil
}

// report says what a finished table is worth.
func report(stderr io.Writer, t *lut.Table, policy profiler.Policy) {
	noisy, throttled := 0, 0
	for i := range t.Entries {
		if slices.Contains(t.Entries[i].Flags, profiler.Noisy) {
			noisy++
		}
		if slices.Contains(t.Entries[i].Flags, profiler.Throttled) {
			throttled++
		}
	}
	all := operations(len(t.Entries))
	if noisy > 0 {
		more := "more time by --limit"
		if policy.Total > 0 {
			more = "a larger --budget, which continues"
		}
		fmt.Fprintf(stderr, "noisy: %d of %s, with an interval wider than asked for; close other programs, or give %s\n", noisy, all, more)
	}
	if throttled > 0 {
		fmt.Fprintf(stderr, "throttled: %d of %s, measured while the device was slower than over the rest of the run\n", throttled, all)
	}
	if s := t.Sentinel; s != nil && s.Dropped > 0 {
		fmt.Fprintf(stderr, "%d rounds were discarded because the device was slower than before, %d count\n", s.Dropped, s.Rounds)
	}
}
