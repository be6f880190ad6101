package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/profiler"
)

type planOptions struct {
	sourceOptions
	backendOptions
	missing string
	format  tables.Format
}

func (o *planOptions) AddFlags(f *pflag.FlagSet) {
	o.sourceOptions.AddFlags(f)
	o.backendOptions.AddFlags(f)
	f.StringVar(&o.missing, "missing", "", "list only the operations that the table `FILE` lacks")
	f.Var(&o.format, "format", tables.FormatUsage)
}

func (o *planOptions) Validate() error {
	if err := o.sourceOptions.Validate(); err != nil {
		return err
	}
	return o.backendOptions.Validate()
}

func planCommand() *cobra.Command {
	var o planOptions
	c := &cobra.Command{
		Use:   "plan (--space SPACE | --arch FILE)...",
		Short: "List the distinct operations that `profiler run` would measure",
		Long: `List the distinct operations that "profiler run" would measure: in how many places each stands, its multiply-adds for one
image, and a rough estimate of the time of a call, good to a factor of three. Nothing is measured.`,
		Example: `  profiler plan --space mbv2
  profiler plan --space cifar --only 'mbconv_k7_*' --format csv
  profiler plan --space mbv2 --missing cifar.lut.json
  profiler plan --arch found.arch.json --resolution 96`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.OutOrStdout())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

type plannedOp struct {
	Key          string  `json:"key"`
	Count        int     `json:"count"`
	MultiplyAdds int64   `json:"multiply_adds"`
	EstimateMS   float64 `json:"estimate_ms"`
}

type planReport struct {
	Runtime     string      `json:"runtime"`
	Batch       int         `json:"batch"`
	Resolutions []int       `json:"resolutions"`
	Operations  []plannedOp `json:"operations"`
	Places      int         `json:"places"`
	MeasuringS  float64     `json:"measuring_s"`
}

func (o *planOptions) run(stdout io.Writer) error {
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if o.missing != "" {
		table, err := lut.Read(o.missing)
		if err != nil {
			return err
		}
		plan = plan.Without(table)
	}
	report := planReport{Runtime: runtimeOf(o.backend), Batch: o.batch, Resolutions: plan.Resolutions}
	table := tables.Table{Header: []string{"operation", "places", "multiply-adds", "about ms"}, RightAlign: []bool{false, true, true, true}}
	var measuring time.Duration
	for _, item := range plan.Items {
		call, all := profiler.Guess(item.Op, o.batch, report.Runtime, profiler.DefaultPolicy())
		measuring += all
		row := plannedOp{item.Op.Key(), item.Count, item.Op.MultiplyAdds(), float64(call) / float64(time.Millisecond)}
		report.Operations = append(report.Operations, row)
		report.Places += item.Count
		table.Rows = append(table.Rows, []string{row.Key, strconv.Itoa(row.Count), strconv.FormatInt(row.MultiplyAdds, 10), fmt.Sprintf("%.3g", row.EstimateMS)})
	}
	report.MeasuringS = measuring.Seconds()
	table.Footer = []string{operations(len(plan.Items)), strconv.Itoa(report.Places), "", ""}
	table.Notes = []string{fmt.Sprintf("measuring them on %s at batch %d takes about %s", report.Runtime, o.batch, measuring.Round(time.Second))}
	return tables.Write(stdout, o.format, []tables.Table{table}, report)
}

// operations counts operations in words.
func operations(n int) string {
	if n == 1 {
		return "1 operation"
	}
	return fmt.Sprintf("%d operations", n)
}

// runtimeOf is the runtime that a specification would open.
func runtimeOf(spec string) string {
	if _, ok := libraryOf(spec); ok {
		return onnxRuntime
	}
	if spec == backends.Go || spec == "auto" && backends.Check(backends.XLA, backends.Options{}) != nil {
		return backends.Go
	}
	return backends.XLA
}
