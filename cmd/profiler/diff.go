package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/lut"
)

type diffOptions struct {
	failAbove share
	corrected bool
	format    tables.Format
}

func (o *diffOptions) AddFlags(f *pflag.FlagSet) {
	f.Var(&o.failAbove, "fail-above", "exit with code 1 if an operation is really slower in B by more than this: 5% or 0.05")
	f.BoolVar(&o.corrected, "corrected", false, "divide the times of B by how much longer its sentinel took: what the device as a whole did is no change")
	f.Var(&o.format, "format", tables.FormatUsage)
}

func (o *diffOptions) Validate() error { return nil }

func diffCommand() *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use:   "diff A.lut.json B.lut.json",
		Short: "Show what became slower or faster from one table to another",
		Long: `Show what became slower or faster from table A to table B: per operation that both have, the relative change of the median and
whether it is real; a summary by kind of operation; and the operations that only one has.

A change is real if the raw samples of both tables (FILE.samples.jsonl beside FILE.lut.json) tell them apart by the
Mann-Whitney U test over the rounds' medians, corrected for the number of operations so that at most one in twenty changes
called real is noise. Without raw samples it is real if the 95 % intervals do not overlap; without intervals it is unknown.

Two runs on one device differ in its speed, too, which the same sentinel in both tells: --corrected takes that out.

Text and Markdown list the changes that are real, the largest first; CSV and JSON list all. That the tables were measured
otherwise is said on standard error, and does not keep them from being compared.

Exit code 1: with --fail-above, an operation is really slower in B by more than that. 0: otherwise.`,
		Example: `  profiler diff before.lut.json after.lut.json
  profiler diff xla-0.2.lut.json xla-0.3.lut.json --fail-above 5%
  profiler diff monday.lut.json tuesday.lut.json --corrected --format csv`,
		Args: command.Arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(args[0], args[1], c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

// oddSentinel is how far the sentinel and the entry of the same operation may differ in what changed, as a logarithm: what two
// executables of an operation differ by, five times over.
const oddSentinel = 0.05

// diffReport is the JSON form.
type diffReport struct {
	A           string        `json:"a"`
	B           string        `json:"b"`
	Differences []diffSetting `json:"settings,omitempty"` // that differ
	Sentinel    float64       `json:"sentinel_ratio,omitempty"`
	Corrected   bool          `json:"corrected"` // the times of B were divided by the sentinel ratio
	Agreement   diffAgreement `json:"agreement"`
	Changes     []diffChange  `json:"changes"`
	Kinds       []diffKind    `json:"kinds"`
	OnlyA       []string      `json:"only_a,omitempty"`
	OnlyB       []string      `json:"only_b,omitempty"`
	BySamples   int           `json:"by_samples"` // changes that were judged by raw samples
	comparison  *lut.Comparison
}

type diffSetting struct {
	Field string `json:"field"`
	A     string `json:"a"`
	B     string `json:"b"`
}

type diffChange struct {
	Key      string        `json:"key"`
	Position *lut.Position `json:"position,omitempty"`
	AMS      float64       `json:"a_ms"`
	ALowMS   *float64      `json:"a_low_ms,omitempty"` // 95 % intervals; absent where unknown
	AHighMS  *float64      `json:"a_high_ms,omitempty"`
	BMS      float64       `json:"b_ms"`
	BLowMS   *float64      `json:"b_low_ms,omitempty"`
	BHighMS  *float64      `json:"b_high_ms,omitempty"`
	Ratio    float64       `json:"ratio"` // of the medians, B over A
	Verdict  lut.Verdict   `json:"verdict"`
	P        *float64      `json:"p,omitempty"` // of the Mann-Whitney test, where there was one
}

// diffAgreement is of the operations that neither table has flagged.
type diffAgreement struct {
	Entries       int     `json:"entries"`
	MedianChange  float64 `json:"median_absolute_change"`
	Overlaps      float64 `json:"overlapping_intervals_share"`
	WithIntervals int     `json:"with_intervals"`
}

type diffKind struct {
	Kind      string  `json:"kind"`
	Entries   int     `json:"entries"`
	MeanRatio float64 `json:"mean_ratio"` // geometric
	Slower    int     `json:"slower"`
	Faster    int     `json:"faster"`
	Same      int     `json:"same"`
	Unknown   int     `json:"unknown"`
}

func (o *diffOptions) run(pathA, pathB string, stdout, stderr io.Writer) error {
	a, err := lut.Read(pathA)
	if err != nil {
		return err
	}
	b, err := lut.Read(pathB)
	if err != nil {
		return err
	}
	samplesA, err := samplesOf(a, true, stderr)
	if err != nil {
		return err
	}
	samplesB, err := samplesOf(b, true, stderr)
	if err != nil {
		return err
	}
	scale := 1.0
	if o.corrected {
		ratio := lut.SentinelRatio(a, b)
		if ratio == 0 {
			return exit.BadInput("%s and %s have not the same sentinel, so that there is nothing to correct by; leave out --corrected", pathA, pathB)
		}
		scale = 1 / ratio
	}
	r := newDiffReport(a, b, lut.Compare(a, b, samplesA, samplesB, scale))
	r.Corrected = o.corrected
	for _, d := range r.comparison.Differences {
		fmt.Fprintf(stderr, "warning: measured otherwise, %s\n", exit.OneLine(d.String()))
	}
	if luck := lut.SentinelLuck(a, b); luck > 0 && math.Abs(math.Log(luck)) > oddSentinel {
		fmt.Fprintf(stderr, "warning: the sentinel changed by %s more than the same operation's own entry: one of the two was compiled or placed unluckily, and --corrected may mislead\n", change(luck))
	}
	var ts []tables.Table
	if o.format == tables.CSV {
		ts = []tables.Table{r.csv()}
	} else {
		ts = []tables.Table{r.real(), r.kinds()}
	}
	if err := tables.Write(stdout, o.format, ts, r); err != nil {
		return err
	}
	if o.failAbove.set {
		return o.judge(r.comparison)
	}
	return nil
}

// judge is the error of a change for the worse.
func (o *diffOptions) judge(c *lut.Comparison) error {
	slower := c.SlowerBy(o.failAbove.value)
	if len(slower) == 0 {
		return nil
	}
	worst := slices.MaxFunc(slower, func(a, b lut.Change) int { return cmp.Compare(a.Ratio, b.Ratio) })
	return fmt.Errorf("%d of %s slower by more than %s, the most %s", len(slower), operations(len(c.Changes)), &o.failAbove, worst)
}

func newDiffReport(a, b *lut.Table, c *lut.Comparison) *diffReport {
	r := &diffReport{A: a.Path(), B: b.Path(), Sentinel: lut.SentinelRatio(a, b), Agreement: diffAgreement(c.Agreement), BySamples: c.BySamples, Changes: []diffChange{}, Kinds: []diffKind{}, comparison: c}
	for _, d := range c.Differences {
		r.Differences = append(r.Differences, diffSetting(d))
	}
	for _, change := range c.Changes {
		row := diffChange{Key: change.A.Key, Position: change.A.Position, AMS: change.A.MedianMS, BMS: change.B.MedianMS, Ratio: change.Ratio, Verdict: change.Verdict}
		if change.A.HasInterval() {
			row.ALowMS, row.AHighMS = &change.A.LowMS, &change.A.HighMS
		}
		if change.B.HasInterval() {
			row.BLowMS, row.BHighMS = &change.B.LowMS, &change.B.HighMS
		}
		if change.P >= 0 {
			row.P = &change.P
		}
		r.Changes = append(r.Changes, row)
	}
	for _, k := range c.Kinds {
		r.Kinds = append(r.Kinds, diffKind(k))
	}
	for _, e := range c.OnlyA {
		r.OnlyA = append(r.OnlyA, e.Name())
	}
	for _, e := range c.OnlyB {
		r.OnlyB = append(r.OnlyB, e.Name())
	}
	return r
}

// change shows a ratio: "+5.1 %".
func change(ratio float64) string { return fmt.Sprintf("%+.1f %%", 100*(ratio-1)) }

// real lists the changes that are real, the largest first.
func (r *diffReport) real() tables.Table {
	t := tables.Table{
		Title:      fmt.Sprintf("From %s to %s", filepath.Base(r.A), filepath.Base(r.B)),
		Header:     []string{"key", "A ms", "95 % interval", "B ms", "95 % interval", "change", ""},
		RightAlign: []bool{false, true, true, true, true, true, false},
	}
	var list []lut.Change
	for _, c := range r.comparison.Changes {
		if c.Verdict == lut.Slower || c.Verdict == lut.Faster {
			list = append(list, c)
		}
	}
	size := func(c lut.Change) float64 { return math.Abs(math.Log(c.Ratio)) }
	slices.SortStableFunc(list, func(a, b lut.Change) int { return cmp.Compare(size(b), size(a)) })
	for _, c := range list {
		t.Rows = append(t.Rows, []string{c.A.Name(), inMS(c.A.MedianMS), intervalOf(c.A), inMS(c.B.MedianMS), intervalOf(c.B), change(c.Ratio), string(c.Verdict)})
	}
	how := "beyond both 95 % intervals"
	if r.BySamples > 0 {
		how = "by their raw samples (Mann-Whitney)"
		if more := len(r.Changes) - r.BySamples; more > 0 {
			how += fmt.Sprintf(", %d without any beyond both 95 %% intervals", more)
		}
	}
	t.Notes = []string{fmt.Sprintf("%d of %s differ really, %s; --format csv lists all", len(list), operations(len(r.Changes)), how)}
	if len(list) == 0 {
		t.Header, t.RightAlign = nil, nil
	}
	return t
}

// kinds is the summary by kind of op.
func (r *diffReport) kinds() tables.Table {
	t := tables.Table{Header: []string{"op", "entries", "mean change", "slower", "faster", "same", "unknown"},
		RightAlign: []bool{false, true, true, true, true, true, true}}
	for _, k := range r.Kinds {
		t.Rows = append(t.Rows, []string{k.Kind, strconv.Itoa(k.Entries), change(k.MeanRatio), strconv.Itoa(k.Slower), strconv.Itoa(k.Faster),
			strconv.Itoa(k.Same), strconv.Itoa(k.Unknown)})
	}
	t.Notes = []string{"mean change: of the geometric mean of the ratios, real or not"}
	if r.Sentinel > 0 {
		note := fmt.Sprintf("the sentinel's time changed by %s", change(r.Sentinel))
		if r.Corrected {
			note += ", which is taken out of B"
		} else {
			note += "; --corrected takes that out of B"
		}
		t.Notes = append(t.Notes, note)
	}
	if a := r.Agreement; a.Entries > 0 {
		note := fmt.Sprintf("%s unflagged in both: median absolute change %.1f %%", operations(a.Entries), 100*a.MedianChange)
		if a.WithIntervals > 0 {
			note += fmt.Sprintf(", %.1f %% of the intervals overlap", 100*a.Overlaps)
		}
		t.Notes = append(t.Notes, note)
	}
	for _, only := range []struct {
		name string
		keys []string
	}{{"A", r.OnlyA}, {"B", r.OnlyB}} {
		if n := len(only.keys); n > 0 {
			note := fmt.Sprintf("only in %s: %s, first %s", only.name, operations(n), only.keys[0])
			if n == 1 {
				note = fmt.Sprintf("only in %s: %s", only.name, only.keys[0])
			}
			t.Notes = append(t.Notes, note)
		}
	}
	return t
}

// csv lists all changes, and the operations that only one table has.
func (r *diffReport) csv() tables.Table {
	t := tables.Table{Header: []string{"key", "place", "a_ms", "a_low_ms", "a_high_ms", "b_ms", "b_low_ms", "b_high_ms", "ratio", "verdict", "p"}}
	exact := func(x *float64) string {
		if x == nil {
			return ""
		}
		return strconv.FormatFloat(*x, 'g', -1, 64)
	}
	place := func(p *lut.Position) string {
		if p == nil {
			return ""
		}
		return p.String()
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		t.Rows = append(t.Rows, []string{c.Key, place(c.Position), exact(&c.AMS), exact(c.ALowMS), exact(c.AHighMS), exact(&c.BMS), exact(c.BLowMS), exact(c.BHighMS),
			exact(&c.Ratio), string(c.Verdict), exact(c.P)})
	}
	for _, e := range r.comparison.OnlyA {
		t.Rows = append(t.Rows, []string{e.Key, place(e.Position), exact(&e.MedianMS), "", "", "", "", "", "", "only in A", ""})
	}
	for _, e := range r.comparison.OnlyB {
		t.Rows = append(t.Rows, []string{e.Key, place(e.Position), "", "", "", exact(&e.MedianMS), "", "", "", "only in B", ""})
	}
	return t
}
