package main

import (
	"strings"

	"github.com/spf13/pflag"

	"densenas/internal/exit"
	"densenas/profiler"
	"densenas/supernet/space"
)

// sourceOptions say which operations are meant.
type sourceOptions struct {
	spaces        []string
	architectures []string
	resolution    int // 0: that of each space or architecture
	only          string
}

func (o *sourceOptions) AddFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.spaces, "space", nil, "search space: "+strings.Join(space.Names(), ", ")+", or a YAML file; may be repeated")
	f.StringArrayVar(&o.architectures, "arch", nil, "architecture file, or net_config text; may be repeated")
	f.IntVar(&o.resolution, "resolution", 0, "side of the input images (default: that of the space or architecture)")
	f.StringVar(&o.only, "only", "", "measure only the operations whose key matches this pattern, such as '*_r7*'")
}

func (o *sourceOptions) Validate() error {
	if len(o.spaces)+len(o.architectures) == 0 {
		return exit.BadInput("nothing to measure: name a space by --space, or an architecture by --arch")
	}
	return checkResolution(o.resolution)
}

func checkResolution(r int) error {
	if r < 0 || r > space.MaxResolution {
		return exit.BadInput("--resolution is %d, allowed is 1 to %d", r, space.MaxResolution)
	}
	return nil
}

// plan loads the sources and lists their operations.
func (o *sourceOptions) plan() (profiler.Plan, error) {
	var spaces []*space.Space
	for _, name := range o.spaces {
		s, err := space.Load(name)
		if err == nil && o.resolution > 0 {
			s, err = s.WithResolution(o.resolution)
		}
		if err != nil {
			return profiler.Plan{}, exit.AsBadInput(err)
		}
		spaces = append(spaces, s)
	}
	var architectures []*space.Architecture
	for _, path := range o.architectures {
		a, err := readArchitecture(path, o.resolution)
		if err != nil {
			return profiler.Plan{}, err
		}
		architectures = append(architectures, a)
	}
	return profiler.NewPlan(spaces, architectures).Only(o.only)
}

// readArchitecture reads an architecture, for another resolution unless that is 0.
func readArchitecture(path string, resolution int) (*space.Architecture, error) {
	a, err := space.ReadArchitecture(path)
	if err != nil {
		return nil, err
	}
	if resolution > 0 {
		a = a.WithResolution(resolution)
		if err := a.Check(); err != nil {
			return nil, exit.BadInput("%s at resolution %d: %w", path, resolution, err)
		}
	}
	return a, nil
}
