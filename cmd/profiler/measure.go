package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/onnxrunner"
	"densenas/supernet/space"
)

// networkLimit is how long a whole network is measured by default: it takes as long as dozens of operations.
const networkLimit = 2 * time.Second

type measureOptions struct {
	backendOptions
	resolution  int
	table       string
	model       string
	precision   float64
	limit       time.Duration
	repetitions int
	force       bool
	format      tables.Format
}

func (o *measureOptions) AddFlags(f *pflag.FlagSet) {
	p := profiler.DefaultPolicy()
	o.backendOptions.AddFlags(f)
	f.IntVar(&o.resolution, "resolution", 0, "side of the input images (default: that of the architecture)")
	f.StringVar(&o.table, "lut", "", "table whose prediction is shown beside the measurement")
	f.StringVar(&o.model, "model", "", "network as `search export` wrote it, a `FILE` in ONNX, that is measured instead of one with random weights; with --backend onnxruntime")
	f.Float64Var(&o.precision, "precision", p.Precision, "measure until the 95 % interval of the median is as narrow as ± this share of it")
	f.DurationVar(&o.limit, "limit", networkLimit, "time to measure for, at most; the result is called noisy then")
	f.BoolVar(&o.force, "force", false, "hold a table against the network though it was measured with another runtime")
	f.IntVar(&o.repetitions, "repetitions", p.MinRounds, "rounds to measure, at least")
	f.Var(&o.format, "format", tables.FormatUsage)
}

func (o *measureOptions) Validate() error {
	if err := o.backendOptions.Validate(); err != nil {
		return err
	}
	if _, ok := libraryOf(o.backend); o.model != "" && !ok {
		return exit.BadInput("--model is a network for ONNX Runtime, not for the backend %s; leave it out, or give --backend onnxruntime", o.backend)
	}
	if err := o.policy().Check(); err != nil {
		return err
	}
	return checkResolution(o.resolution)
}

func (o *measureOptions) policy() profiler.Policy {
	p := networkPolicy(o.precision, o.limit)
	p.MinRounds = o.repetitions
	return p
}

// networkPolicy is how whole networks are sampled, of which measure and verify hold times against each other.
func networkPolicy(precision float64, limit time.Duration) profiler.Policy {
	p := profiler.DefaultPolicy()
	p.RoundTime *= 4 // they take longer than operations: more of their laps fit into a round this way
	p.Precision, p.Limit = precision, limit
	p.WarmUp, p.Span = min(p.WarmUp, p.Limit), 0 // their rounds take long enough to meet more than one spell of a neighbour
	return p
}

