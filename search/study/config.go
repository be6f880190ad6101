package study

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/search/rundir"

	"go.yaml.in/yaml/v3"
)

const (
	configKind    = "densenas.study.config"
	configVersion = 1
	maxConfigFile = 1 << 20 // bytes

	maxSeeds  = 1000
	maxRandom = 10_000
)

// Config is all that decides a study. Target, data, space, table and whatever else searches have in common are the search's.
type Config struct {
	files.Header `yaml:",inline"`

	// Band is the width of the band of latency, which ends at the target, as a share of the target: above 0, at most 1.
	Band float64 `yaml:"band"`

	Searched    Searched    `yaml:"searched"`
	Random      Random      `yaml:"random"`
	Fixed       Fixed       `yaml:"fixed"`
	MobileNetV2 MobileNetV2 `yaml:"mobilenet_v2"`

	Training Training `yaml:"training"`
	Ranking  Ranking  `yaml:"ranking"`

	// Search is what all searches are configured by. Its seed does not count. Resolution, augmentation, limit and held-out share are those of
	// the trainings, too.
	Search rundir.Config `yaml:"search"`
}

// Searched are the networks that the space's searches derive, one for each seed, each trained once with every training seed. The first search's
// seed decides which images are held out of all trainings.
type Searched struct {
	SearchSeeds   []uint64 `yaml:"search_seeds"` // at least one, from 1
	TrainingSeeds []uint64 `yaml:"training_seeds"`
}

// Random are networks of the band, all equally likely.
type Random struct {
	Networks      int      `yaml:"networks"` // at least 2
	Seed          uint64   `yaml:"seed"`     // of the draws
	TrainingSeeds []uint64 `yaml:"training_seeds"`
}

// Fixed are the networks that the searches of another space derive; without seeds there are none.
type Fixed struct {
	Space         string   `yaml:"space"`
	Fingerprint   string   `yaml:"space_fingerprint"` // empty until the study begins
	SearchSeeds   []uint64 `yaml:"search_seeds"`
	TrainingSeeds []uint64 `yaml:"training_seeds"`
}

// MobileNetV2 is the network of this name, as of [space.MobileNetV2], whose width is scaled into the band; without seeds there is none.
type MobileNetV2 struct {
	Halvings      int      `yaml:"halvings"` // of the resolution, the last ones: 0 to 5; 5 is as published
	TrainingSeeds []uint64 `yaml:"training_seeds"`
}

// Training is the recipe of all trainings: SGD, its rate falling along a cosine to zero.
type Training struct {
	Epochs         int     `yaml:"epochs"`
	Batch          int     `yaml:"batch"`
	Rate           float64 `yaml:"rate"`
	Momentum       float64 `yaml:"momentum"`
	WeightDecay    float64 `yaml:"weight_decay"`    // coupled L2
	LabelSmoothing float64 `yaml:"label_smoothing"` // share of a label's weight that is spread over all classes
	Mixup          float64 `yaml:"mixup"`           // parameter of the beta distribution; 0: images are not mixed
}

// Ranking says how the interval of Kendall's tau is computed.
type Ranking struct {
	Resamples int    `yaml:"resamples" json:"resamples"` // of the bootstrap: 100 to 100,000
	Seed      uint64 `yaml:"seed" json:"seed"`           // of the bootstrap
}

// Default is the configuration that a file begins from, with the defaults of a space's search.
func Default(space string) (*Config, error) {
	search, err := rundir.Default(space)
	if err != nil {
		return nil, err
	}
	return &Config{
		Band:        0.07,
		Searched:    Searched{SearchSeeds: []uint64{1, 2, 3}, TrainingSeeds: []uint64{1}},
		Random:      Random{Networks: 10, Seed: 1, TrainingSeeds: []uint64{1}},
		Fixed:       Fixed{SearchSeeds: []uint64{}, TrainingSeeds: []uint64{}},
		MobileNetV2: MobileNetV2{Halvings: 5, TrainingSeeds: []uint64{}},
		Training:    Training{Epochs: 30, Batch: 64, Rate: 0.1, Momentum: 0.9, WeightDecay: 4e-5, LabelSmoothing: 0.1},
		Ranking:     Ranking{Resamples: 10_000, Seed: 1},
		Search:      *search,
	}, nil
}

