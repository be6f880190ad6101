package space

import (
	"embed"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
)

//go:embed spaces/*.yaml
var embedded embed.FS

const (
	spaceKind    = "densenas.space"
	spaceVersion = 1
	// MaxFile bounds the file of a space, in bytes.
	MaxFile = 1 << 20
)

// Names lists the embedded spaces.
func Names() []string {
	entries, err := embedded.ReadDir("spaces")
	if err != nil {
		panic(err) // part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names) // mbv2 before mbv2-fixed
	return names
}

// Load reads an embedded space by its name, or a YAML file by its path. What the file lacks or what is out of range is bad
// input that names file, field and what is allowed.
func Load(nameOrPath string) (*Space, error) {
	if slices.Contains(Names(), nameOrPath) {
		file := path.Join("spaces", nameOrPath+".yaml")
		data, err := embedded.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return parse(file, data)
	}
	if _, err := os.Stat(nameOrPath); os.IsNotExist(err) {
		return nil, exit.BadInput("unknown space %q: allowed are %s, or the path of a YAML file", nameOrPath, strings.Join(Names(), ", "))
	}
	data, err := files.ReadBounded(nameOrPath, MaxFile)
	if err != nil {
		return nil, err
	}
	s, err := parse(nameOrPath, data)
	if err != nil || !slices.Contains(Names(), s.Name) {
		return s, err
	}
	// Parameters and architectures carry the name alone, so it must not stand for two spaces.
	if own, err := Load(s.Name); err != nil || own.Fingerprint() != s.Fingerprint() {
		return nil, exit.BadInput("%s: name is %s, which is a built-in space that differs; choose another name", nameOrPath, s.Name)
	}
	return s, nil
}

// document is the YAML form. Pointers tell what is missing from what may be 0.
type document struct {
	files.Header `yaml:",inline"`
	Name         string
	Resolution   int
	Channels     int
	Classes      int
	Forward      int
	Stem         struct {
		Kernel, Width, Stride int
		Activation            string
		Affine                bool
	}
	First       string
	Head, Stack []string
	Blocks      []blockDocument
	Final       struct {
		Width   int
		Stage   *int
		Derived *bool
	}
	PathTemperature float64 `yaml:"path_temperature"`
	SkipCost        float64 `yaml:"skip_cost"`
}

// What the form calls a first block without a layer, and the activation that stems have unless they name one.
const (
	noFirst = "none"
	relu6   = "relu6"
)

type blockDocument struct {
	Width, Stride int
	Stage, Layers *int
}

func parse(name string, data []byte) (*Space, error) {
	var d document
	if err := files.DecodeYAMLKind(name, data, spaceKind, spaceVersion, &d); err != nil {
		return nil, err
	}
	s, err := d.space()
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return s, nil
}

func (d *document) space() (*Space, error) {
	if len(d.Blocks) > MaxBlocks {
		return nil, fmt.Errorf("blocks has %d entries, allowed are 1 to %d", len(d.Blocks), MaxBlocks)
	}
	s := &Space{Name: d.Name, Resolution: d.Resolution, Channels: d.Channels, Classes: d.Classes, Forward: d.Forward,
		Stem:            StemLayer{d.Stem.Kernel, d.Stem.Width, d.Stem.Stride, Activation(d.Stem.Activation), d.Stem.Affine},
		Final:           FinalLayer{Width: d.Final.Width, SuperNetworkOnly: d.Final.Derived != nil && !*d.Final.Derived},
		PathTemperature: d.PathTemperature, SkipCost: d.SkipCost}
	if d.Stem.Activation == relu6 {
		s.Stem.Activation = ReLU6
	}
	var err error
	if d.First != noFirst {
		if s.First, err = ParseCandidate(d.First); err != nil {
			return nil, fmt.Errorf("first: %w; or %s", err, noFirst)
		}
	}
	if s.HeadCandidates, err = parseCandidates("head", d.Head); err != nil {
		return nil, err
	}
	if s.StackCandidates, err = parseCandidates("stack", d.Stack); err != nil {
		return nil, err
	}
	for i, b := range d.Blocks {
		block := Block{Width: b.Width, Stride: b.Stride}
		if block.Stage, err = required(fmt.Sprintf("blocks[%d].stage", i), b.Stage); err != nil {
			return nil, err
		}
		if block.Layers, err = required(fmt.Sprintf("blocks[%d].layers", i), b.Layers); err != nil {
			return nil, err
		}
		s.Blocks = append(s.Blocks, block)
	}
	s.Final.Stage, err = required("final.stage", d.Final.Stage)
	return s, err
}

func required(field string, value *int) (int, error) {
	if value == nil {
		return 0, fmt.Errorf("%s is missing, expected a number", field)
	}
	return *value, nil
}

func parseCandidates(field string, texts []string) ([]Candidate, error) {
	if len(texts) > MaxCandidates {
		return nil, fmt.Errorf("%s has %d candidates, allowed are 1 to %d", field, len(texts), MaxCandidates)
	}
	var candidates []Candidate
	for i, text := range texts {
		c, err := ParseCandidate(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		candidates = append(candidates, c)
	}
	return candidates, nil
}