func measureCommand() *cobra.Command {
	var o measureOptions
	c := &cobra.Command{
		Use:   "measure ARCHITECTURE",
		Short: "Measure a network as a whole, and hold a table's prediction against it",
		Long: `Measure a network as one graph in its inference form, with random weights, by the same rules as single operations.
ARCHITECTURE is an architecture file or net_config text. With --lut the prediction of a table is shown beside it, and
operations are written as the table's entries were.

A device is not always as fast. So a network that was measured when the table was verified, one that takes about as long, is timed in
turns with this one, and says how long this one would take were the device as fast as then: that is what the prediction is to be held
against. Tables that were verified on this device, with this runtime and at this resolution, have such networks.`,
		Example: `  profiler measure found.arch.json
  profiler measure run/arch.json --lut tiny.lut.json --format json
  profiler measure net_config.txt --resolution 96 --backend xla --threads 1
  profiler measure run/arch.json --model network.onnx --backend onnxruntime --threads 1 --lut board.lut.json`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), args[0], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

type measureReport struct {
	Architecture string             `json:"architecture"`
	Resolution   int                `json:"resolution"`
	Batch        int                `json:"batch"`
	Device       string             `json:"device"`
	Runtime      lut.Runtime        `json:"runtime"`
	Threads      int                `json:"threads"`
	MedianMS     float64            `json:"median_ms"`
	LowMS        float64            `json:"low_ms"`
	HighMS       float64            `json:"high_ms"`
	MADMS        float64            `json:"mad_ms"`
	P10MS        float64            `json:"p10_ms"`
	P90MS        float64            `json:"p90_ms"`
	MinMS        float64            `json:"min_ms"`
	Count        int                `json:"count"`
	Rounds       int                `json:"rounds"`
	Noisy        bool               `json:"noisy"`
	CallMS       float64            `json:"call_ms"`
	MultiplyAdds int64              `json:"multiply_adds"`
	Predicted    *predictionOfTable `json:"predicted,omitempty"`
}

type predictionOfTable struct {
	space.Prediction
	// Ratio is the measured over the predicted latency.
	Ratio          float64         `json:"measured_over_predicted"`
	AtVerification *atVerification `json:"at_verification_speed,omitempty"`
}

// atVerification is what a network would take were the device as fast as when the table was verified: a reference says how fast it is
// now.
type atVerification struct {
	ReferenceMS     float64 `json:"reference_ms"`      // now
	ReferenceThenMS float64 `json:"reference_then_ms"` // at the verification
	MedianMS        float64 `json:"median_ms"`
	LowMS           float64 `json:"low_ms"`
	HighMS          float64 `json:"high_ms"`
	Ratio           float64 `json:"measured_over_predicted"`
}

func newAtVerification(s profiler.Series, thenMS, predictedMS float64) *atVerification {
	then := s.At(thenMS)
	return &atVerification{ReferenceMS: s.SentinelMS(), ReferenceThenMS: thenMS, MedianMS: then.MedianMS, LowMS: then.LowMS, HighMS: then.HighMS, Ratio: then.MedianMS / predictedMS}
}

// farCorrection is the factor beyond which a correction is not to be trusted: networks do not all become slower by the same.
const farCorrection = 1.5

// notes say how fast the device is.
func (a *atVerification) notes() []string {
	ratio := a.ReferenceMS / a.ReferenceThenMS
	list := []string{fmt.Sprintf("a network of the verification takes %.4g ms, %.3f of the %.4g ms that it took then", a.ReferenceMS, ratio, a.ReferenceThenMS)}
	if ratio > farCorrection || ratio < 1/farCorrection {
		list = append(list, "that is far from 1: what is computed by it is not to be trusted; measure and verify a table at the device's speed now")
	}
	return list
}

func (o *measureOptions) run(ctx context.Context, path string, stdout, stderr io.Writer) error {
	a, err := readArchitecture(path, o.resolution)
	if err != nil {
		return err
	}
	var table *lut.Table
	var predicted *predictionOfTable
	if o.table != "" {
		if table, err = lut.Read(o.table); err != nil {
			return err
		}
		if table.Batch != o.batch {
			return exit.BadInput("%s: measured at batch %d, the network is to be at %d; name a table at that batch, or measure by --batch %d", o.table, table.Batch, o.batch, table.Batch)
		}
		prediction, err := table.Predict(a)
		if err != nil {
			return err
		}
		predicted = &predictionOfTable{Prediction: *prediction}
	}
	b, err := o.open(stderr)
	if err != nil {
		return err
	}
	defer b.finalize()
	var reference *lut.Reference // that is timed; nil: what it took at the verification says nothing here
	if table != nil {
		alike, err := o.checkTable(stderr, table, b)
		if err != nil {
			return err
		}
		if alike && predicted.Verified {
			reference = table.Verification.Nearest(predicted.LatencyMS)
		}
	}
	series, call, err := o.measure(ctx, b, a, table, reference)
	if ctx.Err() != nil {
		return exit.Interrupted{}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s := series.At(0)
	report := measureReport{
		Architecture: cmp.Or(a.Name, filepath.Base(path)), Resolution: a.Resolution, Batch: o.batch, Device: b.device.Model, Runtime: b.runtime, Threads: b.threads,
		MedianMS: s.MedianMS, LowMS: s.LowMS, HighMS: s.HighMS, MADMS: s.MADMS, P10MS: s.P10MS, P90MS: s.P90MS, MinMS: s.MinMS,
		Count: s.Count, Rounds: s.Rounds, Noisy: series.Noisy, CallMS: call.At(0).MedianMS, MultiplyAdds: a.MultiplyAdds(), Predicted: predicted,
	}
	if predicted != nil {
		predicted.Ratio = report.MedianMS / predicted.LatencyMS
		if reference != nil {
			predicted.AtVerification = newAtVerification(series, reference.MedianMS, predicted.LatencyMS)
		}
	}
	return tables.Write(stdout, o.format, []tables.Table{report.table()}, report)
}

// checkTable refuses a table that was measured with another runtime than the network will be, unless that is forced, and says where
// else they differ. Alike: nowhere.
func (o *measureOptions) checkTable(stderr io.Writer, t *lut.Table, b opened) (alike bool, err error) {
	now := profiler.Settings{Device: b.device, Runtime: b.runtime, Threads: b.threads, Processors: b.processors, Batch: t.Batch, Resolutions: t.Resolutions, DType: lut.F32, Layout: b.layout}
	now.Policy.Caches = lut.Warm
	var runtimes, others []string
	for _, d := range lut.Differences(t, now.NewTable()) {
		text := fmt.Sprintf("%s %s instead of %s", d.Field, d.A, d.B)
		switch {
		case strings.HasPrefix(d.Field, "runtime."):
			runtimes = append(runtimes, text)
		case slices.Contains([]string{"device.model", "threads", "processors", "dtype", "caches"}, d.Field):
			others = append(others, text)
		}
	}
	if len(runtimes) > 0 && !o.force {
		return false, exit.BadInput("%s: measured with another runtime, %s; measure a table with this one, or compare nevertheless by --force", t.Path(), strings.Join(runtimes, "; "))
	}
	if list := append(runtimes, others...); len(list) > 0 {
		fmt.Fprintf(stderr, "warning: the table was measured with %s\n", strings.Join(list, "; "))
		return false, nil
	}
	return true, nil
}

// measure compiles and times a network, an empty call, and beside them a reference of the table's verification, unless that is nil.
// Operations are written as the table's entries say, others in the way that is faster alone.
func (o *measureOptions) measure(ctx context.Context, b opened, a *space.Architecture, table *lut.Table, reference *lut.Reference) (series, call profiler.Series, err error) {
	fail := func(err error) (profiler.Series, profiler.Series, error) {
		return profiler.Series{}, profiler.Series{}, err
	}
	runner, err := b.runner(runnerOptions{batch: o.batch, seed: o.policy().Seed, dtype: lut.F32, caches: lut.Warm, table: table})
	if err != nil {
		return fail(err)
	}
	whole, err := o.network(ctx, runner, a)
	if err != nil {
		return fail(err)
	}
	defer whole.Close()
	empty, err := runner.Empty()
	if err != nil {
		return fail(err)
	}
	defer empty.Close()
	policy := o.policy()
	var watched profiler.Call
	if reference != nil {
		policy.Refresh = table.Verification.CallsBefore
		network, err := space.ParseKeys(reference.Operations)
		if err != nil {
			return fail(err)
		}
		if err := table.Require(network.Ops(), "--space SPACE"); err != nil {
			return fail(err)
		}
		if watched, err = runner.Network(ctx, network); err != nil {
			return fail(fmt.Errorf("a network of the verification of %s: %w", table.Path(), err))
		}
		defer watched.Close()
	}
	return profiler.Sample(ctx, whole, empty, watched, policy)
}

// maxModel bounds the file of a network, in bytes.
const maxModel = 1 << 30

// network prepares the network that is measured: of --model, or of the architecture.
func (o *measureOptions) network(ctx context.Context, r runner, a *space.Architecture) (profiler.Call, error) {
	onnx, ok := r.(*onnxrunner.Runner)
	if o.model == "" || !ok {
		return r.Network(ctx, a)
	}
	data, err := files.ReadBounded(o.model, maxModel)
	if err != nil {
		return nil, err
	}
	call, err := onnx.Model(data, a)
	if err != nil {
		return nil, exit.BadInput("%s: not a network of this architecture that this runtime takes: %w; name one that `search export` wrote", o.model, err)
	}
	return call, nil
}

func (r measureReport) table() tables.Table {
	ms := func(v float64) string { return fmt.Sprintf("%.4g", v) }
	t := tables.Table{
		Title:      fmt.Sprintf("%s at %d×%d, batch %d, on %s", r.Architecture, r.Resolution, r.Resolution, r.Batch, r.Runtime.Name),
		Header:     []string{"", "ms", "95 % low", "95 % high"},
		Rows:       [][]string{{"measured", ms(r.MedianMS), ms(r.LowMS), ms(r.HighMS)}},
		Notes:      []string{fmt.Sprintf("median of %d laps in %d rounds; an empty call takes %s ms", r.Count, r.Rounds, ms(r.CallMS))},
		RightAlign: []bool{false, true, true, true},
	}
	if p := r.Predicted; p != nil {
		ratios := fmt.Sprintf("measured / predicted = %.3f", p.Ratio)
		if a := p.AtVerification; a != nil {
			t.Rows = append(t.Rows, []string{"measured at the verification's speed", ms(a.MedianMS), ms(a.LowMS), ms(a.HighMS)})
			t.Notes = append(t.Notes, a.notes()...)
			ratios += fmt.Sprintf(", at the verification's speed %.3f", a.Ratio)
		}
		t.Rows = append(t.Rows, []string{"predicted", ms(p.LatencyMS), ms(p.LowMS), ms(p.HighMS)})
		holds := "the prediction is unverified: its interval holds the noise of the table's entries alone"
		if p.Verified {
			holds = "the prediction's interval holds the noise of the table's entries and the error of its fit"
		}
		t.Notes = append(t.Notes, ratios+"; "+holds)
	}
	if r.Noisy {
		t.Notes = append(t.Notes, "noisy: the interval is wider than asked for; close other programs, or give more time by --limit")
	}
	return t
}