// Load reads a configuration that may leave fields out: they have the defaults. What change enters goes before the file.
func Load(path string, change func(*Config)) (*Config, error) {
	data, err := files.ReadBounded(path, maxConfigFile)
	if err != nil {
		return nil, err
	}
	return parse(path, data, change)
}

// Read reads the configuration of a study's folder, which has every field.
func Read(folder string) (*Config, error) {
	data, err := files.ReadOfFolder(folder, ConfigFile, maxConfigFile, "the folder of a study", "search study")
	if err != nil {
		return nil, err
	}
	name := filepath.Join(folder, ConfigFile)
	c, err := parse(name, data, func(*Config) {})
	if err != nil {
		return nil, err
	}
	return c, files.RequireYAMLFields(name, data, c)
}

func parse(name string, data []byte, change func(*Config)) (*Config, error) {
	named := new(Config)
	if err := files.DecodeYAMLKind(name, data, configKind, configVersion, named); err != nil {
		return nil, err
	}
	c, err := Default(named.Search.Space)
	if err != nil {
		return nil, err
	}
	header := c.Search.Header
	if err := files.DecodeYAML(name, data, c); err != nil {
		return nil, err
	}
	if err := c.Search.Header.Check(name+" (search)", header.Kind, header.SchemaVersion); err != nil {
		return nil, err
	}
	if named.Search.SingleCandidateEpochs == 0 {
		c.Search.FitSingleCandidateEpochs()
	}
	change(c)
	if err := c.Validate(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return c, nil
}

// Encode returns the configuration as its file has it.
func (c *Config) Encode() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	whole := *c
	whole.Header = files.Header{Kind: configKind, SchemaVersion: configVersion}
	return yaml.Marshal(&whole)
}

// Write writes the configuration into the folder of a study, atomically.
func (c *Config) Write(folder string) error {
	return files.WriteEncoded(filepath.Join(folder, ConfigFile), c.Encode)
}

// Differences lists the fields in which another configuration differs.
func (c *Config) Differences(other *Config) ([]string, error) {
	var a, b yaml.Node
	if err := a.Encode(c); err != nil {
		return nil, err
	}
	if err := b.Encode(other); err != nil {
		return nil, err
	}
	return differences(&a, &b, ""), nil
}

func differences(a, b *yaml.Node, field string) []string {
	if a.Kind != yaml.MappingNode {
		x, y := flat(a), flat(b)
		if x == y {
			return nil
		}
		return []string{fmt.Sprintf("%s (%.60s and %.60s)", field, x, y)}
	}
	var found []string
	for i := 0; i+1 < len(a.Content); i += 2 {
		key := a.Content[i].Value
		if field != "" {
			key = field + "." + key
		}
		found = append(found, differences(a.Content[i+1], b.Content[i+1], key)...)
	}
	return found
}

// flat is a value in one line.
func flat(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return cmp.Or(n.Value, `""`)
	}
	text := ""
	for i, item := range n.Content {
		if i > 0 {
			text += ", "
		}
		text += flat(item)
	}
	return "[" + text + "]"
}

// TargetMS is where the band ends.
func (c *Config) TargetMS() float64 { return c.Search.TargetLatencyMS }

// LowMS is where the band begins.
func (c *Config) LowMS() float64 { return (1 - c.Band) * c.TargetMS() }

// HeldOutSeed decides which images are held out of the trainings: those that the first search holds out.
func (c *Config) HeldOutSeed() uint64 { return c.Searched.SearchSeeds[0] }

