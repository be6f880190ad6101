package onnx

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var update = flag.Bool("update", false, "rewrite golden files")

// example has every construct.
func example() *Model {
	batch := Dim{Name: "batch"}
	return &Model{
		Producer: "densenas", ProducerVersion: "v1", Opset: 17, Doc: "two nodes", Metadata: map[string]string{"b": "2", "a": "1", "empty": ""},
		Graph: Graph{
			Name: "example",
			Nodes: []Node{
				{Name: "first.conv", Operator: "Conv", Inputs: []string{"x", "w", "b"}, Outputs: []string{"h"}, Doc: "a convolution",
					Attributes: []Attribute{Int("group", 1), Ints("pads", 0, 0, 0, 0), Float("scale", 0.5), Int("axis", -1)}},
				{Name: "first.clip", Operator: "Clip", Inputs: []string{"h", "", "high"}, Outputs: []string{"y"}},
			},
			Weights: []Tensor{
				{Name: "w", Dims: []int{2, 3, 1, 1}, Data: []float32{1, 2, 3, -4, 5.5, float32(math.Inf(1))}},
				{Name: "b", Dims: []int{2}, Data: []float32{0.25, -0.25}},
				{Name: "high", Data: []float32{6}},
			},
			Inputs:  []Value{{Name: "x", Dims: append([]Dim{batch}, Fixed(3, 300, 300)...), Doc: "images"}},
			Outputs: []Value{{Name: "y", Dims: append([]Dim{batch}, Fixed(2, 300, 300)...)}},
		},
	}
}

// schema names the fields of the format's messages that the package writes, as in onnx.proto; a field that holds a message
// leads on. The decoder below knows nothing else of the encoder.
type schema map[protowire.Number]struct {
	name string
	of   schema
	kind string // string, int, ints, float or floats where it is no message
}

var (
	dimension  = schema{1: {"dim_value", nil, "int"}, 2: {"dim_param", nil, "string"}}
	shape      = schema{1: {"dim", dimension, ""}}
	tensorType = schema{1: {"elem_type", nil, "int"}, 2: {"shape", shape, ""}}
	valueInfo  = schema{1: {"name", nil, "string"}, 2: {"type", schema{1: {"tensor_type", tensorType, ""}}, ""}, 3: {"doc_string", nil, "string"}}
	attribute  = schema{1: {"name", nil, "string"}, 2: {"f", nil, "float"}, 3: {"i", nil, "int"}, 8: {"ints", nil, "ints"}, 20: {"type", nil, "int"}}
	node       = schema{1: {"input", nil, "string"}, 2: {"output", nil, "string"}, 3: {"name", nil, "string"}, 4: {"op_type", nil, "string"},
		5: {"attribute", attribute, ""}, 6: {"doc_string", nil, "string"}}
	tensor = schema{1: {"dims", nil, "ints"}, 2: {"data_type", nil, "int"}, 8: {"name", nil, "string"}, 9: {"raw_data", nil, "floats"}}
	graph  = schema{1: {"node", node, ""}, 2: {"name", nil, "string"}, 5: {"initializer", tensor, ""}, 11: {"input", valueInfo, ""}, 12: {"output", valueInfo, ""}}
	model  = schema{1: {"ir_version", nil, "int"}, 2: {"producer_name", nil, "string"}, 3: {"producer_version", nil, "string"}, 6: {"doc_string", nil, "string"},
		7: {"graph", graph, ""}, 8: {"opset_import", schema{1: {"domain", nil, "string"}, 2: {"version", nil, "int"}}, ""},
		14: {"metadata_props", schema{1: {"key", nil, "string"}, 2: {"value", nil, "string"}}, ""}}
)

// describe writes a message as indented text, a field a line.
func describe(w *strings.Builder, s schema, indent string, b []byte) error {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		field, known := s[number]
		if !known {
			return fmt.Errorf("field %d is not of this message", number)
		}
		fmt.Fprintf(w, "%s%s", indent, field.name)
		switch wire {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 || field.kind != "int" {
				return fmt.Errorf("%s is a varint: %v", field.name, protowire.ParseError(n))
			}
			fmt.Fprintf(w, " %d\n", int64(v))
			b = b[n:]
		case protowire.Fixed32Type:
			v, n := protowire.ConsumeFixed32(b)
			if n < 0 || field.kind != "float" {
				return fmt.Errorf("%s is four bytes: %v", field.name, protowire.ParseError(n))
			}
			fmt.Fprintf(w, " %g\n", math.Float32frombits(v))
			b = b[n:]
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]
			switch field.kind {
			case "string":
				fmt.Fprintf(w, " %q\n", v)
			case "ints":
				for len(v) > 0 {
					i, n := protowire.ConsumeVarint(v)
					if n < 0 {
						return protowire.ParseError(n)
					}
					fmt.Fprintf(w, " %d", int64(i))
					v = v[n:]
				}
				w.WriteString("\n")
			case "floats":
				for i := 0; i+4 <= len(v); i += 4 {
					fmt.Fprintf(w, " %g", math.Float32frombits(binary.LittleEndian.Uint32(v[i:])))
				}
				w.WriteString("\n")
			case "":
				w.WriteString("\n")
				if err := describe(w, field.of, indent+"  ", v); err != nil {
					return fmt.Errorf("%s: %w", field.name, err)
				}
			default:
				return fmt.Errorf("%s is bytes", field.name)
			}
		default:
			return fmt.Errorf("%s has wire type %d", field.name, wire)
		}
	}
	return nil
}

func TestEncodeWritesTheFormat(t *testing.T) {
	data, err := example().Encode()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := describe(&text, model, "", data); err != nil {
		t.Fatalf("%v\nafter:\n%s", err, text.String())
	}
	golden := filepath.Join("testdata", "example.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("the model reads as\n%s", text.String())
	}
	again, err := example().Encode()
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("the same model gives other bytes, %v", err)
	}
}

func TestEncodeRefusesWhatIsNoGraph(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *Graph)
		said   string
	}{
		"unknown input":        {func(g *Graph) { g.Nodes[0].Inputs[1] = "none" }, `"first.conv" takes "none"`},
		"wrong order":          {func(g *Graph) { g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0] }, `"first.clip" takes "h"`},
		"two nodes of a name":  {func(g *Graph) { g.Nodes[1].Name = "first.conv" }, `"first.conv" (Clip)`},
		"node without a name":  {func(g *Graph) { g.Nodes[1].Name = "" }, "a node has a name"},
		"no operator":          {func(g *Graph) { g.Nodes[1].Operator = "" }, "an operator"},
		"a value twice":        {func(g *Graph) { g.Nodes[1].Outputs[0] = "h" }, `"h"`},
		"a weight twice":       {func(g *Graph) { g.Weights[1].Name = "w" }, `"w"`},
		"an input as a weight": {func(g *Graph) { g.Inputs[0].Name = "w" }, `"w"`},
		"an input no text":     {func(g *Graph) { g.Inputs[0].Name = "\xff" }, "does not allow"},
		"shape and data":       {func(g *Graph) { g.Weights[0].Dims[0] = 3 }, `weight "w" of shape [3 3 1 1] has 6 values`},
		"no output":            {func(g *Graph) { g.Outputs = nil }, "has no output"},
		"unknown output":       {func(g *Graph) { g.Outputs[0].Name = "z" }, `output "z"`},
	} {
		m := example()
		c.change(&m.Graph)
		if _, err := m.Encode(); err == nil || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v, want %s", name, err, c.said)
		}
	}
}
