package main

import (
	"encoding/json"
	"io"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// costOptions are what search cost is asked for.
type costOptions struct {
	ArchParams string // file of architecture parameters
	Space      string // name or file of their space
	LUT        string // file of a lookup table
	Grad       bool   // print the gradient too
}

func (o *costOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.ArchParams, "arch-params", "", "architecture parameters of a search, a *.params.json file")
	flags.StringVar(&o.Space, "space", "", "the space that they were searched in: a name or a YAML file")
	flags.StringVar(&o.LUT, "lut", "", "lookup table with the operations of the space")
	flags.BoolVar(&o.Grad, "grad", false, "print the gradient with respect to the parameters too, in their shape")
}

func (o *costOptions) Validate() error {
	for _, f := range []struct{ flag, value string }{{"--arch-params FILE", o.ArchParams}, {"--space SPACE", o.Space}, {"--lut FILE", o.LUT}} {
		if f.value == "" {
			return exit.BadInput("missing %s", f.flag)
		}
	}
	return nil
}

func newCostCommand() *cobra.Command {
	var o costOptions
	cmd := &cobra.Command{
		Use:   "cost --arch-params FILE --space SPACE --lut FILE",
		Short: "Print the latency that architecture parameters let one expect",
		Long: `Print the chained cost of architecture parameters as JSON: the mean latency of the architectures that they choose, by a lookup table.
With --grad, its derivative with respect to each logit is printed as well.`,
		Example: `  search cost --arch-params run/params.json --space tiny --lut host.lut.json
  search cost --arch-params published.params.json --space mbv2 --lut titanxp.lut.json --grad`,
		Args: command.Arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(cmd.OutOrStdout())
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// costReport is what search cost prints.
type costReport struct {
	CostMS float64       `json:"cost_ms"`
	Grad   *costGradient `json:"grad,omitempty"`
}

// costGradient is in ms per unit of each logit.
type costGradient struct {
	Beta       [][]float64   `json:"beta"`
	AlphaHead  [][][]float64 `json:"alpha_head"`
	AlphaStack [][][]float64 `json:"alpha_stack"`
}

func (o *costOptions) run(stdout io.Writer) error {
	s, p, err := readArchParams(o.Space, o.ArchParams)
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
	ms, gradient := costs.Chained(p)
	report := costReport{CostMS: ms}
	if o.Grad {
		report.Grad = &costGradient{gradient.Beta, gradient.AlphaHead, gradient.AlphaStack}
	}
	return json.NewEncoder(stdout).Encode(report)
}
