package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/supernet/space"
)

// rangeOptions are what search range is asked for.
type rangeOptions struct {
	Space  string
	LUT    string
	Format tables.Format
}

func (o *rangeOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Space, "space", "", "space: mbv2, res, cifar, mbv2-fixed, cifar-fixed, tiny, or a YAML file")
	f.StringVar(&o.LUT, "lut", "", "lookup table of the device, FILE.lut.json")
	f.Var(&o.Format, "format", tables.FormatUsage)
}

func (o *rangeOptions) Validate() error {
	if o.Space == "" || o.LUT == "" {
		return exit.BadInput("give --space SPACE and --lut FILE")
	}
	return nil
}

func newRangeCommand() *cobra.Command {
	var o rangeOptions
	c := &cobra.Command{
		Use:   "range --space SPACE --lut FILE",
		Short: "Print how fast and how slow the networks of a space can be",
		Long:  "Print the latencies of the fastest and the slowest architecture of a space by a table: targets lie between them.",
		Example: `  search range --space tiny --lut host.lut.json
  search range --space mbv2 --lut phone.lut.json --format json`,
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

// rangeResult is the JSON form.
type rangeResult struct {
	FastestMS float64 `json:"fastest_ms"`
	SlowestMS float64 `json:"slowest_ms"`
	Verified  bool    `json:"verified"`
}

func (o *rangeOptions) run(stdout io.Writer) error {
	s, err := space.Load(o.Space)
	if err != nil {
		return err
	}
	table, err := lut.Read(o.LUT)
	if err != nil {
		return err
	}
	costs, err := costsOf(o.Space, s, table)
	if err != nil {
		return err
	}
	r := rangeResult{costs.Fastest(), costs.Slowest(), table.Verified()}
	t := tables.Table{Header: []string{"architecture", "ms"}, RightAlign: []bool{false, true}, Rows: [][]string{
		{"fastest", fmt.Sprintf("%.4g", r.FastestMS)}, {"slowest", fmt.Sprintf("%.4g", r.SlowestMS)},
	}}
	if !r.Verified {
		t.Notes = []string{"unverified: sums of operations measured alone, not held against whole networks"}
	}
	return tables.Write(stdout, o.Format, []tables.Table{t}, r)
}
