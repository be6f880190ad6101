package rundir

import (
	"embed"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"

	"go.yaml.in/yaml/v3"
)

const (
	configKind    = "densenas.config"
	configVersion = 1
	maxConfigFile = 1 << 20 // bytes
	maxText       = 4096    // bytes of a path

	// paperSpace is the space whose configuration is the paper's: that of spaces that have none of their own.
	paperSpace = "mbv2"
)

//go:embed configs/*.yaml
var configs embed.FS

// Config is all that decides a search. Epochs count from 0.
type Config struct {
	files.Header `yaml:",inline"`

	Space            string `yaml:"space"`             // name of a built-in space, or the path of one
	SpaceFingerprint string `yaml:"space_fingerprint"` // of the space as named; empty until the run begins
	Backend          string `yaml:"backend"`           // as asked for: auto, go, xla, …
	Seed             uint64 `yaml:"seed"`              // of weights, sampling, held-out share, order and augmentation

	Data         string  `yaml:"data"`           // mnist, or a path
	DataIdentity string  `yaml:"data_identity"`  // of the data set as read; empty until the run begins
	Resolution   int     `yaml:"resolution"`     // of the images in training; 0: the space's
	HeldOutShare float64 `yaml:"held_out_share"` // of the training images, for the architecture parameters; above 0, at most 0.9
	Limit        int     `yaml:"limit"`          // training images at most; 0: all
	Augmentation string  `yaml:"augmentation"`   // empty: chosen by the data
	SkipCorrupt  bool    `yaml:"skip_corrupt"`   // leave images out that cannot be decoded
	Workers      int     `yaml:"workers"`        // decode and augment; 0: one per processor

	Epochs            int `yaml:"epochs"`
	ArchitectureEpoch int `yaml:"architecture_epoch"` // the first with an architecture pass
	// SingleCandidateEpochs are the first ones, in which each layer trains one candidate, whose weights the others then take over. They end
	// at least one epoch before ArchitectureEpoch.
	SingleCandidateEpochs int     `yaml:"single_candidate_epochs"`
	Batch                 int     `yaml:"batch"`    // images of a step
	Rate                  float64 `yaml:"rate"`     // of SGD at the start, falling along a cosine …
	MinRate               float64 `yaml:"min_rate"` // … to this
	Momentum              float64 `yaml:"momentum"`
	WeightDecay           float64 `yaml:"weight_decay"`  // coupled L2
	GradientClip          float64 `yaml:"gradient_clip"` // norm of a weight's gradient at most, as a share of the weight's norm; 0: no limit
	NormMomentum          float64 `yaml:"norm_momentum"` // share by which batch norm's running statistics move

	Devices       int    `yaml:"devices"`         // that share each batch evenly; 0: all GPUs, or one; as many as there were once the run begins
	SyncBatchNorm bool   `yaml:"sync_batch_norm"` // statistics over the whole batch instead of over each device's share
	DType         string `yaml:"dtype"`           // of activations and products: f32 or bf16; weights and statistics are f32

	TensorBoard bool `yaml:"tensorboard"` // write the records for TensorBoard too

	ArchitectureRate        float64 `yaml:"architecture_rate"` // of Adam, for alpha and beta
	ArchitectureWeightDecay float64 `yaml:"architecture_weight_decay"`
	AdamBeta1               float64 `yaml:"adam_beta1"`
	AdamBeta2               float64 `yaml:"adam_beta2"`

	// Objectives are what the architecture is trained for besides accuracy: ObjectiveLatency, ObjectiveMultiplyAdds,
	// ObjectiveParameters. Each adds factor · log(expected cost)/log(base) to the loss of an architecture step, the cost in
	// ms or millions; latency does for every table.
	Objectives []string `yaml:"objectives"`
	Base       float64  `yaml:"base"`   // of latency
	Factor     float64  `yaml:"factor"` // of latency
	// Where a target is above 0, the expected cost is steered to it, and the factor does not count.
	TargetLatencyMS float64 `yaml:"target_latency_ms"`
	MultiplyAdds    Counted `yaml:"multiply_adds"`
	Parameters      Counted `yaml:"parameters"`

	LUT       LUT        `yaml:"lut"`
	OtherLUTs []OtherLUT `yaml:"other_luts"` // of further devices
}

// The objectives.
const (
	ObjectiveLatency      = "latency"
	ObjectiveMultiplyAdds = "multiply-adds"
	ObjectiveParameters   = "parameters"
)

// Counted is an objective that is counted rather than measured, in millions.
type Counted struct {
	Base           float64 `yaml:"base_millions"`
	Factor         float64 `yaml:"factor"`
	TargetMillions float64 `yaml:"target_millions"` // 0: none
}

