package lut

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/supernet/space"
)

// Bounds of a published table.
const (
	maxImport      = 4 << 20 // bytes
	maxImportDepth = 8
)

// What the published tables do not say in themselves (Fang et al., CVPR 2020, section 4.1, and the implementation's defaults).
const (
	publishedDevice = "TITAN XP"
	publishedBatch  = 32
)

// ImportDenseNAS reads a table of the published implementation of DenseNAS: one nested list of times in ms, without keys,
//
//	[stem and, where the space has one, first block,
//	 [per block from the second: [[per incoming connection: [per head candidate]], [per stacked layer: [per stack candidate]]]],
//	 [per incoming connection of the final 1×1 convolution],
//	 classifier]
//
// in the order of the space's connections and candidates. Every entry but the first and the last gets its place, because ops
// of equal shape were measured again at every place. A block may have more stacked lists than the space has stacked layers;
// they are kept, at the places that follow, and noted. The text says neither intervals nor counts nor the time of a call, so
// the entries have medians only and nothing is subtracted from them. name is the file's, for messages.
func ImportDenseNAS(r io.Reader, name string, s *space.Space) (*Table, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxImport {
		return nil, exit.BadInput("%s: larger than %d MiB, the most that a published table may have; is it the right file?", name, maxImport>>20)
	}
	p := listParser{name: name, data: data}
	root, err := p.whole()
	if err != nil {
		return nil, err
	}
	i := importer{listParser: p, space: s}
	if err := i.table(root); err != nil {
		return nil, err
	}
	t := &Table{
		Device:      Device{Model: publishedDevice},
		Runtime:     Runtime{Name: "pytorch"},
		Batch:       publishedBatch,
		Resolutions: []int{s.Resolution},
		DType:       F32,
		Layout:      "nchw",
		Notes: append([]string{
			"imported from a published table of DenseNAS for the space " + s.Name,
			"the table itself does not say device, batch, runtime, precision, layout and intervals; the publication says the device and the batch, the rest are its implementation's defaults",
		}, i.notes...),
		Entries: i.entries,
	}
	if err := t.Check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return t, nil
}

// importer gives the numbers of a published table their keys and places.
type importer struct {
	listParser
	space   *space.Space
	entries []Entry
	notes   []string
}

// add adds the time of one op, or of stem and first block.
func (i *importer) add(value node, at *Position, ops ...space.Op) error {
	if value.list != nil {
		return i.fail(value, "found a list, expected the time of %s", ops[0].Key())
	}
	if !(value.number > 0 && value.number <= maxMS) {
		return i.fail(value, "the time of %s is %g, allowed is above 0 to %g ms", ops[0].Key(), value.number, maxMS)
	}
	e := Entry{Key: ops[0].Key(), Position: at, MedianMS: value.number, MultiplyAdds: ops[0].MultiplyAdds()}
	if len(ops) == 2 {
		e.Key = CompositeKey(ops[0], ops[1])
		e.MultiplyAdds += ops[1].MultiplyAdds()
	}
	i.entries = append(i.entries, e)
	return nil
}

// lists checks that a value is a list of n elements.
func (i *importer) lists(value node, n int, what string) error {
	if value.list == nil {
		return i.fail(value, "found a number, expected a list of %s", what)
	}
	if len(*value.list) != n {
		return i.fail(value, "found %d elements, but %s has %d %s; is it the table of another space? name it with --space", len(*value.list), i.space.Name, n, what)
	}
	return nil
}

func (i *importer) table(root node) error {
	s := i.space
	if root.list == nil || len(*root.list) != 4 {
		return i.fail(root, "expected a list of four: stem, blocks, final convolution, classifier; is it a published table of DenseNAS?")
	}
	parts := *root.list
	if err := i.add(parts[0], nil, s.EntryOps()...); err != nil {
		return err
	}
	if err := i.lists(parts[1], len(s.Blocks)-1, "blocks behind the first"); err != nil {
		return err
	}
	for b, block := range *parts[1].list {
		if err := i.block(block, b+1); err != nil {
			return err
		}
	}
	final := s.Incoming(len(s.Blocks))
	if err := i.lists(parts[2], len(final), "connections to the final convolution"); err != nil {
		return err
	}
	for k, value := range *parts[2].list {
		at := Connection(len(s.Blocks), k)
		if err := i.add(value, &at, s.FinalOp(final[k])); err != nil {
			return err
		}
	}
	if err := i.add(parts[3], nil, s.ClassifierOp()); err != nil {
		return err
	}
	// The form has no place for other classifiers.
	var widths []string
	for _, c := range s.Ops() {
		if c.Op.Kind == space.Classifier && c.Op != s.ClassifierOp() {
			widths = append(widths, strconv.Itoa(c.Op.In))
			if err := i.add(parts[3], nil, c.Op); err != nil {
				return err
			}
		}
	}
	if len(widths) > 0 {
		i.notes = append(i.notes, fmt.Sprintf("the classifiers on %s channels, of networks without the final convolution, were not measured: they have the time of that on %d",
			strings.Join(widths, " and "), s.Final.Width))
	}
	return nil
}

