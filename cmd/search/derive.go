package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/search/derive"
	"densenas/search/rundir"
	"densenas/supernet/space"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// deriveOptions are what search derive is asked for. Of a run folder they take what they leave open.
type deriveOptions struct {
	Folder     string        // of a run; empty: none
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
	case o.Folder == "" && (o.ArchParams == "" || o.Space == ""):
		return exit.BadInput("nothing to derive from: give a run folder, or --arch-params FILE and --space SPACE")
	case o.limited && o.MaxLatency <= 0:
		return exit.BadInput("--max-latency is %v, allowed is a positive duration such as 4ms", o.MaxLatency)
	case o.Format != "json" && o.Format != "net_config":
		return exit.BadInput("--format is %q, allowed are json and net_config", o.Format)
	case o.Output != "":
		inputs := []string{o.ArchParams, o.Space, o.LUT}
		if o.Folder != "" {
			for _, name := range []string{rundir.ConfigFile, rundir.MetricsFile, rundir.ParametersFile} {
				inputs = append(inputs, filepath.Join(o.Folder, name))
			}
			inputs = append(inputs, checkpointPath(o.Folder))
		}
		return command.CheckOutput(o.Output, inputs...)
	}
	return nil
}

func newDeriveCommand() *cobra.Command {
	var o deriveOptions
	cmd := &cobra.Command{
		Use:   "derive (FOLDER | --arch-params FILE --space SPACE)",
		Short: "Turn the architecture parameters of a search into an architecture",
		Long: `Derive an architecture from architecture parameters: along the most probable path, in every layer the most probable candidate.

With --max-latency it is the most probable of the architectures that the table predicts to be within it. With --lut the
architecture carries the prediction.

Of a run folder come the parameters as they were last saved, space, table and resolution; flags override them. A run that
had a target latency derives within it, unless --max-latency names another limit. Space and table must be as they were for
the run, unless --space or --lut name others.`,
		Example: `  search derive run
  search derive run --max-latency 12ms --format net_config
  search derive run --lut phone.lut.json --max-latency 8ms -o phone.arch.json
  search derive --arch-params run/params.json --space mbv2 --lut host.lut.json --max-latency 15ms
  search derive --arch-params published.params.json --space mbv2 --format net_config`,
		Args: command.Arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Folder = args[0]
			}
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
	d, err := o.read()
	if err != nil {
		return err
	}
	a, err := d.derive()
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

// derivation is what an architecture is derived from.
type derivation struct {
	source     string // name or file of the space
	space      *space.Space
	parameters *space.Parameters
	table      *lut.Table // nil: none
	limit      float64    // ms
}

func (d *derivation) derive() (*space.Architecture, error) {
	if d.table == nil {
		return derive.Plain(d.space, d.parameters)
	}
	a, err := derive.ByTable(d.space, d.parameters, d.table, d.limit)
	return a, measuredBy(err, d.source, d.space, d.table)
}

// read reads what the flags name, and what they leave open of the run folder, where there is one.
func (o *deriveOptions) read() (*derivation, error) {
	d := &derivation{limit: math.Inf(1)}
	run := new(rundir.Config)
	params := o.ArchParams
	if o.Folder != "" {
		var err error
		if run, err = rundir.ReadConfig(o.Folder); err != nil {
			return nil, err
		}
		params = cmp.Or(params, filepath.Join(o.Folder, rundir.ParametersFile))
		if run.TargetLatencyMS > 0 {
			d.limit = run.TargetLatencyMS
		}
	}
	if o.limited {
		d.limit = milliseconds(o.MaxLatency)
	}
	var err error
	d.source = cmp.Or(o.Space, run.Space)
	if d.space, d.parameters, err = readArchParams(d.source, params); err != nil {
		return nil, err
	}
	if o.Folder != "" && o.Space == "" && d.space.Fingerprint() != run.SpaceFingerprint {
		return nil, exit.BadInput("%s: is not the space that %s searched; restore it, or name the space by --space", run.Space, o.Folder)
	}
	if run.LUT.Resolution > 0 {
		if d.space, err = d.space.WithResolution(run.LUT.Resolution); err != nil {
			return nil, exit.BadInput("%s: lut.resolution: %w", filepath.Join(o.Folder, rundir.ConfigFile), err)
		}
	}
	path := cmp.Or(o.LUT, run.LUT.Path)
	if o.Output != "" { // the run's own space and table are known only now
		if err := command.CheckOutput(o.Output, d.source, path); err != nil {
			return nil, err
		}
	}
	switch {
	case path == "" && !math.IsInf(d.limit, 1):
		return nil, exit.BadInput("a limit of latency needs the table that says how long operations take: add --lut FILE")
	case path == "":
		return d, nil
	}
	if d.table, err = lut.Read(path); err != nil {
		return nil, err
	}
	if o.Folder != "" && o.LUT == "" && d.table.Identity() != run.LUT.Identity {
		return nil, exit.BadInput("%s: is not the table that %s searched with: its identity is %.12s…, that of the run's %.12s…; restore it, or name a table by --lut",
			path, o.Folder, d.table.Identity(), run.LUT.Identity)
	}
	return d, nil
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
