package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/tables"
	"densenas/lut"
	"densenas/search/band"
	"densenas/supernet/space"
)

// randomOptions are what search random is asked for.
type randomOptions struct {
	Space      string
	LUT        string
	Resolution int
	Latency    string
	Count      int
	Seed       uint64
	Format     tables.Format
	Output     string

	low, high float64 // ms
}

func (o *randomOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Space, "space", "", "space: a built-in one, or a YAML file")
	f.StringVar(&o.LUT, "lut", "", "lookup table of the device, FILE.lut.json")
	f.IntVar(&o.Resolution, "resolution", 0, "resolution that the networks are deployed at (default: the space's)")
	f.StringVar(&o.Latency, "latency", "", "band of predicted latency, such as 4ms..4.2ms, both ends included")
	f.IntVarP(&o.Count, "count", "n", 1, "how many architectures, all different")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the draws")
	f.Var(&o.Format, "format", tables.FormatUsage)
	f.StringVarP(&o.Output, "output", "o", "", "folder to create, for 1.arch.json, 2.arch.json, … (default: print a table)")
}

func (o *randomOptions) Validate() error {
	if o.Space == "" || o.LUT == "" {
		return exit.BadInput("give --space SPACE and --lut FILE")
	}
	low, high, both := strings.Cut(o.Latency, "..")
	var ends [2]time.Duration
	for i, text := range []string{low, high} {
		end, err := time.ParseDuration(text)
		if ends[i] = end; err != nil || !both || end < 0 {
			return exit.BadInput("--latency is %q, allowed is a band such as 4ms..4.2ms", o.Latency)
		}
	}
	o.low, o.high = milliseconds(ends[0]), milliseconds(ends[1])
	switch {
	case o.low > o.high:
		return exit.BadInput("--latency is %q, which begins above its end", o.Latency)
	case o.Count < 1 || o.Count > 10_000:
		return exit.BadInput("-n is %d, allowed is 1 to 10000", o.Count)
	case o.Output == "":
		return nil
	}
	if _, err := os.Stat(o.Output); !errors.Is(err, fs.ErrNotExist) {
		return exit.BadInput("-o %s exists already; name a new folder", o.Output)
	}
	return command.CheckOutputFolder(o.Output)
}

func newRandomCommand() *cobra.Command {
	var o randomOptions
	c := &cobra.Command{
		Use:   "random --space SPACE --lut FILE --latency FROM..TO",
		Short: "Draw random architectures of a latency",
		Long: `Draw architectures of a space that a table predicts to be in a band of latency, all of them equally likely.

Architectures are counted on a grid much finer than the band, drawn by the counts, and rejected where the exact latency is not
in the band: so the draws are uniform over all architectures of the band, which are paths of blocks with their layers.`,
		Example: `  search random --space tiny --lut host.lut.json --latency 0.2ms..0.22ms -n 8
  search random --space mbv2 --lut phone.lut.json --latency 14ms..15ms -n 20 --seed 7 -o random`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

// randomResult is the JSON form of one architecture.
type randomResult struct {
	MultiplyAdds int64               `json:"multiply_adds"`
	Parameters   int64               `json:"parameters"`
	Architecture *space.Architecture `json:"architecture"`
}

func (o *randomOptions) run(stdout, stderr io.Writer) error {
	s, err := space.Load(o.Space)
	if err != nil {
		return err
	}
	if o.Resolution != 0 {
		if s, err = s.WithResolution(o.Resolution); err != nil {
			return exit.BadInput("--resolution: %w", err)
		}
	}
	table, err := lut.Read(o.LUT)
	if err != nil {
		return err
	}
	sampler, err := band.New(s, table, o.low, o.high)
	if err != nil {
		return measuredBy(err, o.Space, s, table)
	}
	found, err := sampler.Different(rand.New(rand.NewPCG(o.Seed, 0)), o.Count)
	if err != nil {
		return err
	}
	if n := len(found); n < o.Count {
		fmt.Fprintf(stderr, "only %d architectures were found in the band, of the %d asked for\n", n, o.Count)
	}
	if o.Output != "" {
		return writeArchitectures(o.Output, ".arch.json", found, func(a *space.Architecture, w io.Writer) error { return a.Encode(w) })
	}
	var results []randomResult
	t := tables.Table{Header: []string{"", "ms", "M multiply-adds", "M parameters", "layers"}, RightAlign: []bool{true, true, true, true, true}}
	for i, a := range found {
		results = append(results, randomResult{a.MultiplyAdds(), a.Parameters(), a})
		t.Rows = append(t.Rows, []string{strconv.Itoa(i + 1), fmt.Sprintf("%.4g", a.Predicted.LatencyMS), fmt.Sprintf("%.4g", float64(a.MultiplyAdds())/1e6),
			fmt.Sprintf("%.4g", float64(a.Parameters())/1e6), strconv.Itoa(len(a.Layers))})
	}
	if !table.Verified() {
		t.Notes = []string{"unverified: sums of operations measured alone, not held against whole networks"}
	}
	return tables.Write(stdout, o.Format, []tables.Table{t}, results)
}

// writeArchitectures writes architectures into a new folder, numbered from 1.
func writeArchitectures(folder, ending string, all []*space.Architecture, write func(*space.Architecture, io.Writer) error) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return exit.BadInput("-o: %w; name a folder that can be created", err)
	}
	for i, a := range all {
		name := fmt.Sprintf("%0*d%s", len(strconv.Itoa(len(all))), i+1, ending)
		if err := files.WriteAtomic(filepath.Join(folder, name), func(w io.Writer) error { return write(a, w) }); err != nil {
			return err
		}
	}
	return nil
}
