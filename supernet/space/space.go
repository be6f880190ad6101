package space

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Bounds of a space.
const (
	MaxBlocks     = 64
	MaxLayers     = 32 // stacked in a block
	MaxCandidates = 32 // of a layer
	MaxChannels   = 64 // of the image
)

// Space is a densely connected search space. Its blocks are numbered from 0 in the order of Blocks; the final 1×1 convolution
// counts as one block more, len(Blocks), with its own stage and the last block's stride. The stem leads to the first block,
// which is fixed: a single layer, First, or the stem itself where there is none.
//
// A connection leads from block i to a later block j when j is at most Forward blocks on, when their stages are at most one
// apart, and when j's feature map is as large as i's or half as large. See Incoming and Outgoing.
type Space struct {
	Name       string
	Resolution int // side of the square image
	Channels   int // of the image
	Classes    int
	Forward    int // how many blocks on a connection may lead
	Stem       StemLayer
	First      Candidate // the first block's only layer; the zero value: none
	// HeadCandidates are what a head layer chooses from, StackCandidates what a stacked layer does; the order is that of the
	// architecture parameters.
	HeadCandidates, StackCandidates []Candidate
	Blocks                          []Block
	Final                           FinalLayer
	// PathTemperature divides beta before the softmax that gives the path probabilities of the super network; 0: 1. Derivation
	// takes beta as it is.
	PathTemperature float64 `json:",omitempty"`
	// SkipCost is what a skip costs where operations are counted, as a share of its layer's first candidate: an objective that a
	// skip costs nothing ends in skips. It is no part of a table, and of no architecture's cost.
	SkipCost float64 `json:",omitempty"`
}

// StemLayer is the convolution on the image.
type StemLayer struct {
	Kernel, Width, Stride int
	Activation            Activation `json:",omitempty"`
	Affine                bool       `json:",omitempty"` // batch norm has scale and offset in the super network too
}

// Block is one block of a space: a width and a feature-map size that a network may pass through.
type Block struct {
	Width  int
	Stride int // from the input of the network
	Stage  int
	Layers int // stacked behind the head layer; 0 in the first block
}

// FinalLayer is the 1×1 convolution before the pooling.
type FinalLayer struct {
	Width, Stage int
	// SuperNetworkOnly leaves it out of architectures: they pool the last block's output.
	SuperNetworkOnly bool `json:",omitempty"`
}

// Check reports the first field that is out of its range, and a block that no connection could enter. The error names the field
// as the YAML form has it. In a space that passes, every block lies on a path from the first block to the final 1×1 convolution.
func (s *Space) Check() error {
	if err := checkName("name", s.Name); err != nil {
		return err
	}
	for _, f := range []struct {
		field            string
		value, low, high int
	}{
		{"resolution", s.Resolution, 1, MaxResolution},
		{"channels", s.Channels, 1, MaxChannels},
		{"classes", s.Classes, 1, MaxClasses},
		{"forward", s.Forward, 1, MaxBlocks},
		{"stem.width", s.Stem.Width, 1, MaxWidth},
		{"stem.stride", s.Stem.Stride, 1, 2},
		{"final.width", s.Final.Width, 1, MaxWidth},
		{"number of blocks", len(s.Blocks), 1, MaxBlocks},
	} {
		if f.value < f.low || f.value > f.high {
			return fmt.Errorf("%s is %d, allowed is %d to %d", f.field, f.value, f.low, f.high)
		}
	}
	if err := checkKernel(s.Stem.Kernel, 1); err != nil {
		return fmt.Errorf("stem.%w", err)
	}
	if err := s.Stem.Activation.check(); err != nil {
		return fmt.Errorf("stem.%w", err)
	}
	if s.First.Kind != MBConv && s.First.Kind != Basic && s.HasFirst() {
		return fmt.Errorf("first is %q, allowed are an mbconv, basic and none", s.First)
	}
	if err := checkCandidates("head", s.HeadCandidates, MBConv, Basic); err != nil {
		return err
	}
	if err := checkCandidates("stack", s.StackCandidates, MBConv, Basic, Skip); err != nil {
		return err
	}
	for _, f := range []struct {
		field      string
		value, low float64
		high       float64
	}{{"path_temperature", s.Temperature(), 0.01, 100}, {"skip_cost", s.SkipCost, 0, 1}} {
		if !(f.value >= f.low && f.value <= f.high) {
			return fmt.Errorf("%s is %g, allowed is %g to %g", f.field, f.value, f.low, f.high)
		}
	}
	for i := range s.Blocks {
		if err := s.checkBlock(i); err != nil {
			return fmt.Errorf("blocks[%d].%w", i, err)
		}
	}
	if first := s.Blocks[0]; !s.HasFirst() && (first.Width != s.Stem.Width || first.Stride != s.Stem.Stride) {
		return fmt.Errorf("blocks[0] has width %d and stride %d, allowed are the stem's %d and %d: without a first layer it is the stem", first.Width, first.Stride, s.Stem.Width, s.Stem.Stride)
	}
	last := s.Blocks[len(s.Blocks)-1]
	if s.Final.Stage < last.Stage || s.Final.Stage > last.Stage+1 {
		return fmt.Errorf("final.stage is %d, allowed are the last block's %d and %d", s.Final.Stage, last.Stage, last.Stage+1)
	}
	if _, ends := s.stride(0, len(s.Blocks)); ends && !s.HasFirst() {
		return fmt.Errorf("blocks[0] leads to the final convolution at once, allowed is that only with a first layer: a network has one in a block")
	}
	return nil
}

