package study

import (
	"fmt"
	"path/filepath"
	"slices"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/supernet/space"
)

const (
	resultsKind    = "densenas.study"
	resultsVersion = 1
	maxNetworks    = 20_000
	maxText        = 4096 // bytes
)

// Results are all that a study observed.
type Results struct {
	files.Header
	Space    string  `json:"space"`
	TargetMS float64 `json:"target_ms"`
	LowMS    float64 `json:"low_ms"`   // where the band begins, which ends at the target
	Table    string  `json:"table"`    // identity of the lookup table
	Verified bool    `json:"verified"` // whether it was held against whole networks
	Data     string  `json:"data"`     // identity of the data set
	Ranking  Ranking `json:"ranking"`
	// Absent says why a group that was asked for has no network.
	Absent   []Absent  `json:"absent,omitempty"`
	Networks []Network `json:"networks"`
}

// Absent is a group without networks.
type Absent struct {
	Group Group  `json:"group"`
	Why   string `json:"why"`
}

// Network is an architecture of a study with what came of it.
type Network struct {
	Name         string  `json:"name"`
	Group        Group   `json:"group"`
	LatencyMS    float64 `json:"latency_ms"` // predicted
	Layers       int     `json:"layers"`
	MultiplyAdds int64   `json:"multiply_adds"`
	Parameters   int64   `json:"parameters"`
	// Inside is how it did on the held-out images with the weights of the first search's super network; absent where that does not hold it.
	Inside    *Score    `json:"inside,omitempty"`
	Trainings []Trained `json:"trainings"`
}

// Trained is a training of a network from scratch.
type Trained struct {
	Seed    uint64 `json:"seed"`
	HeldOut Score  `json:"held_out"`
	Test    Score  `json:"test"`
}

// NewNetwork describes an architecture, which has a prediction, by what the parts of a study's folder found, and the test.
func NewNetwork(folder string, p Planned, a *space.Architecture, test *Result) (Network, error) {
	n := Network{Name: p.Name, Group: p.Group, LatencyMS: a.Predicted.LatencyMS, Layers: len(a.Layers), MultiplyAdds: a.MultiplyAdds(), Parameters: a.Parameters()}
	inside, err := finished(folder, string(KindInside))
	if err != nil {
		return n, err
	}
	if s, there := inside.Of(n.Name); there {
		n.Inside = &s
	}
	for _, seed := range p.TrainingSeeds {
		name := TrainingName(n.Name, seed)
		trained, err := finished(folder, name)
		if err != nil {
			return n, err
		}
		heldOut, known := trained.Of(name)
		tested, also := test.Of(name)
		if !known || !also {
			return n, exit.BadInput("%s: no score of %s; remove the folder to run the part again", PartFolder(folder, name), name)
		}
		n.Trainings = append(n.Trainings, Trained{seed, heldOut, tested})
	}
	return n, nil
}

func finished(folder, part string) (*Result, error) {
	r, err := ReadResult(folder, part)
	if err == nil && r == nil {
		err = fmt.Errorf("%s: part %s is not finished", folder, part)
	}
	return r, err
}

func (r *Results) check() error {
	for _, t := range []struct{ field, text string }{{"space", r.Space}, {"table", r.Table}, {"data", r.Data}} {
		if len(t.text) > maxText {
			return fmt.Errorf("%s has %d bytes, allowed are %d", t.field, len(t.text), maxText)
		}
	}
	if !(r.TargetMS > 0 && r.TargetMS <= 1e9) || !(r.LowMS >= 0 && r.LowMS <= r.TargetMS) {
		return fmt.Errorf("low_ms and target_ms are %g and %g, allowed are up to 1e9 in ascending order", r.LowMS, r.TargetMS)
	}
	if n := r.Ranking.Resamples; n < 100 || n > 100_000 {
		return fmt.Errorf("ranking.resamples is %d, allowed is 100 to 100000", n)
	}
	if n := len(r.Networks); n < 1 || n > maxNetworks {
		return fmt.Errorf("networks has %d, allowed are 1 to %d", n, maxNetworks)
	}
	for i, a := range r.Absent {
		if !slices.Contains(Groups, a.Group) || len(a.Why) > maxText {
			return fmt.Errorf("absent[%d]: group is %.40q with a reason of %d bytes, known are %v, allowed %d bytes", i, a.Group, len(a.Why), Groups, maxText)
		}
	}
	for i := range r.Networks {
		if err := r.Networks[i].check(); err != nil {
			return fmt.Errorf("networks[%d]: %w", i, err)
		}
	}
	return nil
}

func (n *Network) check() error {
	switch {
	case n.Name == "" || len(n.Name) > maxName:
		return fmt.Errorf("name has %d bytes, allowed is 1 to %d", len(n.Name), maxName)
	case !slices.Contains(Groups, n.Group):
		return fmt.Errorf("group is %.40q, known are %v", n.Group, Groups)
	case !(n.LatencyMS >= 0 && n.LatencyMS <= 1e9):
		return fmt.Errorf("latency_ms is %g, allowed is 0 to 1e9", n.LatencyMS)
	case n.Layers < 0 || n.Layers > space.MaxNetworkLayers:
		return fmt.Errorf("layers is %d, allowed is up to %d", n.Layers, space.MaxNetworkLayers)
	case n.MultiplyAdds < 0 || n.Parameters < 0:
		return fmt.Errorf("multiply_adds or parameters is below 0")
	case len(n.Trainings) < 1 || len(n.Trainings) > maxSeeds:
		return fmt.Errorf("trainings has %d, allowed are 1 to %d", len(n.Trainings), maxSeeds)
	}
	if n.Inside != nil {
		if err := n.Inside.check(); err != nil {
			return fmt.Errorf("inside: %w", err)
		}
	}
	for i, t := range n.Trainings {
		if err := t.HeldOut.check(); err != nil {
			return fmt.Errorf("trainings[%d].held_out: %w", i, err)
		}
		if err := t.Test.check(); err != nil {
			return fmt.Errorf("trainings[%d].test: %w", i, err)
		}
	}
	return nil
}

// Write writes the results into the folder of a study, atomically.
func (r *Results) Write(folder string) error {
	r.Header = files.Header{Kind: resultsKind, SchemaVersion: resultsVersion}
	return writeJSON(filepath.Join(folder, ResultsFile), r, r.check())
}

// ReadResults reads the results of a study from a file.
func ReadResults(path string) (*Results, error) {
	data, err := files.ReadBounded(path, maxResultFile)
	if err != nil {
		return nil, err
	}
	return parseResults(path, data)
}

func parseResults(name string, data []byte) (*Results, error) {
	r := new(Results)
	if err := files.DecodeJSONKind(name, data, resultsKind, resultsVersion, r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return r, nil
}
