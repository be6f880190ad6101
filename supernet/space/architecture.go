package space

import (
	"fmt"
	"math"
	"slices"
)

// MaxNetworkLayers bounds the layers of an architecture.
const MaxNetworkLayers = 1000

// NoBlock is the Block of the layers that stand outside the blocks: stem, final 1×1 convolution and classifier.
const NoBlock = -1

// Architecture is one network: a stem, blocks (each a head layer that may change width and resolution, and stacked layers that
// do not), a final 1×1 convolution, which may be left out, and a classifier. It comes out of a space, or has no Space and Path.
type Architecture struct {
	Name       string // empty where it has none
	Space      string // name of the space; empty where it comes out of none
	Path       []int  // the space's blocks that the network passes, the first being 0, which may have no layer; nil without a space
	Resolution int    // side of the square image
	Channels   int    // of the image
	Classes    int
	Layers     []Layer
	Predicted  *Prediction // nil where no table was given
}

// Layer is one layer of an architecture.
type Layer struct {
	// Block is the block that the layer belongs to; its first layer is its head. With a Path it is the number in the space,
	// without one blocks count from 0. NoBlock for stem, final and classifier.
	Block int
	Op    Op // Resolution follows from the architecture's
}

// Prediction is what a table says of an architecture's latency.
type Prediction struct {
	LatencyMS float64 `json:"latency_ms"`
	LowMS     float64 `json:"low_ms"` // 95 % interval
	HighMS    float64 `json:"high_ms"`
	Table     string  `json:"table"`    // identity of the table
	Verified  bool    `json:"verified"` // whether the table was held against whole networks
}

// Ops lists the layers' operations in the order of the network.
func (a *Architecture) Ops() []Op {
	ops := make([]Op, len(a.Layers))
	for i, l := range a.Layers {
		ops[i] = l.Op
	}
	return ops
}

// Counts lists the distinct ops in the order in which they first come, with how often each stands in the network.
func (a *Architecture) Counts() []OpCount {
	var all counter
	all.add(1, a.Ops()...)
	return all.list
}

// MultiplyAdds of one image.
func (a *Architecture) MultiplyAdds() int64 {
	var total int64
	for _, l := range a.Layers {
		total += l.Op.MultiplyAdds()
	}
	return total
}

// Parameters counts the weights with batch norm's scale and offset.
func (a *Architecture) Parameters() int64 {
	var total int64
	for _, l := range a.Layers {
		total += l.Op.Parameters()
	}
	return total
}

// WithResolution is the same network on images of another side in pixels. It has no prediction.
func (a *Architecture) WithResolution(r int) *Architecture {
	c := a.clone()
	c.Resolution = r
	c.resolve()
	return c
}

// WithClasses is the same network with another number of classes. It has no prediction.
func (a *Architecture) WithClasses(n int) *Architecture {
	c := a.clone()
	c.Classes = n
	for i := range c.Layers {
		if c.Layers[i].Op.Kind == Classifier {
			c.Layers[i].Op.Out = n
		}
	}
	return c
}

// WithChannels is the same network on images of another number of channels. It has no prediction.
func (a *Architecture) WithChannels(n int) *Architecture {
	c := a.clone()
	c.Channels = n
	for i := range c.Layers {
		if c.Layers[i].Op.Kind == Stem {
			c.Layers[i].Op.In = n
		}
	}
	return c
}

func (a *Architecture) clone() *Architecture {
	c := *a
	c.Path, c.Layers, c.Predicted = slices.Clone(a.Path), slices.Clone(a.Layers), nil
	return &c
}

// resolve fills in the layers' resolutions from the image's.
func (a *Architecture) resolve() {
	r := a.Resolution
	for i := range a.Layers {
		a.Layers[i].Op.Resolution = r
		r = a.Layers[i].Op.OutResolution()
	}
}

// Check reports the first thing that makes the layers no network: an op out of range, widths or resolutions that do not follow
// from the layer before, layers out of order, or blocks that are not the path's.
func (a *Architecture) Check() error {
	for _, f := range []struct{ field, name string }{{"name", a.Name}, {"space", a.Space}} {
		if f.name == "" {
			continue
		}
		if err := checkName(f.field, f.name); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		field       string
		value, most int
	}{{"resolution", a.Resolution, MaxResolution}, {"channels", a.Channels, MaxChannels}, {"classes", a.Classes, MaxClasses}} {
		if f.value < 1 || f.value > f.most {
			return fmt.Errorf("%s is %d, allowed is 1 to %d", f.field, f.value, f.most)
		}
	}
	if n := len(a.Layers); n < 3 || n > MaxNetworkLayers {
		return fmt.Errorf("layers has %d entries, allowed are 3 (stem, a block, classifier) to %d", n, MaxNetworkLayers)
	}
	before := Op{Out: a.Channels, Resolution: a.Resolution}
	for i, l := range a.Layers {
		if err := a.checkLayer(i, before); err != nil {
			return fmt.Errorf("layers[%d]: %w", i, err)
		}
		before = l.Op
	}
	if before.Out != a.Classes {
		return fmt.Errorf("the classifier has %d outputs, but classes is %d", before.Out, a.Classes)
	}
	if err := a.checkPath(); err != nil {
		return err
	}
	return a.Predicted.check()
}

