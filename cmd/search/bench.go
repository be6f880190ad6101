package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/allocator"
	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/progress"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/search"
	"densenas/supernet"
	"densenas/supernet/lowering"
	"densenas/supernet/space"
)

// benchOptions are what search bench is asked for.
type benchOptions struct {
	Space      string
	Resolution int
	Batch      int
	Classes    int
	Steps      int
	FixedPath  bool
	Backend    string
	Threads    int
	Sharing    sharing
	DTypes     []string
	Profile    bool
	Format     tables.Format
}

func (o *benchOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Space, "space", "mbv2", "space: mbv2, res, cifar, mbv2-fixed, cifar-fixed, tiny, or a YAML file")
	f.IntVar(&o.Resolution, "resolution", 64, "side of the images in pixels")
	f.IntVar(&o.Batch, "batch", 8, "images per step")
	f.IntVar(&o.Classes, "classes", 100, "classes of the images")
	f.IntVar(&o.Steps, "steps", 7, "steps of each kind that are timed")
	f.BoolVar(&o.FixedPath, "fixed-path", false, "sample the same operations at every step, and compile only those")
	f.StringVar(&o.Backend, "backend", "auto", backends.Usage)
	f.IntVar(&o.Threads, "threads", 0, "threads that execute operations; 0 for no limit")
	o.Sharing.AddFlags(f)
	f.StringSliceVar(&o.DTypes, "dtype", []string{lut.F32}, dtypeUsage+"; f32,bf16 times one after the other")
	f.BoolVar(&o.Profile, "profile", false, "print where the time goes, next to the floors of arithmetic and memory traffic")
	f.Var(&o.Format, "format", tables.FormatUsage)
}

func (o *benchOptions) Validate() error {
	for _, number := range []struct {
		flag  string
		value int
	}{{"--batch", o.Batch}, {"--classes", o.Classes}, {"--steps", o.Steps}, {"--resolution", o.Resolution}} {
		if number.value < 1 {
			return exit.BadInput("%s is %d, give at least 1", number.flag, number.value)
		}
	}
	for _, name := range o.DTypes {
		if _, err := activationsType(name); err != nil {
			return err
		}
	}
	if len(o.DTypes) == 0 {
		return exit.BadInput("--dtype names none, give f32, bf16, or f32,bf16")
	}
	if o.Classes > space.MaxClasses {
		return exit.BadInput("--classes is %d, give at most %d", o.Classes, space.MaxClasses)
	}
	return nil
}

