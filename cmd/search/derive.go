package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
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
	Top        int           // how many architectures
	Format     string        // json or net_config
	Output     string        // file, or folder for more than one; empty: standard output

	limited bool // MaxLatency was given
}

func (o *deriveOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.ArchParams, "arch-params", "", "architecture parameters of a search, a *.params.json file")
	flags.StringVar(&o.Space, "space", "", "the space that they were searched in: a name or a YAML file")
	flags.StringVar(&o.LUT, "lut", "", "lookup table that predicts the latency")
	flags.DurationVar(&o.MaxLatency, "max-latency", 0, "derive the most probable architecture that the table predicts to take at most this long, such as 4ms")
	flags.IntVar(&o.Top, "top", 1, "derive so many architectures, the most probable first")
	flags.StringVar(&o.Format, "format", "json", "json, or the net_config text of the published implementation")
	flags.StringVarP(&o.Output, "output", "o", "", "file to write, or with --top above 1 a folder to create (default standard output)")
}

func (o *deriveOptions) Validate() error {
	switch {
	case o.Folder == "" && (o.ArchParams == "" || o.Space == ""):
		return exit.BadInput("nothing to derive from: give a run folder, or --arch-params FILE and --space SPACE")
	case o.limited && o.MaxLatency <= 0:
		return exit.BadInput("--max-latency is %v, allowed is a positive duration such as 4ms", o.MaxLatency)
	case o.Top < 1 || o.Top > derive.MaxTop:
		return exit.BadInput("--top is %d, allowed is 1 to %d", o.Top, derive.MaxTop)
	case o.Format != "json" && o.Format != "net_config":
		return exit.BadInput("--format is %q, allowed are json and net_config", o.Format)
	case o.Top > 1 && o.Output != "":
		if _, err := os.Stat(o.Output); !errors.Is(err, fs.ErrNotExist) {
			return exit.BadInput("-o %s exists already, and --top %d needs a folder of its own; name a new one", o.Output, o.Top)
		}
		return command.CheckOutputFolder(o.Output)
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
architecture carries the prediction. With --top there are as many, the most probable first, one after another or in a folder.

Of a run folder come the parameters as they were last saved, space, table and resolution; flags override them. A run that
had targets derives within all of them, unless --max-latency names another limit or --lut another table. Space and table must be as they were for
the run, unless --space or --lut name others.`,
		Example: `  search derive run
  search derive run --max-latency 12ms --format net_config
  search derive run --lut phone.lut.json --max-latency 8ms -o phone.arch.json
  search derive run --max-latency 12ms --top 5 -o best
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
			return o.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o *deriveOptions) run(stdout, stderr io.Writer) error {
	d, err := o.read()
	if err != nil {
		return err
	}
	found, err := d.derive(o.Top)
	if err != nil {
		return err
	}
	if n := len(found); n < o.Top {
		fmt.Fprintf(stderr, "only %d architectures are there, of the %d asked for\n", n, o.Top)
	}
	write, ending := func(a *space.Architecture, w io.Writer) error { return a.Encode(w) }, ".arch.json"
	if o.Format == "net_config" {
		for _, a := range found {
			if _, err := a.NetConfig(); err != nil {
				return exit.AsBadInput(err)
			}
		}
		ending = ".txt"
		write = func(a *space.Architecture, w io.Writer) error {
			text, err := a.NetConfig()
			if err == nil {
				_, err = fmt.Fprintln(w, text)
			}
			return err
		}
	}
	switch {
	case o.Output == "":
		for _, a := range found {
			if err := write(a, stdout); err != nil {
				return err
			}
		}
		return nil
	case o.Top == 1:
		return files.WriteAtomic(o.Output, func(w io.Writer) error { return write(found[0], w) })
	}
	return writeArchitectures(o.Output, ending, found, write)
}

// derivation is what an architecture is derived from.
type derivation struct {
	source     string // name or file of the space
	space      *space.Space
	parameters *space.Parameters
	targets    []derive.Target
}

func (d *derivation) derive(top int) ([]*space.Architecture, error) {
	found, err := derive.ByTargets(d.space, d.parameters, d.targets, top)
	for _, t := range d.targets {
		if t.Table != nil {
			err = measuredBy(err, d.source, d.space, t.Table)
		}
	}
	return found, err
}

// read reads what the flags name, and what they leave open of the run folder, where there is one.
func (o *deriveOptions) read() (*derivation, error) {
	d, limit := new(derivation), math.Inf(1)
	run := new(rundir.Config)
	params := o.ArchParams
	if o.Folder != "" {
		var err error
		if run, err = rundir.ReadConfig(o.Folder); err != nil {
			return nil, err
		}
		params = cmp.Or(params, filepath.Join(o.Folder, rundir.ParametersFile))
		if run.TargetLatencyMS > 0 {
			limit = run.TargetLatencyMS
		}
	}
	if o.limited {
		limit = milliseconds(o.MaxLatency)
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
	if o.Output != "" && o.Top == 1 { // the run's own space and table are known only now
		if err := command.CheckOutput(o.Output, d.source, path); err != nil {
			return nil, err
		}
	}
	switch {
	case path == "" && !math.IsInf(limit, 1):
		return nil, exit.BadInput("a limit of latency needs the table that says how long operations take: add --lut FILE")
	case o.Folder != "" && o.LUT == "" && !o.limited:
		return d, o.targets(d, run)
	case path == "":
		return d, nil
	}
	table, err := o.table(path, run)
	if err != nil {
		return nil, err
	}
	d.targets = []derive.Target{{Table: table, Most: limit}}
	return d, nil
}

// table reads a table; the run's own must be as it was.
func (o *deriveOptions) table(path string, run *rundir.Config) (*lut.Table, error) {
	table, err := lut.Read(path)
	if err != nil || o.Folder == "" || o.LUT != "" {
		return table, err
	}
	identity := run.LUT.Identity
	for _, other := range run.OtherLUTs {
		if path == other.Path {
			identity = other.Identity
		}
	}
	if table.Identity() != identity {
		return nil, exit.BadInput("%s: is not the table that %s searched with: its identity is %.12s…, that of the run's %.12s…; restore it, or name a table by --lut",
			path, o.Folder, table.Identity(), identity)
	}
	return table, nil
}

// targets are all those of a run.
func (o *deriveOptions) targets(d *derivation, run *rundir.Config) error {
	var tables []*lut.Table
	if run.LUT.Path != "" {
		paths := []string{run.LUT.Path}
		for _, other := range run.OtherLUTs {
			paths = append(paths, other.Path)
		}
		for _, path := range paths {
			table, err := o.table(path, run)
			if err != nil {
				return err
			}
			tables = append(tables, table)
		}
	}
	named := *run
	named.Space = d.source
	goals, err := goalsOf(&named, d.space, tables)
	if err != nil {
		return err
	}
	d.targets = targetsOf(goals)
	return nil
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