// OtherLUT is the table of a further device, with a target of its own. It must match what LUT says of resolution, batch, dtype and
// caches.
type OtherLUT struct {
	Path            string  `yaml:"path"`
	Identity        string  `yaml:"identity"`
	TargetLatencyMS float64 `yaml:"target_latency_ms"` // 0: none
	Verified        bool    `yaml:"verified"`
}

// maxOtherLUTs bounds the further devices.
const maxOtherLUTs = 3

// Has says whether an objective is among those of the configuration.
func (c *Config) Has(objective string) bool { return slices.Contains(c.Objectives, objective) }

// LUT names the lookup table of a search and what it is optimised for.
type LUT struct {
	Path       string `yaml:"path"`       // file
	Identity   string `yaml:"identity"`   // of its content; empty until the run begins
	Resolution int    `yaml:"resolution"` // that the table must have been measured for; 0: the space's
	Batch      int    `yaml:"batch"`      // likewise; 1 unless named
	DType      string `yaml:"dtype"`      // likewise; f32 unless named
	Caches     string `yaml:"caches"`     // likewise; lut.Warm unless named
	Verified   bool   `yaml:"verified"`   // whether the table was held against whole networks
}

// Default is the configuration of a built-in space; other spaces have mbv2's, with their name.
func Default(space string) (*Config, error) {
	name := paperSpace
	if names := builtIn(); slices.Contains(names, space) {
		name = space
	}
	data, err := configs.ReadFile("configs/" + name + ".yaml")
	if err != nil {
		return nil, err
	}
	c := new(Config)
	if err := files.DecodeYAMLKind("configs/"+name+".yaml", data, configKind, configVersion, c); err != nil {
		return nil, err
	}
	c.Space = space
	return c, nil
}

// builtIn names the spaces that have a configuration.
func builtIn() []string {
	entries, err := configs.ReadDir("configs")
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	slices.Sort(names)
	return names
}

// Load reads a configuration that may leave fields out: they have the defaults of the space that it names. Where it names
// none, that is space.
func Load(path, space string) (*Config, error) {
	data, err := files.ReadBounded(path, maxConfigFile)
	if err != nil {
		return nil, err
	}
	return load(path, data, space)
}

func load(name string, data []byte, space string) (*Config, error) {
	named := new(Config)
	if err := files.DecodeYAMLKind(name, data, configKind, configVersion, named); err != nil {
		return nil, err
	}
	if named.Space != "" {
		space = named.Space
	}
	c, err := Default(space)
	if err != nil {
		return nil, err
	}
	if err := files.DecodeYAML(name, data, c); err != nil {
		return nil, err
	}
	c.Space = space
	if named.SingleCandidateEpochs == 0 {
		c.FitSingleCandidateEpochs()
	}
	if err := c.Validate(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return c, nil
}

// ReadConfig reads the configuration of a run folder, which has every field.
func ReadConfig(folder string) (*Config, error) {
	data, err := files.ReadOfFolder(folder, ConfigFile, maxConfigFile, "a run folder", "search run")
	if err != nil {
		return nil, err
	}
	return parseConfig(filepath.Join(folder, ConfigFile), data)
}

func parseConfig(name string, data []byte) (*Config, error) {
	c := new(Config)
	if err := files.DecodeWholeYAML(name, data, configKind, configVersion, c); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return c, nil
}

// encode is the configuration as its file has it.
func (c *Config) encode() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	whole := *c
	whole.Header = files.Header{Kind: configKind, SchemaVersion: configVersion}
	return yaml.Marshal(&whole)
}

// FitSingleCandidateEpochs lowers SingleCandidateEpochs, where it is a default, to what an ArchitectureEpoch that is not one leaves room for.
func (c *Config) FitSingleCandidateEpochs() {
	c.SingleCandidateEpochs = min(c.SingleCandidateEpochs, c.mostSingleCandidateEpochs())
}

// mostSingleCandidateEpochs leaves one epoch in which all candidates are trained before they are compared.
func (c *Config) mostSingleCandidateEpochs() int { return max(c.ArchitectureEpoch-1, 0) }

// Write writes the configuration into a run folder, atomically and with every field.
func (c *Config) Write(folder string) error {
	return files.WriteEncoded(filepath.Join(folder, ConfigFile), c.encode)
}