func (i *importer) block(value node, block int) error {
	s := i.space
	if value.list == nil || len(*value.list) != 2 {
		return i.fail(value, "block %d: expected two lists: head layers, stacked layers", block)
	}
	heads, stacks := (*value.list)[0], (*value.list)[1]
	incoming := s.Incoming(block)
	if err := i.lists(heads, len(incoming), fmt.Sprintf("incoming connections of block %d", block)); err != nil {
		return err
	}
	for c, head := range *heads.list {
		ops := s.HeadOps(incoming[c])
		if err := i.lists(head, len(ops), "head candidates"); err != nil {
			return err
		}
		for k, op := range ops {
			at := Connection(block, c)
			if err := i.add((*head.list)[k], &at, op); err != nil {
				return err
			}
		}
	}
	layers := s.Blocks[block].Layers
	if stacks.list == nil || len(*stacks.list) < layers || len(*stacks.list) > space.MaxLayers {
		return i.fail(stacks, "expected a list of the %d stacked layers of block %d, at most %d; is it the table of another space? name it with --space", layers, block, space.MaxLayers)
	}
	if more := len(*stacks.list) - layers; more > 0 {
		i.notes = append(i.notes, fmt.Sprintf("block %d: %d stacked layers beyond those of the space are kept", block, more))
	}
	for l, layer := range *stacks.list {
		if err := i.lists(layer, len(s.StackCandidates), "stack candidates"); err != nil {
			return err
		}
		for k, candidate := range s.StackCandidates {
			at := Layer(block, l)
			if err := i.add((*layer.list)[k], &at, stackOp(s, block, candidate)); err != nil {
				return err
			}
		}
	}
	return nil
}

// stackOp is a candidate at a block's stacked layer, also in a block to which the space gives none.
func stackOp(s *space.Space, block int, c space.Candidate) space.Op {
	b := s.Blocks[block]
	return space.Op{Kind: c.Kind, Kernel: c.Kernel, Expansion: c.Expansion, In: b.Width, Out: b.Width, Stride: 1,
		Resolution: (s.Resolution + b.Stride - 1) / b.Stride}
}

// node is a number, or a list of nodes.
type node struct {
	list   *[]node
	number float64
	at     int
}

// listParser reads nested lists of numbers: [1, [2.5, 3e-1]].
type listParser struct {
	name  string
	data  []byte
	at    int
	nodes int
}

func (p *listParser) fail(n node, format string, a ...any) error {
	return files.ErrorAt(p.name, p.data, int64(n.at), format, a...)
}

func (p *listParser) whole() (node, error) {
	root, err := p.value(0)
	if err != nil {
		return node{}, err
	}
	if p.space(); p.at < len(p.data) {
		return node{}, p.fail(node{at: p.at}, "text after the end of the list; remove it")
	}
	return root, nil
}

func (p *listParser) space() {
	for p.at < len(p.data) && (p.data[p.at] == ' ' || p.data[p.at] == '\n' || p.data[p.at] == '\t' || p.data[p.at] == '\r') {
		p.at++
	}
}

// peek is the next byte behind spaces; 0 at the end.
func (p *listParser) peek() byte {
	if p.space(); p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *listParser) unexpected(expected string) error {
	if p.at >= len(p.data) {
		return p.fail(node{at: p.at}, "the file ends in the middle, it is truncated; fetch it again")
	}
	return p.fail(node{at: p.at}, "found %q, expected %s; is it a published table of DenseNAS?", p.data[p.at], expected)
}

func (p *listParser) value(depth int) (node, error) {
	if p.nodes++; p.nodes > MaxEntries {
		return node{}, p.fail(node{at: p.at}, "more than %d values; is it the right file?", MaxEntries)
	}
	if depth > maxImportDepth {
		return node{}, p.fail(node{at: p.at}, "nested deeper than %d; is it the right file?", maxImportDepth)
	}
	if p.peek() != '[' {
		return p.number()
	}
	n := node{list: new([]node), at: p.at}
	p.at++
	if p.peek() == ']' {
		p.at++
		return n, nil
	}
	for {
		inner, err := p.value(depth + 1)
		if err != nil {
			return node{}, err
		}
		*n.list = append(*n.list, inner)
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return n, nil
		default:
			return node{}, p.unexpected("a comma or ]")
		}
	}
}

func (p *listParser) number() (node, error) {
	start := p.at
	for p.at < len(p.data) && isNumberByte(p.data[p.at]) {
		p.at++
	}
	if p.at == start {
		return node{}, p.unexpected("a number or a list")
	}
	n := node{at: start}
	text := string(p.data[start:p.at])
	x, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(x) {
		return node{}, p.fail(n, "%.40q is not a number", text)
	}
	n.number = x // out of range is infinite, which add refuses
	return n, nil
}

func isNumberByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'
}
