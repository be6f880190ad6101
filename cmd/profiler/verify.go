package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/progress"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/space"
)

type verifyOptions struct {
	backend    string
	space      string
	resolution int
	nets       int
	seed       uint64
	precision  float64
	limit      time.Duration

	callsBefore int
	format      tables.Format
}

func (o *verifyOptions) AddFlags(f *pflag.FlagSet) {
	p := profiler.DefaultPolicy()
	f.StringVar(&o.backend, "backend", "", "runtime, as for profiler run (default: the table's)")
	f.StringVar(&o.space, "space", "", "search space to draw networks from (default: the built-in one that the table was measured for)")
	f.IntVar(&o.resolution, "resolution", 0, "side of the networks' input images (default: the table's, if it was measured for one)")
	f.IntVar(&o.nets, "nets", 120, "networks to measure; one half fits, the other is predicted")
	f.Uint64Var(&o.seed, "seed", 1, "decides which networks are drawn, and how they are halved")
	f.Float64Var(&o.precision, "precision", p.Precision, "measure until the 95 % interval of a network's median is as narrow as ± this share of it")
	f.DurationVar(&o.limit, "limit", networkLimit, "time to measure a network for, at most")
	f.IntVar(&o.callsBefore, "calls-before", 1, "call a network so often before it is timed in its turn: 8 for networks whose weights fit into the caches")
	f.Var(&o.format, "format", tables.FormatUsage)
}

func (o *verifyOptions) Validate() error {
	if o.nets < profiler.FewestNetworks || o.nets > profiler.MaxNetworks {
		return exit.BadInput("--nets is %d, allowed is %d to %d", o.nets, profiler.FewestNetworks, profiler.MaxNetworks)
	}
	if o.seed > math.MaxInt64 { // the table has no place for more
		return exit.BadInput("--seed is %d, allowed is 0 to %d", o.seed, int64(math.MaxInt64))
	}
	if o.callsBefore < 1 || o.callsBefore > lut.MaxCallsBefore {
		return exit.BadInput("--calls-before is %d, allowed is 1 to %d", o.callsBefore, lut.MaxCallsBefore)
	}
	if err := checkResolution(o.resolution); err != nil {
		return err
	}
	return o.policy().Check()
}

func (o *verifyOptions) policy() profiler.Policy {
	p := networkPolicy(o.precision, o.limit)
	p.Refresh, p.Seed = o.callsBefore, o.seed
	return p
}

func verifyCommand(commandLine string) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify FILE.lut.json",
		Short: "Hold a table against whole networks, and store how its entries combine",
		Long: `Draw networks in equal numbers from ten bands of the latency range, measure each as a whole on this device, find on one half
of them by which scales the table's entries add up, and predict the other half. The scales and the errors are stored in the
table: every prediction uses them from then on, and its interval holds their error. Without, predictions are called unverified.

The table must have been measured on this device, with this runtime and settings. Measure the table shortly before.`,
		Example: `  profiler verify mbv2.lut.json
  profiler verify tiny.lut.json --nets 60 --calls-before 8 --format json
  profiler verify own.lut.json --space own.yaml --precision 0.005 --limit 10s`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), args[0], commandLine, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *verifyOptions) run(ctx context.Context, path, commandLine string, stdout, stderr io.Writer) error {
	table, err := lut.Read(path)
	if err != nil {
		return err
	}
	if err := command.CheckOutput(path); err != nil {
		return err
	}
	if table.Policy == nil {
		return exit.BadInput("%s: was not measured by profiler run, so it cannot be held against networks on this device; measure another table by: profiler run --space SPACE -o FILE.lut.json", path)
	}
	before := table.Identity()
	s, err := o.source(table)
	if err != nil {
		return err
	}
	networks, err := profiler.DrawNetworks(table, s, o.nets, o.seed)
	if err != nil {
		return err
	}
	b, err := o.open(table, stderr)
	if err != nil {
		return err
	}
	defer b.finalize()
	file := &profiler.NetworksFile{
		Table: profiler.Unverified(table).Identity(), Space: s.Fingerprint(), Resolution: s.Resolution, Drawn: len(networks), Policy: o.policy().Journal(),
	}
	measured := profiler.NetworksPath(path)
	if err := goOn(measured, file, stderr); err != nil {
		return err
	}
	wholes, err := o.measure(ctx, b, table, networks, file, measured, stderr)
	if ctx.Err() != nil {
		return exit.Interrupted{Continue: commandLine}
	}
	if err != nil {
		return err
	}
	if table.Verification, err = profiler.Verify(table, s, wholes, o.seed); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	table.Verification.CallsBefore, table.Verification.References = o.callsBefore, profiler.References(wholes)
	if now, err := lut.Read(path); err != nil || now.Identity() != before {
		return fmt.Errorf("%s: changed while it was verified, so that nothing was stored; verify it again with: %s", path, commandLine)
	}
	if err := table.Write(path); err != nil {
		return err
	}
	return tables.Write(stdout, o.format, verifyTables(table.Verification), newVerifyReport(table.Verification, wholes))
}