// checkLayer checks layer i against the op before it.
func (a *Architecture) checkLayer(i int, before Op) error {
	l, n := a.Layers[i], len(a.Layers)
	if err := l.Op.Check(); err != nil {
		return err
	}
	if l.Op.In != before.Out {
		return fmt.Errorf("%s takes %d channels, but the layer before gives %d", l.Op.Kind, l.Op.In, before.Out)
	}
	if r := before.OutResolution(); l.Op.Resolution != r {
		return fmt.Errorf("%s takes %d×%d, but the layer before gives %d×%d", l.Op.Kind, l.Op.Resolution, l.Op.Resolution, r, r)
	}
	fixed := map[int]Kind{0: Stem, n - 1: Classifier}[i]
	if i == n-2 && n > 3 && (l.Op.Kind == Final || l.Block == NoBlock) {
		fixed = Final
	}
	if fixed != "" {
		if l.Op.Kind != fixed || l.Block != NoBlock {
			return fmt.Errorf("is %s in block %d, expected %s outside the blocks", l.Op.Kind, l.Block, fixed)
		}
		return nil
	}
	if l.Op.Kind != MBConv && l.Op.Kind != Basic && l.Op.Kind != Skip {
		return fmt.Errorf("is %s, allowed inside the blocks are %s, %s and %s", l.Op.Kind, MBConv, Basic, Skip)
	}
	last := a.Layers[i-1].Block
	switch {
	case l.Block == last && last != NoBlock:
		if l.Op.Stride != 1 || l.Op.In != l.Op.Out {
			return fmt.Errorf("a stacked layer from %d to %d channels with stride %d, allowed is equal width and stride 1", l.Op.In, l.Op.Out, l.Op.Stride)
		}
	case a.Path == nil && l.Block != last+1:
		return fmt.Errorf("is in block %d, expected %d: without a path, blocks count from 0 without a gap", l.Block, last+1)
	case l.Block <= last:
		return fmt.Errorf("is in block %d after block %d, allowed is an ascending order", l.Block, last)
	}
	return nil
}

func (a *Architecture) checkPath() error {
	if (a.Path == nil) != (a.Space == "") {
		return fmt.Errorf("space is %q and path %v: an architecture has both or neither", a.Space, a.Path)
	}
	if a.Path == nil {
		return nil
	}
	var passed []int
	for _, l := range a.Layers {
		if l.Block != NoBlock && (len(passed) == 0 || passed[len(passed)-1] != l.Block) {
			passed = append(passed, l.Block)
		}
	}
	if len(passed) > 0 && passed[0] != 0 && len(a.Path) > 0 && a.Path[0] == 0 {
		passed = append([]int{0}, passed...) // the first block is the stem
	}
	if !slices.Equal(passed, a.Path) {
		return fmt.Errorf("the layers pass the blocks %v, but path says %v", passed, a.Path)
	}
	if first, last := passed[0], passed[len(passed)-1]; first != 0 || last >= MaxBlocks {
		return fmt.Errorf("path leads from block %d to %d, allowed is from 0 to at most %d", first, last, MaxBlocks-1)
	}
	return nil
}

func (p *Prediction) check() error {
	if p == nil {
		return nil
	}
	for _, f := range []struct {
		field string
		value float64
	}{{"latency_ms", p.LatencyMS}, {"low_ms", p.LowMS}, {"high_ms", p.HighMS}} {
		if !(f.value >= 0 && f.value <= math.MaxFloat64) {
			return fmt.Errorf("predicted.%s is %g, allowed is a finite number from 0", f.field, f.value)
		}
	}
	if p.LowMS > p.LatencyMS || p.LatencyMS > p.HighMS {
		return fmt.Errorf("predicted.latency_ms is %g, allowed is from low_ms %g to high_ms %g", p.LatencyMS, p.LowMS, p.HighMS)
	}
	if len(p.Table) > 100 {
		return fmt.Errorf("predicted.table has %d bytes, allowed are at most 100", len(p.Table))
	}
	return nil
}

// Network is the architecture of a path through the space: heads[i] is the op on the way into path[i+1], the last one the
// final 1×1 convolution, which is left out if architectures have none; stacks[i] are the stacked layers of path[i+1], skips left
// out.
func (s *Space) Network(path []int, heads []Op, stacks [][]Op) *Architecture {
	a := &Architecture{Space: s.Name, Path: slices.Clone(path), Resolution: s.Resolution, Channels: s.Channels, Classes: s.Classes}
	a.Layers = append(a.Layers, Layer{NoBlock, s.StemOp()})
	if s.HasFirst() {
		a.Layers = append(a.Layers, Layer{path[0], s.FirstOp()})
	}
	for i, block := range path[1:] {
		a.Layers = append(a.Layers, Layer{block, heads[i]})
		for _, op := range stacks[i] {
			if op.Kind != Skip {
				a.Layers = append(a.Layers, Layer{block, op})
			}
		}
	}
	for _, op := range s.EndOps(Connection{From: path[len(path)-1], To: len(s.Blocks)}) {
		a.Layers = append(a.Layers, Layer{NoBlock, op})
	}
	return a
}
