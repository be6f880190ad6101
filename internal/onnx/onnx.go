// Package onnx writes models in the ONNX format: a graph of nodes over named tensors, with its weights, as one protobuf message.
//
// It holds the small part of the format that inference graphs of convolutional networks need: float32 tensors, and attributes
// that are integers, lists of them, or a number. A [Model] is plain data; [Model.Encode] refuses one that is no sound graph:
// names that occur twice, inputs that nothing gives, nodes before what they take, tensors whose data do not fit their shape, and
// models over the 2 GiB that a protobuf message can have. Operators and their shapes are not checked: that is the runtime's work.
package onnx

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// IRVersion is the version of the format that models are written in, the one of ONNX 1.11 to 1.12; later tools read it.
const IRVersion = 8

// Model is a whole file.
type Model struct {
	Producer        string // name of the program
	ProducerVersion string
	Opset           int // version of the default operators
	Doc             string
	Metadata        map[string]string // written in the order of the keys
	Graph           Graph
}

// Graph is nodes in an order in which they can be computed.
type Graph struct {
	Name    string
	Nodes   []Node
	Weights []Tensor
	Inputs  []Value
	Outputs []Value
}

// Node is one operator of the default domain.
type Node struct {
	Name       string
	Operator   string
	Inputs     []string // names of values; empty: an optional one that is left out
	Outputs    []string
	Attributes []Attribute
	Doc        string
}

// Attribute of a node: made by [Int], [Ints] or [Float].
type Attribute struct {
	name string
	kind attributeKind
	ints []int64
	f    float32
}

type attributeKind int

// Types of attributes in the format.
const (
	kindFloat attributeKind = 1
	kindInt   attributeKind = 2
	kindInts  attributeKind = 7
)

// Int is an integer attribute.
func Int(name string, value int) Attribute {
	return Attribute{name: name, kind: kindInt, ints: []int64{int64(value)}}
}

// Ints is a list of integers.
func Ints(name string, values ...int) Attribute {
	a := Attribute{name: name, kind: kindInts}
	for _, v := range values {
		a.ints = append(a.ints, int64(v))
	}
	return a
}

// Float is a float32 attribute.
func Float(name string, value float32) Attribute {
	return Attribute{name: name, kind: kindFloat, f: value}
}

// Tensor is a named float32 tensor, row-major. Without dimensions it is a scalar.
type Tensor struct {
	Name string
	Dims []int
	Data []float32
}

// Value describes an input or output: float32 of this shape.
type Value struct {
	Name string
	Dims []Dim
	Doc  string
}

// Dim is a dimension: of a fixed size, or, where Name is set, of any.
type Dim struct {
	Size int
	Name string
}

// Fixed are dimensions of fixed size.
func Fixed(sizes ...int) []Dim {
	dims := make([]Dim, len(sizes))
	for i, n := range sizes {
		dims[i].Size = n
	}
	return dims
}

// String is the attribute as "pads=[1 1 1 1]".
func (a Attribute) String() string {
	switch a.kind {
	case kindFloat:
		return fmt.Sprintf("%s=%g", a.name, a.f)
	case kindInt:
		return fmt.Sprintf("%s=%d", a.name, a.ints[0])
	}
	return fmt.Sprintf("%s=%v", a.name, a.ints)
}

const (
	elementFloat = 1 // TensorProto.DataType
	maxModel     = math.MaxInt32
)

// Encode returns the file's bytes. Equal models give equal bytes.
func (m *Model) Encode() ([]byte, error) {
	if err := m.Graph.check(); err != nil {
		return nil, err
	}
	size := 0
	for _, t := range m.Graph.Weights {
		size += 4 * len(t.Data)
	}
	if size > maxModel {
		return nil, fmt.Errorf("the model's weights have %d bytes, an ONNX file at most %d", size, maxModel)
	}
	var b []byte
	b = integer(b, 1, IRVersion)
	b = text(b, 2, m.Producer)
	b = text(b, 3, m.ProducerVersion)
	b = text(b, 6, m.Doc)
	b = message(b, 7, m.Graph.encode(size))
	b = message(b, 8, integer(text(nil, 1, ""), 2, int64(m.Opset)))
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		b = message(b, 14, text(text(nil, 1, key), 2, m.Metadata[key]))
	}
	if len(b) > maxModel {
		return nil, fmt.Errorf("the model has %d bytes, an ONNX file at most %d", len(b), maxModel)
	}
	return b, nil
}

// encode writes the graph; weights is the number of their bytes.
func (g *Graph) encode(weights int) []byte {
	b := make([]byte, 0, weights+weights/8+1<<16)
	for _, n := range g.Nodes {
		b = message(b, 1, n.encode())
	}
	b = text(b, 2, g.Name)
	for _, t := range g.Weights {
		b = message(b, 5, t.encode())
	}
	for _, v := range g.Inputs {
		b = message(b, 11, v.encode())
	}
	for _, v := range g.Outputs {
		b = message(b, 12, v.encode())
	}
	return b
}

func (n *Node) encode() []byte {
	var b []byte
	for _, in := range n.Inputs {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), in)
	}
	for _, out := range n.Outputs {
		b = text(b, 2, out)
	}
	b = text(b, 3, n.Name)
	b = text(b, 4, n.Operator)
	for _, a := range n.Attributes {
		b = message(b, 5, a.encode())
	}
	return text(b, 6, n.Doc)
}

func (a *Attribute) encode() []byte {
	b := text(nil, 1, a.name)
	switch a.kind {
	case kindFloat:
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(a.f))
	case kindInt:
		b = integer(b, 3, a.ints[0])
	case kindInts:
		b = message(b, 8, packed(a.ints))
	}
	return integer(b, 20, int64(a.kind))
}

func (t *Tensor) encode() []byte {
	dims := make([]int64, len(t.Dims))
	for i, d := range t.Dims {
		dims[i] = int64(d)
	}
	var b []byte
	if len(dims) > 0 {
		b = message(b, 1, packed(dims))
	}
	b = integer(b, 2, elementFloat)
	b = text(b, 8, t.Name)
	raw := make([]byte, 0, 4*len(t.Data))
	for _, v := range t.Data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return message(b, 9, raw)
}

func (v *Value) encode() []byte {
	var shape []byte
	for _, d := range v.Dims {
		if d.Name != "" {
			shape = message(shape, 1, text(nil, 2, d.Name))
		} else {
			shape = message(shape, 1, integer(nil, 1, int64(d.Size)))
		}
	}
	tensor := message(integer(nil, 1, elementFloat), 2, shape)
	return text(message(text(nil, 1, v.Name), 2, message(nil, 1, tensor)), 3, v.Doc)
}

func integer(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// text leaves an empty string out.
func text(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func message(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}

func packed(values []int64) []byte {
	var b []byte
	for _, v := range values {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return b
}
