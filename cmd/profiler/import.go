package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/supernet/space"
)

type importOptions struct {
	input      string // file to import
	format     string
	space      string
	resolution int
	output     string
}

func (o *importOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", "densenas", "form of the file: densenas, the nested list of the published implementation")
	f.StringVar(&o.space, "space", "", "space that the table was measured for, such as mbv2")
	f.IntVar(&o.resolution, "resolution", 0, "side of the input images that it was measured for (default: that of the space)")
	f.StringVarP(&o.output, "output", "o", "", "table to write: FILE.lut.json")
}

func (o *importOptions) Validate() error {
	switch {
	case o.format != "densenas":
		return exit.BadInput("unknown format %q, known is densenas", o.format)
	case o.space == "":
		return exit.BadInput("the file does not say its space: name it by --space")
	}
	if err := checkResolution(o.resolution); err != nil {
		return err
	}
	if o.output == "" {
		return exit.BadInput("no file to write: name it by -o FILE.lut.json")
	}
	return command.CheckOutput(o.output, o.input, o.space)
}

func importCommand() *cobra.Command {
	var o importOptions
	c := &cobra.Command{
		Use:     "import --space SPACE FILE -o FILE.lut.json",
		Short:   "Bring a published table into the project's form",
		Long:    `Bring a table of the published implementation of DenseNAS into the project's form. Its entries keep their places.`,
		Example: `  profiler import --format densenas --space mbv2 titanxp.txt -o titanxp.lut.json`,
		Args:    command.Arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.input = args[0]
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run()
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *importOptions) run() error {
	s, err := space.Load(o.space)
	if err == nil && o.resolution > 0 {
		s, err = s.WithResolution(o.resolution)
	}
	if err != nil {
		return exit.AsBadInput(err)
	}
	file, err := files.Open(o.input)
	if err != nil {
		return err
	}
	defer file.Close()
	table, err := lut.ImportDenseNAS(file, o.input, s)
	if err != nil {
		return err
	}
	return table.Write(o.output)
}
