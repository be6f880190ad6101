package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/search/derive"
	"densenas/supernet/space"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// deriveOptions are what search derive is asked for.
type deriveOptions struct {
	ArchParams string        // file of architecture parameters
	Space      string        // name or file of their space
	LUT        string        // file of a lookup table; empty: the architecture gets no prediction
	MaxLatency time.Duration // counts only where it was given
	Format     string        // json or net_config
	Output     string        // file; empty: standard output

	limited bool // MaxLatency was given
}

func (o *deriveOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.ArchParams, "arch-params", "", "architecture parameters of a search, a *.params.json file")
	flags.StringVar(&o.Space, "space", "", "the space that they were searched in: a name or a YAML file")
	flags.StringVar(&o.LUT, "lut", "", "lookup table that predicts the latency")
	flags.DurationVar(&o.MaxLatency, "max-latency", 0, "derive the most probable architecture that the table predicts to take at most this long, such as 4ms")
	flags.StringVar(&o.Format, "format", "json", "json, or the net_config text of the published implementation")
	flags.StringVarP(&o.Output, "output", "o", "", "file to write (default standard output)")
}

func (o *deriveOptions) Validate() error {
	switch {
	case o.ArchParams == "" || o.Space == "":
		return exit.BadInput("nothing to derive from: give --arch-params FILE and --space SPACE")
	case o.limited && o.MaxLatency <= 0:
		return exit.BadInput("--max-latency is %v, allowed is a positive duration such as 4ms", o.MaxLatency)
	case o.limited && o.LUT == "":
		return exit.BadInput("--max-latency needs the table that says how long operations take: add --lut FILE")
	case o.Format != "json" && o.Format != "net_config":
		return exit.BadInput("--format is %q, allowed are json and net_config", o.Format)
	}
	return nil
}

func newDeriveCommand() *cobra.Command {
	var o deriveOptions
	cmd := &cobra.Command{
		Use:   "derive --arch-params FILE --space SPACE",
		Short: "Turn the architecture parameters of a search into an architecture",
		Long: `Derive an architecture from architecture parameters: along the most probable path, in every layer the most probable candidate.

With --max-latency it is the most probable of the architectures that the table predicts to be within it. With --lut the
architecture carries the prediction.`,
		Example: `  search derive --arch-params run/params.json --space tiny --lut host.lut.json -o derived.arch.json
  search derive --arch-params run/params.json --space mbv2 --lut host.lut.json --max-latency 15ms
  search derive --arch-params published.params.json --space mbv2 --format net_config`,
		Args: func(cmd *cobra.Command, args []string) error { return exit.AsBadInput(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.limited = cmd.Flags().Changed("max-latency")
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(cmd.OutOrStdout())
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *deriveOptions) run(stdout io.Writer) error {
	s, p, err := readArchParams(o.Space, o.ArchParams)
	if err != nil {
		return err
	}
	a, err := o.derive(s, p)
	if err != nil {
		return err
	}
	write := a.Encode
	if o.Format == "net_config" {
		text, err := a.NetConfig()
		if err != nil {
			return exit.AsBadInput(err)
		}
		write = func(w io.Writer) error {
			_, err := fmt.Fprintln(w, text)
			return err
		}
	}
	if o.Output == "" {
		return write(stdout)
	}
	return files.WriteAtomic(o.Output, write)
}

func (o *deriveOptions) derive(s *space.Space, p *space.Parameters) (*space.Architecture, error) {
	if o.LUT == "" {
		return derive.Plain(s, p)
	}
	table, err := lut.Read(o.LUT)
	if err != nil {
		return nil, err
	}
	limit := math.Inf(1)
	if o.limited {
		limit = milliseconds(o.MaxLatency)
	}
	return derive.ByTable(s, p, table, limit)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// readArchParams reads architecture parameters and the space that they must fit.
func readArchParams(nameOrPath, file string) (*space.Space, *space.Parameters, error) {
	s, err := space.Load(nameOrPath)
	if err != nil {
		return nil, nil, err
	}
	p, err := space.ReadParameters(file)
	if err != nil {
		return nil, nil, err
	}
	if err := p.Check(s); err != nil {
		return nil, nil, exit.BadInput("%s: %w", file, err)
	}
	return s, p, nil
}