// goOn takes the networks that an earlier verification of the same kind, which was stopped, has measured. Those of another kind, or
// of one that came to its end, are given up.
func goOn(path string, file *profiler.NetworksFile, stderr io.Writer) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	earlier, err := profiler.ReadNetworks(path)
	if err != nil {
		return err
	}
	if !file.Continues(earlier) {
		fmt.Fprintf(stderr, "warning: %s is of a verification of another table, or with other settings; starting anew\n", path)
		return nil
	}
	if len(earlier.Networks) < earlier.Drawn {
		file.Networks = earlier.Networks
	}
	return nil
}

// source is the space to draw from.
func (o *verifyOptions) source(t *lut.Table) (*space.Space, error) {
	if o.resolution == 0 && len(t.Resolutions) > 1 {
		return nil, exit.BadInput("%s was measured for the resolutions %s; name one by --resolution: a table is verified for one",
			t.Path(), strings.Trim(fmt.Sprint(t.Resolutions), "[]"))
	}
	if o.resolution > 0 && !slices.Contains(t.Resolutions, o.resolution) {
		return nil, exit.BadInput("%s was measured for resolution %s, not %d; name another --resolution", t.Path(), strings.Trim(fmt.Sprint(t.Resolutions), "[]"), o.resolution)
	}
	if o.space != "" {
		s, err := space.Load(o.space)
		if err != nil {
			return nil, exit.AsBadInput(err)
		}
		return o.at(s, t)
	}
	var found []*space.Space
	for _, name := range space.Names() {
		s, err := space.Load(name)
		if err != nil {
			return nil, err
		}
		if s, err = o.at(s, t); err == nil {
			found = append(found, s)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) == 0 {
		return nil, exit.BadInput("%s has not all operations of any of the spaces %s; name the space that it was measured for by --space", t.Path(), strings.Join(space.Names(), ", "))
	}
	var names []string
	for _, s := range found {
		names = append(names, s.Name)
	}
	return nil, exit.BadInput("%s was measured for several spaces, %s; name one by --space", t.Path(), strings.Join(names, " and "))
}

// at is the space at the table's resolution, if the table has all of its operations.
func (o *verifyOptions) at(s *space.Space, t *lut.Table) (*space.Space, error) {
	name := command.Line(cmp.Or(o.space, s.Name)) // as the user named it
	scaled, err := s.WithResolution(cmp.Or(o.resolution, t.Resolutions[0]))
	if err != nil {
		return nil, exit.AsBadInput(err)
	}
	var ops []space.Op
	for _, c := range scaled.Ops() {
		ops = append(ops, c.Op)
	}
	return scaled, t.Require(ops, fmt.Sprintf("--space %s --resolution %d", name, scaled.Resolution))
}

// open opens what the table was measured with.
func (o *verifyOptions) open(t *lut.Table, stderr io.Writer) (opened, error) {
	options := backendOptions{backend: o.backend, threads: t.Threads, processors: t.Processors, batch: t.Batch,
		onnx: onnxOptions{t.Runtime.Provider, t.Runtime.Optimization, !t.Runtime.NoArena}}
	if o.backend == "" {
		// A name of a file in it would be one that a stranger chose.
		if options.backend = t.Runtime.Name; !slices.Contains([]string{backends.Go, backends.XLA, onnxRuntime}, options.backend) {
			return opened{}, exit.BadInput("%s: measured with the runtime %.40q, which is not one of this program; name one by --backend", t.Path(), t.Runtime.Name)
		}
	}
	if err := options.Validate(); err != nil {
		return opened{}, fmt.Errorf("%s: %w", t.Path(), err) // threads, processors and batch are the table's
	}
	b, err := options.open(stderr)
	if err != nil {
		return opened{}, err
	}
	now := profiler.Settings{Device: b.device, Runtime: b.runtime, Threads: b.threads, Processors: b.processors, Batch: t.Batch, Resolutions: t.Resolutions, DType: t.DType, Layout: b.layout}
	now.Policy.Caches = t.Caches
	if t.Policy != nil {
		now.Policy.Precision = t.Policy.Precision // of the table; the networks' is another matter
	}
	if differences := now.Differences(t); len(differences) > 0 {
		b.finalize()
		return opened{}, exit.BadInput("%s: not measured with what is here, but with %s; measure it again, or verify it where it was measured",
			t.Path(), strings.Join(differences, "; "))
	}
	return b, nil
}

// measure measures the networks that the file has not, beside a sentinel where the table has one, and keeps the file up to date at path.
func (o *verifyOptions) measure(ctx context.Context, b opened, t *lut.Table, networks []*space.Architecture, file *profiler.NetworksFile, path string, stderr io.Writer) ([]profiler.Whole, error) {
	policy := o.policy()
	runner, err := b.runner(runnerOptions{batch: t.Batch, seed: policy.Seed, dtype: t.DType, caches: t.Caches, table: t})
	if err != nil {
		return nil, err
	}
	compile := func(a *space.Architecture) (profiler.Call, error) { return runner.Network(ctx, a) }
	var sentinel profiler.Call
	if t.Sentinel != nil {
		// A network and not the table's operation: what disturbs slows a short operation and a long network by different factors,
		// and the level of both is left to the fit.
		if sentinel, err = compile(profiler.SentinelNetwork(networks)); err != nil {
			return nil, fmt.Errorf("the network that is the sentinel: %w", err)
		}
		defer sentinel.Close()
	}
	bar := progress.New(stderr, "verifying", 2*len(networks))
	defer bar.Done()
	known := profiler.Measured{Networks: file.Networks, Save: func(all []profiler.NetworkRounds) error {
		file.Networks = all
		return file.Write(path)
	}}
	return profiler.MeasureNetworks(ctx, networks, compile, sentinel, policy, known, func(note string) { bar.Add(1, note) })
}

type verifyReport struct {
	*lut.Verification
	Networks []networkReport `json:"networks"`
}

type networkReport struct {
	MeasuredMS  float64 `json:"measured_ms"`
	PredictedMS float64 `json:"predicted_ms"`
	SumMS       float64 `json:"sum_ms"`
	Fitted      bool    `json:"fitted"`
	Noisy       bool    `json:"noisy"`
	Operations  string  `json:"operations"` // keys, by spaces
}

func newVerifyReport(v *lut.Verification, wholes []profiler.Whole) verifyReport {
	r := verifyReport{Verification: v}
	for _, w := range wholes {
		r.Networks = append(r.Networks, networkReport{w.MedianMS, w.PredictedMS, w.SumMS, w.Fitted, w.Noisy, w.Network.Keys()})
	}
	slices.SortFunc(r.Networks, func(a, b networkReport) int { return strings.Compare(a.Operations, b.Operations) })
	return r
}

func verifyTables(v *lut.Verification) []tables.Table {
	percent := func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
	proportion := func(p lut.Proportion) string {
		return fmt.Sprintf("%s (%s–%s)", percent(p.Share), strings.TrimSuffix(percent(p.Low), " %"), percent(p.High))
	}
	errors := tables.Table{
		Title:      fmt.Sprintf("%d networks of space %s at %d×%d that the fit has not seen", v.HeldOut.Networks, v.Space, v.Resolution, v.Resolution),
		Header:     []string{"prediction", "mean error", "median", "worst", "within 5 %", "within 10 %", "tau", "Spearman"},
		RightAlign: []bool{false, true, true, true, true, true, true, true},
	}
	for _, row := range []struct {
		name string
		lut.Accuracy
	}{{"fit", v.HeldOut}, {"plain sum", v.Sum}} {
		errors.Rows = append(errors.Rows, []string{row.name, percent(row.MeanError), percent(row.MedianError), percent(row.WorstError),
			proportion(row.Within5), proportion(row.Within10), fmt.Sprintf("%.3f", row.Tau), fmt.Sprintf("%.3f", row.Spearman)})
	}
	errors.Notes = []string{
		fmt.Sprintf("noise of the networks' own medians: %s, from their split halves", percent(v.NoiseShare)),
		"in parentheses: the 95 % interval of the share, for the number of networks",
	}
	scales := tables.Table{
		Title:      fmt.Sprintf("How entries combine, from %d other networks", v.Fit.Networks),
		Header:     []string{"operations", "scale"},
		RightAlign: []bool{false, true},
		Notes: []string{
			fmt.Sprintf("a network: %.4g ms, and for each operation %.4g ms and its entry less an empty call, by its scale", v.Fit.OffsetMS, v.Fit.OperationMS),
			fmt.Sprintf("95 %% of predictions are off by at most %s, by cross-validation", percent(v.Fit.ResidualShare)),
		},
	}
	for _, term := range v.Fit.Terms {
		scales.Rows = append(scales.Rows, []string{term.Pattern, fmt.Sprintf("%.3f", term.Scale)})
	}
	return []tables.Table{errors, scales}
}