// Validate reports the first field that is out of its range, by its name in the file.
func (c *Config) Validate() error {
	if c.Space == "" {
		return errors.New("space is empty; name one")
	}
	for i, name := range c.Objectives {
		if name != ObjectiveLatency && name != ObjectiveMultiplyAdds && name != ObjectiveParameters {
			return fmt.Errorf("objectives has %.40q, known are %s, %s and %s", name, ObjectiveLatency, ObjectiveMultiplyAdds, ObjectiveParameters)
		}
		if slices.Contains(c.Objectives[:i], name) {
			return fmt.Errorf("objectives has %s twice", name)
		}
	}
	if len(c.Objectives) == 0 {
		return fmt.Errorf("objectives is empty; name %s, for example", ObjectiveLatency)
	}
	if n := len(c.OtherLUTs); n > maxOtherLUTs {
		return fmt.Errorf("other_luts has %d tables, allowed are at most %d", n, maxOtherLUTs)
	}
	type text struct{ field, value string }
	texts := []text{{"space", c.Space}, {"space_fingerprint", c.SpaceFingerprint}, {"backend", c.Backend},
		{"data", c.Data}, {"data_identity", c.DataIdentity}, {"augmentation", c.Augmentation}, {"lut.path", c.LUT.Path}, {"lut.identity", c.LUT.Identity}, {"lut.dtype", c.LUT.DType}, {"lut.caches", c.LUT.Caches}}
	type ranged struct {
		field            string
		value, low, high float64
	}
	var others []ranged
	for i, other := range c.OtherLUTs {
		at := fmt.Sprintf("other_luts[%d].", i)
		texts = append(texts, text{at + "path", other.Path}, text{at + "identity", other.Identity})
		others = append(others, ranged{at + "target_latency_ms", other.TargetLatencyMS, 0, 1e9})
	}
	for _, text := range texts {
		if len(text.value) > maxText {
			return fmt.Errorf("%s has %d bytes, allowed are at most %d", text.field, len(text.value), maxText)
		}
		if strings.ContainsFunc(text.value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("%s %.60q has characters that cannot be printed", text.field, text.value)
		}
	}
	if c.DType != lut.F32 && c.DType != lut.BF16 {
		return fmt.Errorf("dtype is %.60q, allowed is %s or %s", c.DType, lut.F32, lut.BF16)
	}
	const below1, above0, above1 = 0.999999, 1e-6, 1.000001
	for name, target := range map[string]float64{"multiply_adds": c.MultiplyAdds.TargetMillions, "parameters": c.Parameters.TargetMillions} {
		if target > 0 && target < 1e-6 {
			return fmt.Errorf("%s.target_millions is %g, allowed are 0 and from 0.000001, which is one", name, target)
		}
	}
	for _, f := range append(others, []ranged{
		{"resolution", float64(c.Resolution), 0, 1024},
		{"held_out_share", c.HeldOutShare, above0, 0.9},
		{"limit", float64(c.Limit), 0, math.MaxInt32},
		{"workers", float64(c.Workers), 0, 4096},
		{"epochs", float64(c.Epochs), 1, 1e6},
		{"architecture_epoch", float64(c.ArchitectureEpoch), 0, 1e6},
		{"single_candidate_epochs", float64(c.SingleCandidateEpochs), 0, float64(c.mostSingleCandidateEpochs())},
		{"batch", float64(c.Batch), 1, 65536},
		{"rate", c.Rate, 0, 1000},
		{"min_rate", c.MinRate, 0, c.Rate},
		{"momentum", c.Momentum, 0, below1},
		{"weight_decay", c.WeightDecay, 0, 1},
		{"gradient_clip", c.GradientClip, 0, 1000},
		{"norm_momentum", c.NormMomentum, 0, 1},
		{"devices", float64(c.Devices), 0, 64},
		{"architecture_rate", c.ArchitectureRate, 0, 1000},
		{"architecture_weight_decay", c.ArchitectureWeightDecay, 0, 1},
		{"adam_beta1", c.AdamBeta1, 0, below1},
		{"adam_beta2", c.AdamBeta2, 0, below1},
		{"base", c.Base, above1, 1e12},
		{"factor", c.Factor, 0, 1e6},
		{"target_latency_ms", c.TargetLatencyMS, 0, 1e9},
		{"multiply_adds.base_millions", c.MultiplyAdds.Base, above1, 1e12},
		{"multiply_adds.factor", c.MultiplyAdds.Factor, 0, 1e6},
		{"multiply_adds.target_millions", c.MultiplyAdds.TargetMillions, 0, 1e9},
		{"parameters.base_millions", c.Parameters.Base, above1, 1e12},
		{"parameters.factor", c.Parameters.Factor, 0, 1e6},
		{"parameters.target_millions", c.Parameters.TargetMillions, 0, 1e9},
		{"lut.resolution", float64(c.LUT.Resolution), 0, 1024},
		{"lut.batch", float64(c.LUT.Batch), 1, 65536},
	}...) {
		if !(f.value >= f.low && f.value <= f.high) { // refuses what is no number, too
			plain := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
			return fmt.Errorf("%s is %s, allowed is %s to %s", f.field, plain(f.value), plain(f.low), plain(f.high))
		}
	}
	return nil
}
