package main

import (
	"io"
	"math"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/supernet/space"
)

// referenceOptions are what search reference is asked for.
type referenceOptions struct {
	Width      float64
	Halvings   int
	Resolution int
	Channels   int
	Classes    int
	LUT        string
	Output     string
}

func (o *referenceOptions) AddFlags(f *pflag.FlagSet) {
	f.Float64Var(&o.Width, "width", 1, "width multiplier; the published ones are 0.35 to 1.4")
	f.IntVar(&o.Halvings, "halvings", space.MobileNetV2Halvings, "how often the resolution is halved, the last times; fewer are for small images")
	f.IntVar(&o.Resolution, "resolution", 224, "side of the images in pixels")
	f.IntVar(&o.Channels, "channels", 3, "channels of the images")
	f.IntVar(&o.Classes, "classes", 1000, "outputs of the classifier")
	f.StringVar(&o.LUT, "lut", "", "lookup table that predicts the latency (default: the network gets no prediction)")
	f.StringVarP(&o.Output, "output", "o", "", "file to write (default standard output)")
}

func (o *referenceOptions) Validate() error {
	if !(o.Width > 0 && o.Width <= 100) || math.IsNaN(o.Width) {
		return exit.BadInput("--width is %g, allowed is above 0 to 100", o.Width)
	}
	if o.Halvings < 0 || o.Halvings > space.MobileNetV2Halvings {
		return exit.BadInput("--halvings is %d, allowed is 0 to %d", o.Halvings, space.MobileNetV2Halvings)
	}
	for _, f := range []struct {
		flag        string
		value, most int
	}{{"resolution", o.Resolution, space.MaxResolution}, {"channels", o.Channels, space.MaxChannels}, {"classes", o.Classes, space.MaxClasses}} {
		if f.value < 1 || f.value > f.most {
			return exit.BadInput("--%s is %d, allowed is 1 to %d", f.flag, f.value, f.most)
		}
	}
	if o.Output == "" {
		return nil
	}
	return command.CheckOutput(o.Output, o.LUT)
}

func newReferenceCommand() *cobra.Command {
	var o referenceOptions
	c := &cobra.Command{
		Use:   "reference mobilenetv2",
		Short: "Write a network made by hand as an architecture",
		Long: `Write MobileNetV2, with its widths multiplied, as an architecture: search train, profiler measure and report arch take it as one that
was searched. Widths are rounded to multiples of 8.`,
		Example: `  search reference mobilenetv2 -o mobilenetv2.arch.json
  search reference mobilenetv2 --width 0.75 --resolution 32 --classes 10 --lut phone.lut.json -o small.arch.json`,
		Args:      command.Arguments(1, 1),
		ValidArgs: []string{"mobilenetv2"},
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] != "mobilenetv2" {
				return exit.BadInput("unknown reference %q, known is mobilenetv2", args[0])
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.OutOrStdout())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *referenceOptions) run(stdout io.Writer) error {
	a := space.MobileNetV2Halving(o.Width, o.Resolution, o.Classes, o.Halvings).WithChannels(o.Channels)
	if err := a.Check(); err != nil {
		return exit.BadInput("MobileNetV2 of width %g: %w; choose others", o.Width, err)
	}
	if o.LUT != "" {
		table, err := lut.Read(o.LUT)
		if err != nil {
			return err
		}
		if a.Predicted, err = table.Predict(a); err != nil {
			return err
		}
	}
	if o.Output == "" {
		return a.Encode(stdout)
	}
	return files.WriteAtomic(o.Output, a.Encode)
}