func newBenchCommand() *cobra.Command {
	var o benchOptions
	c := &cobra.Command{
		Use:   "bench",
		Short: "Time the steps of a super network",
		Long: `Time weight and architecture steps of a super network on random images, after compiling everything that they
may sample. Memory is the highest resident memory of the process during the timed steps, where the system tells.`,
		Example: `  search bench
  search bench --space mbv2 --resolution 128 --batch 16 --format json
  search bench --fixed-path --profile
  search bench --backend xla:cuda --dtype f32,bf16`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

// benchResult is the JSON form.
type benchResult struct {
	Backend        string      `json:"backend"`
	Clients        int         `json:"clients"`
	Devices        int         `json:"devices"`
	DType          string      `json:"dtype"`
	ParametersM    float64     `json:"parameters_m"`
	WeightStep     benchTimes  `json:"weight_step_s"`
	ArchStep       benchTimes  `json:"arch_step_s"`
	PeakRSSMB      *float64    `json:"peak_rss_mb"` // null where the system does not tell
	Executables    int         `json:"executables"`
	CompileSeconds float64     `json:"compile_s"`
	FirstStep      *float64    `json:"first_step_s,omitempty"` // with what it compiles; along a fixed path
	Profile        []benchKind `json:"profile,omitempty"`
	Floors         *floors     `json:"floors,omitempty"`
}

// benchTimes sum up the steps of a kind, in seconds.
type benchTimes struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
}

func (o *benchOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	s, err := space.Load(o.Space)
	if err != nil {
		return err
	}
	if s, err = s.WithResolution(o.Resolution); err != nil {
		return exit.BadInput("--resolution: %w", err)
	}
	s = s.WithClasses(o.Classes)
	b, err := backends.OpenWith(o.Backend, backends.Options{Training: true, Threads: o.Threads, Clients: clients, Devices: o.Sharing.Devices})
	if err != nil {
		return err
	}
	defer b.Finalize()
	var ts []tables.Table
	var results []benchResult
	for _, name := range o.DTypes {
		result, more, err := o.measure(ctx, b, s, name, stderr)
		if err != nil {
			return err
		}
		results, ts = append(results, result), append(ts, more...)
	}
	if len(results) == 1 {
		return tables.Write(stdout, o.Format, ts, results[0])
	}
	return tables.Write(stdout, o.Format, ts, results)
}

// measure times a super network with one type of activations.
func (o *benchOptions) measure(ctx context.Context, b backends.Backend, s *space.Space, name string, stderr io.Writer) (result benchResult, ts []tables.Table, err error) {
	dtype, err := activationsType(name)
	if err != nil {
		return result, nil, err
	}
	chooser := lowering.New(b.Backend, lowering.Options{Device: deviceName(b), Batch: o.Batch / b.Devices, DType: dtype, Training: true, File: lowering.CacheFile()})
	options := supernet.Options{Batch: o.Batch, Seed: 1, Lowering: chooser.Choose, Momentum: 0.9, WeightDecay: 4e-5, NormMomentum: 0.1, DType: dtype}
	if err := o.Sharing.apply(&options, b); err != nil {
		return result, nil, err
	}
	n, err := supernet.New(b.Backend, s, options)
	if err != nil {
		return result, nil, err
	}
	defer n.Finalize()
	bench := bench{benchOptions: o, space: s, network: n, random: rand.New(rand.NewPCG(1, 1)), batch: randomBatch(s, o.Batch)}
	result = benchResult{Backend: b.Name + " " + b.Version, Clients: 1 + len(b.More), Devices: b.Devices, DType: name, ParametersM: float64(s.Weights()) / 1e6}
	if err := bench.compile(ctx, stderr, &result); err != nil {
		return result, nil, err
	}
	if err := chooser.Save(); err != nil {
		fmt.Fprintf(stderr, "the choice of lowerings could not be kept for the next run: %v\n", err)
	}
	if err := bench.time(ctx, &result); err != nil {
		return result, nil, err
	}
	ts = append(ts, result.table())
	if o.Profile {
		f, err := measureFloors(b.Backend)
		if err != nil {
			return result, nil, err
		}
		result.Floors, result.Profile = &f, bench.profile(f, chooser.Choose)
		ts = append(ts, profileTable(result.Profile, f))
	}
	return result, ts, nil
}

func (r benchResult) table() tables.Table {
	seconds := func(s float64) string { return fmt.Sprintf("%.4f", s) }
	memory := ""
	if r.PeakRSSMB != nil {
		memory = fmt.Sprintf("%.0f", *r.PeakRSSMB)
	}
	notes := []string{fmt.Sprintf("%s, activations %s, %.2f M parameters", r.Backend, r.DType, r.ParametersM)}
	if r.Devices > 1 {
		notes = append(notes, fmt.Sprintf("%d devices share each batch", r.Devices))
	}
	if r.FirstStep != nil {
		notes = append(notes, fmt.Sprintf("the first weight step took %.0f s, compiling included", *r.FirstStep))
	}
	return tables.Table{
		Header:     []string{"step", "median s", "min s", "MB", "executables", "compile s"},
		RightAlign: []bool{false, true, true, true, true, true},
		Rows: [][]string{
			{"weights", seconds(r.WeightStep.Median), seconds(r.WeightStep.Min), memory, fmt.Sprint(r.Executables), fmt.Sprintf("%.1f", r.CompileSeconds)},
			{"architecture", seconds(r.ArchStep.Median), seconds(r.ArchStep.Min), "", "", ""},
		},
		Notes: notes,
	}
}

// bench is a super network that is timed.
type bench struct {
	*benchOptions
	space   *space.Space
	network *supernet.Network
	random  *rand.Rand
	batch   supernet.Batch
	steps   map[supernet.Role]map[supernet.Executable]supernet.Usage
}

// roles are the kinds of steps, in the order in which they are timed.
var roles = []supernet.Role{supernet.Update, supernet.Backward}

// step runs a step of a kind. Along a fixed path every step samples the same.
func (b *bench) step(role supernet.Role) error {
	if b.FixedPath {
		b.random = rand.New(rand.NewPCG(1, 1))
	}
	p := b.space.NewParameters()
	if role == supernet.Backward {
		_, _, err := b.network.ArchitectureStep(b.batch, search.Pairs(b.space, p, b.random))
		return err
	}
	_, err := b.network.WeightStep(b.batch, search.Uniform(b.space, p, b.random), 0.01)
	return err
}

// compile prepares all that steps may call; along a fixed path, what they do call. Then it runs each kind of step once.
func (b *bench) compile(ctx context.Context, stderr io.Writer, result *benchResult) error {
	start := time.Now()
	if !b.FixedPath {
		var keys []supernet.Executable
		for _, role := range roles {
			for _, key := range b.network.Executables(role) {
				if !slices.Contains(keys, key) {
					keys = append(keys, key)
				}
			}
		}
		bar := progress.New(stderr, "compiling", len(keys))
		shown := 0
		err := b.network.Compile(ctx, keys, func(done, _ int) {
			bar.Add(done-shown, "")
			shown = done
		})
		bar.Done()
		if err != nil {
			return err
		}
		result.CompileSeconds = time.Since(start).Seconds()
	}
	for _, role := range roles {
		if err := b.step(role); err != nil {
			return err
		}
		if seconds := time.Since(start).Seconds(); b.FixedPath && result.FirstStep == nil {
			result.FirstStep = &seconds
		}
	}
	if b.FixedPath {
		result.CompileSeconds = time.Since(start).Seconds()
	}
	result.Executables = b.network.Statistics().Compiled
	return nil
}

// time runs the timed steps. Along fresh paths all weights are drawn before: a search draws each once. Momentum comes when an
// operation is first updated.
func (b *bench) time(ctx context.Context, result *benchResult) error {
	if !b.FixedPath {
		if err := b.network.Materialize(); err != nil {
			return err
		}
	}
	debug.FreeOSMemory()
	allocator.Trim() // compiling takes more memory than steps do
	peak := watchMemory()
	b.steps = map[supernet.Role]map[supernet.Executable]supernet.Usage{}
	for i, role := range roles {
		if err := b.step(role); err != nil {
			return err
		}
		b.network.ResetCalls()
		var seconds []float64
		for range b.Steps {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := time.Now()
			if err := b.step(role); err != nil {
				return err
			}
			seconds = append(seconds, time.Since(start).Seconds())
		}
		b.steps[role] = b.network.Statistics().Executables
		slices.Sort(seconds)
		*[]*benchTimes{&result.WeightStep, &result.ArchStep}[i] = benchTimes{Median: median(seconds), Min: seconds[0]}
	}
	result.PeakRSSMB = peak()
	return nil
}

// median of sorted values.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// randomBatch draws images and labels: speed does not depend on what they show.
func randomBatch(s *space.Space, size int) supernet.Batch {
	r := rand.New(rand.NewPCG(2, 2))
	b := supernet.Batch{Images: make([]float32, size*s.Resolution*s.Resolution*s.Channels), Labels: make([]int32, size), Valid: size}
	for i := range b.Images {
		b.Images[i] = float32(r.NormFloat64())
	}
	for i := range b.Labels {
		b.Labels[i] = int32(r.IntN(s.Classes))
	}
	return b
}
