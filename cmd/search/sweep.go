package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/rundir"
	"densenas/supernet/space"
)

// sweepOptions are what search sweep is asked for: the settings that all of its searches have in common, and in what they differ.
type sweepOptions struct {
	settings
	Tables  []string
	Targets []time.Duration
	Seeds   int

	Kubernetes bool
	Cluster    clusterOptions
}

func (o *sweepOptions) AddFlags(f *pflag.FlagSet) {
	o.settings.AddFlags(f)
	f.StringArrayVar(&o.Tables, "lut", nil, "lookup table of a device, FILE.lut.json; once per device")
	f.DurationSliceVar(&o.Targets, "targets", nil, "latencies that the derived networks must meet, such as 10ms,15ms,20ms")
	f.IntVar(&o.Seeds, "seeds", 1, "searches per target and device, each with the next seed")
	f.Uint64Var(&o.Seed, "seed", 1, "the first of the seeds")
	f.StringVarP(&o.Output, "output", "o", "", "folder of the sweep, to create or to continue")
	f.BoolVar(&o.Kubernetes, "kubernetes", false, "search nothing here: write an Indexed Job that runs every search in a pod of its own")
	o.Cluster.AddFlags(f)
}

func (o *sweepOptions) Validate() error {
	if err := o.settings.Validate(); err != nil {
		return err
	}
	switch {
	case len(o.Targets) == 0:
		return exit.BadInput("no targets: give --targets 10ms,15ms,20ms")
	case slices.Min(o.Targets) <= 0:
		return exit.BadInput("--targets has %v, allowed are positive durations such as 15ms", slices.Min(o.Targets))
	case o.Seeds < 1 || o.Seeds > 10_000:
		return exit.BadInput("--seeds is %d, allowed is 1 to 10000", o.Seeds)
	}
	if o.Kubernetes {
		return o.Cluster.Validate()
	}
	return o.Cluster.unused(o.flags)
}