// SearchOf is the configuration of a search for networks of a group.
func (c *Config) SearchOf(group Group, seed uint64) *rundir.Config {
	s := c.Search
	s.Seed = seed
	if group == GroupFixed {
		s.Space, s.SpaceFingerprint = c.Fixed.Space, c.Fixed.Fingerprint
	}
	return &s
}

// Validate reports the first field that is out of its range, by its name in the file.
func (c *Config) Validate() error {
	if err := c.Search.Validate(); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	if !slices.Equal(c.Search.Objectives, []string{rundir.ObjectiveLatency}) || len(c.Search.OtherLUTs) > 0 {
		return fmt.Errorf("search.objectives and search.other_luts ask for more than one latency; a study compares at [%s] of one table", rundir.ObjectiveLatency)
	}
	if c.Search.TargetLatencyMS == 0 {
		return errors.New("search.target_latency_ms is 0; name the latency to compare at there, or by --target-latency")
	}
	if c.Search.LUT.Path == "" || c.Search.Data == "" {
		return errors.New("search.lut.path or search.data is empty; name the lookup table and the images there, or by --lut and --data")
	}
	if c.Search.ArchitectureEpoch >= c.Search.Epochs {
		return fmt.Errorf("search.architecture_epoch is %d, counted from 0, of search.epochs %d: the architecture would never be trained", c.Search.ArchitectureEpoch, c.Search.Epochs)
	}
	for _, seeds := range []struct {
		field string
		least int
		seeds []uint64
	}{
		{"searched.search_seeds", 1, c.Searched.SearchSeeds}, {"searched.training_seeds", 1, c.Searched.TrainingSeeds},
		{"random.training_seeds", 1, c.Random.TrainingSeeds},
		{"fixed.search_seeds", 0, c.Fixed.SearchSeeds}, {"fixed.training_seeds", min(1, len(c.Fixed.SearchSeeds)), c.Fixed.TrainingSeeds},
		{"mobilenet_v2.training_seeds", 0, c.MobileNetV2.TrainingSeeds},
	} {
		if n := len(seeds.seeds); n < seeds.least || n > maxSeeds {
			return fmt.Errorf("%s has %d, allowed are %d to %d", seeds.field, n, seeds.least, maxSeeds)
		}
		for i, seed := range seeds.seeds {
			if seed == 0 || slices.Contains(seeds.seeds[:i], seed) {
				return fmt.Errorf("%s has %d, allowed are seeds from 1, each once", seeds.field, seed)
			}
		}
	}
	if len(c.Fixed.SearchSeeds) > 0 && c.Fixed.Space == "" {
		return errors.New("fixed.space is empty; name the space of fixed widths, or leave fixed.search_seeds out")
	}
	for _, f := range []struct {
		field            string
		value, low, high float64
	}{
		{"band", c.Band, 1e-6, 1},
		{"random.networks", float64(c.Random.Networks), 2, maxRandom},
		{"mobilenet_v2.halvings", float64(c.MobileNetV2.Halvings), 0, 5},
		{"training.epochs", float64(c.Training.Epochs), 1, 1e6},
		{"training.batch", float64(c.Training.Batch), 1, 65536},
		{"training.rate", c.Training.Rate, 1e-9, 1000},
		{"training.momentum", c.Training.Momentum, 0, 0.999999},
		{"training.weight_decay", c.Training.WeightDecay, 0, 1},
		{"training.label_smoothing", c.Training.LabelSmoothing, 0, 0.999999},
		{"training.mixup", c.Training.Mixup, 0, 1},
		{"ranking.resamples", float64(c.Ranking.Resamples), 100, 100_000},
	} {
		if !(f.value >= f.low && f.value <= f.high) { // refuses what is no number, too
			return fmt.Errorf("%s is %g, allowed is %g to %g", f.field, f.value, f.low, f.high)
		}
	}
	return nil
}