// HasFirst says whether the first block has a layer of its own.
func (s *Space) HasFirst() bool { return s.First != Candidate{} }

// Temperature is PathTemperature with its default.
func (s *Space) Temperature() float64 {
	if s.PathTemperature == 0 {
		return 1
	}
	return s.PathTemperature
}

func checkName(field, name string) error {
	if name == "" || len(name) > 100 {
		return fmt.Errorf("%s has %d bytes, allowed are 1 to 100", field, len(name))
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return fmt.Errorf("%s %q has characters that cannot be printed", field, name)
		}
	}
	return nil
}

func checkCandidates(field string, candidates []Candidate, kinds ...Kind) error {
	if len(candidates) > MaxCandidates || len(candidates) == 0 {
		return fmt.Errorf("%s has %d candidates, allowed are 1 to %d", field, len(candidates), MaxCandidates)
	}
	for i, c := range candidates {
		if !slices.Contains(kinds, c.Kind) {
			return fmt.Errorf("%s[%d] is %q, allowed here is %v", field, i, c, kinds)
		}
		if _, err := ParseCandidate(c.String()); err != nil {
			return fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		if slices.Contains(candidates[:i], c) {
			return fmt.Errorf("%s[%d] is %q a second time, allowed is each candidate once", field, i, c)
		}
	}
	return nil
}

// checkBlock checks block i against the one before it. Stages and strides never fall, so every block can be reached, and leads
// on, exactly if each block is connected to the next.
func (s *Space) checkBlock(i int) error {
	b, before := s.Blocks[i], Block{Stride: s.Stem.Stride, Stage: s.Blocks[0].Stage}
	if i > 0 {
		before = s.Blocks[i-1]
	}
	switch {
	case b.Width < 1 || b.Width > MaxWidth:
		return fmt.Errorf("width is %d, allowed is 1 to %d", b.Width, MaxWidth)
	case b.Stride != before.Stride && b.Stride != 2*before.Stride:
		return fmt.Errorf("stride is %d, allowed are %d (as before it) and %d: a connection halves the resolution once at most", b.Stride, before.Stride, 2*before.Stride)
	case b.Stride > s.Resolution:
		return fmt.Errorf("stride is %d, allowed is at most the resolution %d", b.Stride, s.Resolution)
	case b.Stage < 0 || b.Stage > MaxBlocks:
		return fmt.Errorf("stage is %d, allowed is 0 to %d", b.Stage, MaxBlocks)
	case b.Stage != before.Stage && b.Stage != before.Stage+1:
		return fmt.Errorf("stage is %d, allowed are %d (as before it) and %d: a connection leads one stage on at most", b.Stage, before.Stage, before.Stage+1)
	case i == 0 && b.Layers != 0:
		return fmt.Errorf("layers is %d, allowed is 0: the first block is fixed", b.Layers)
	case b.Layers < 0 || b.Layers > MaxLayers:
		return fmt.Errorf("layers is %d, allowed is 0 to %d", b.Layers, MaxLayers)
	}
	return nil
}

// WithResolution is the same space for images of another side in pixels.
func (s *Space) WithResolution(r int) (*Space, error) {
	c := s.clone()
	c.Resolution = r
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("space %s: %w", s.Name, err)
	}
	return c, nil
}

// WithClasses is the same space for another number of classes.
func (s *Space) WithClasses(n int) *Space {
	c := s.clone()
	c.Classes = n
	return c
}

func (s *Space) clone() *Space {
	c := *s
	c.HeadCandidates = slices.Clone(s.HeadCandidates)
	c.StackCandidates = slices.Clone(s.StackCandidates)
	c.Blocks = slices.Clone(s.Blocks)
	return &c
}

// Fingerprint is the SHA-256, in hexadecimal, of all that the space is made of, its name included. Spaces are equal exactly if
// their fingerprints are.
func (s *Space) Fingerprint() string {
	canonical, err := json.Marshal(s)
	if err != nil {
		panic(err) // plain numbers and strings
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