// plan is the sweep that the flags ask for. Every table is read, and every target is held against it.
func (o *sweepOptions) plan() (*rundir.Sweep, error) {
	plan := new(rundir.Sweep)
	for _, target := range o.Targets {
		plan.TargetsMS = append(plan.TargetsMS, milliseconds(target))
	}
	for i := range o.Seeds {
		plan.Seeds = append(plan.Seeds, o.Seed+uint64(i))
	}
	c, err := o.config(func(c *rundir.Config) error {
		if !c.Has(rundir.ObjectiveLatency) || len(c.OtherLUTs) > 0 {
			return exit.BadInput("a sweep is over latencies, by one table in each search: leave other_luts out of --config, and let --objective have %s", rundir.ObjectiveLatency)
		}
		if len(o.Tables) == 0 && c.LUT.Path != "" {
			o.Tables = []string{c.LUT.Path}
		}
		if len(o.Tables) > 0 {
			c.LUT.Path = o.Tables[0]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	fastest := slices.Min(plan.TargetsMS)
	for _, path := range o.Tables {
		s := &session{config: c}
		c.LUT.Path, c.TargetLatencyMS = absolute(path), fastest
		if err := s.openGoals(); err != nil {
			return nil, err
		}
		c.SpaceFingerprint = s.base.Fingerprint()
		relative, err := rundir.Relative(o.Output, c.LUT.Path)
		if err != nil {
			return nil, err
		}
		plan.Tables = append(plan.Tables, rundir.SweepTable{Path: relative, Identity: s.tables[0].Identity()})
	}
	plan.Config = *c
	own := &plan.Config
	own.LUT.Path, own.LUT.Identity, own.TargetLatencyMS, own.Seed = "", "", 0, o.Seed
	for _, path := range []*string{&own.Space, &own.Data} {
		if *path, err = rundir.Relative(o.Output, *path); err != nil {
			return nil, err
		}
	}
	if err := plan.Validate(); err != nil {
		return nil, exit.BadInput("%w; change --targets, --seeds or --lut", err)
	}
	return plan, nil
}

func newSweepCommand() *cobra.Command {
	var o sweepOptions
	c := &cobra.Command{
		Use:   "sweep --space SPACE --lut FILE... --data DATA --targets T,T,... -o FOLDER",
		Short: "Search for every target, seed and device",
		Long: `Run one search for every target, every seed and every device, which is a table, into run folders inside one folder.

The searches run one after another. Those that are finished are not repeated, and one that was interrupted goes on where it
stopped, by the same command or by search sweep resume. search sweep collect gathers the results.

With --kubernetes nothing is searched here: the folder gets job.yaml, an Indexed Job of one pod per search. All files must
lie in the folder that the pods' volume holds, --volume-folder; the volume is mounted at --mount-path.`,
		Example: `  search sweep --space tiny --lut host.lut.json --data mnist --targets 0.15ms,0.25ms --seeds 3 -o sweep
  search sweep --space cifar --lut phone.lut.json --lut board.lut.json --data pictures.zip --targets 10ms,15ms -o sweep
  search sweep --space mbv2 --lut /volume/phone.lut.json --data /volume/imagenet --targets 10ms,15ms,20ms --seeds 3 \
      --kubernetes --image registry.example/densenas:1 --claim densenas --volume-folder /volume -o /volume/sweep
  search sweep collect sweep`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	c.AddCommand(newSweepResumeCommand(), newSweepCollectCommand())
	return c
}

func (o *sweepOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if o.Kubernetes {
		job, err := o.Cluster.job(o.Output, plan)
		if err != nil {
			return err
		}
		if err := createSweep(o.Output, plan); err != nil {
			return err
		}
		return o.Cluster.write(o.Output, job, stdout)
	}
	if err := createSweep(o.Output, plan); err != nil {
		return err
	}
	return runSweep(ctx, o.Output, plan, allRuns, stdout, stderr)
}

// createSweep creates the folder of a sweep with its plan, or accepts one that has the same.
func createSweep(folder string, plan *rundir.Sweep) error {
	path := filepath.Join(folder, rundir.SweepFile)
	if _, err := os.Stat(path); err == nil {
		there, err := rundir.ReadSweep(folder)
		if err != nil {
			return err
		}
		old, err := there.Encode()
		if err != nil {
			return err
		}
		asked, err := plan.Encode()
		if err != nil {
			return err
		}
		if string(old) != string(asked) {
			return exit.BadInput("%s holds another sweep; continue that one by `%s`, or name another folder", folder, command.Line("search", "sweep", "resume", folder))
		}
		return nil
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		if err := checkEmpty(folder); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return exit.BadInput("-o: %w; name a folder that can be created", err)
	}
	return plan.Write(folder)
}

// allRuns, instead of a number from 0, stands for all searches of a sweep.
const allRuns = -1

func newSweepResumeCommand() *cobra.Command {
	only := allRuns
	c := &cobra.Command{
		Use:   "resume FOLDER",
		Short: "Continue a sweep with the searches that are not finished",
		Long: `Continue the sweep of a folder that search sweep created: searches that are not finished go on, others begin.

With --run only one search is run, by its number in the order of search sweep collect, from 0. The pods of a cluster do so.`,
		Example: `  search sweep resume sweep
  search sweep resume sweep --run 3`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			plan, err := rundir.ReadSweep(args[0])
			if err != nil {
				return err
			}
			if n := len(plan.Runs()); c.Flags().Changed("run") && (only < 0 || only >= n) {
				return exit.BadInput("--run is %d, %s has the searches 0 to %d", only, args[0], n-1)
			}
			return runSweep(c.Context(), args[0], plan, only, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().IntVar(&only, "run", allRuns, "number of the only search to run, from 0")
	c.Flags().Lookup("run").DefValue = "all"
	return c
}

// runSweep runs one search of a sweep, or all, one after another. One that fails does not keep the others from running.
func runSweep(ctx context.Context, folder string, plan *rundir.Sweep, only int, stdout, stderr io.Writer) error {
	words := []string{"search", "sweep", "resume", folder}
	if only != allRuns {
		words = append(words, "--run", strconv.Itoa(only))
	}
	runs := plan.Runs()
	var failed []error
	for i, run := range runs {
		if only != allRuns && i != only {
			continue
		}
		if err := ctx.Err(); err != nil {
			return exit.Interrupted{Continue: command.Line(words...)}
		}
		fmt.Fprintf(stderr, "search %d of %d: %s\n", i+1, len(runs), run.Name)
		err := runOne(ctx, folder, plan, run, stdout, stderr)
		if exit.Code(err) == exit.CodeInterrupted {
			return exit.Interrupted{Continue: command.Line(words...)}
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", run.Name, err)
			failed = append(failed, err)
			if only == allRuns {
				fmt.Fprintf(stderr, "search %d of %d failed: %s\n", i+1, len(runs), exit.OneLine(err.Error()))
			}
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case only != allRuns:
		return failed[0]
	}
	return fmt.Errorf("%d of %d searches failed, the first: %w; run them again by `%s`", len(failed), len(runs), failed[0], command.Line(words...))
}

// runOne runs a search of a sweep from where it stands: from its beginning, from its checkpoint, or not at all.
func runOne(ctx context.Context, folder string, plan *rundir.Sweep, run rundir.SweepRun, stdout, stderr io.Writer) error {
	c, err := plan.ConfigOf(folder, run)
	if err != nil {
		return err
	}
	return runIn(ctx, filepath.Join(folder, run.Name), c, "sweep", command.Line("search", "sweep", "resume", folder), stdout, stderr)
}

// runIn runs the search of a configuration in a run folder from where it stands. Space and table must be those that the configuration
// names by fingerprint and identity, which a plan, of which it is a part, was made with. The command line is one that runs the plan.
func runIn(ctx context.Context, at string, c *rundir.Config, plan, commandLine string, stdout, stderr io.Writer) error {
	if _, err := os.Stat(filepath.Join(at, rundir.ArchitectureFile)); err == nil {
		return nil
	}
	if _, err := os.Stat(checkpointPath(at)); err == nil {
		return resume(ctx, at, stdout, stderr)
	}
	if err := unchanged(c, plan); err != nil {
		return err
	}
	if err := clearUnbegun(at); err != nil {
		return err
	}
	s, err := begin(ctx, c, at, commandLine, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	return s.execute(ctx, at, stdout)
}

// clearUnbegun removes what a search left that was killed before it had a checkpoint, unless another one is just beginning there.
func clearUnbegun(folder string) error {
	if _, err := os.Stat(folder); err != nil {
		return nil
	}
	lock, err := rundir.Acquire(folder)
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := os.Stat(checkpointPath(folder)); errors.Is(err, fs.ErrNotExist) {
		removeUnbegun(folder)
	}
	return nil
}

// unchanged refuses a space and a table that are not those of the plan: its searches would not be comparable.
func unchanged(c *rundir.Config, plan string) error {
	s, err := space.Load(c.Space)
	if err != nil {
		return err
	}
	if s.Fingerprint() != c.SpaceFingerprint {
		return exit.BadInput("%s: is not the space that the %s was planned with; restore it, or plan another %s", c.Space, plan, plan)
	}
	table, err := lut.Read(c.LUT.Path)
	if err != nil {
		return err
	}
	if table.Identity() != c.LUT.Identity {
		return exit.BadInput("%s: is not the table that the %s was planned with; restore it, or plan another %s", c.LUT.Path, plan, plan)
	}
	return nil
}
