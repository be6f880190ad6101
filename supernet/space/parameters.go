package space

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	parametersKind    = "densenas.params"
	parametersVersion = 1
	maxParametersFile = 16 << 20
)

// MaxLogit bounds the size of architecture parameters, so that no sum of their logarithmic probabilities leaves float64. A
// search moves them by a few units.
const MaxLogit = 1e6

// Parameters are the architecture parameters of a search over a space: logits, to be read through a softmax.
//
//	Beta[block][outgoing connection, nearest successor first]
//	AlphaHead[block-1][incoming connection, nearest predecessor first][head candidate]
//	AlphaStack[block-1][stacked layer][stack candidate]
//
// The first block has no alphas: it is fixed. The final 1×1 convolution has none either.
type Parameters struct {
	Space      string // name of the space
	Beta       [][]float64
	AlphaHead  [][][]float64
	AlphaStack [][][]float64
}

// NewParameters are all zero: every choice is as likely as the others.
func (s *Space) NewParameters() *Parameters {
	p := &Parameters{Space: s.Name}
	for block := range s.Blocks {
		p.Beta = append(p.Beta, make([]float64, len(s.Outgoing(block))))
		if block == 0 {
			continue
		}
		heads := make([][]float64, len(s.Incoming(block)))
		for i := range heads {
			heads[i] = make([]float64, len(s.HeadCandidates))
		}
		stacks := make([][]float64, s.Blocks[block].Layers)
		for i := range stacks {
			stacks[i] = make([]float64, len(s.StackCandidates))
		}
		p.AlphaHead, p.AlphaStack = append(p.AlphaHead, heads), append(p.AlphaStack, stacks)
	}
	return p
}

// Check reports the first tensor and index where the parameters are not the space's: another space, another number of elements,
// or an element that is not a number or
// larger than MaxLogit.
func (p *Parameters) Check(s *Space) error {
	if p.Space != s.Name {
		return fmt.Errorf("the architecture parameters are of space %q, not of %q; name the space that they were searched in", p.Space, s.Name)
	}
	shape := s.NewParameters()
	if err := checkRows("beta", p.Beta, shape.Beta); err != nil {
		return err
	}
	for _, t := range []struct {
		name      string
		got, want [][][]float64
	}{{"alpha_head", p.AlphaHead, shape.AlphaHead}, {"alpha_stack", p.AlphaStack, shape.AlphaStack}} {
		if len(t.got) != len(t.want) {
			return fmt.Errorf("%s has %d elements, space %s needs %d", t.name, len(t.got), s.Name, len(t.want))
		}
		for i := range t.want {
			if err := checkRows(fmt.Sprintf("%s[%d]", t.name, i), t.got[i], t.want[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRows(name string, got, want [][]float64) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s has %d elements, the space needs %d", name, len(got), len(want))
	}
	for i := range want {
		if len(got[i]) != len(want[i]) {
			return fmt.Errorf("%s[%d] has %d elements, the space needs %d", name, i, len(got[i]), len(want[i]))
		}
		for j, v := range got[i] {
			if !(math.Abs(v) <= MaxLogit) {
				return fmt.Errorf("%s[%d][%d] is %g, allowed is -%g to %g", name, i, j, v, MaxLogit, MaxLogit)
			}
		}
	}
	return nil
}

// parametersFile is the JSON form; published files have no header.
type parametersFile struct {
	Kind          string        `json:"kind,omitempty"`
	SchemaVersion int           `json:"schema_version,omitempty"`
	Space         string        `json:"space"`
	Beta          [][]float64   `json:"beta"`
	AlphaHead     [][][]float64 `json:"alpha_head"`
	AlphaStack    [][][]float64 `json:"alpha_stack"`
}

// MarshalJSON gives the form of *.params.json files.
func (p *Parameters) MarshalJSON() ([]byte, error) {
	return json.Marshal(parametersFile{parametersKind, parametersVersion, p.Space, p.Beta, p.AlphaHead, p.AlphaStack})
}

// ReadParameters reads a *.params.json file. Kind and schema version may both be absent. Whether the parameters fit a space is
// for Check to say. Errors are bad input that names file and place.
func ReadParameters(path string) (*Parameters, error) {
	data, err := files.ReadBounded(path, maxParametersFile)
	if err != nil {
		return nil, err
	}
	return ParseParameters(path, data)
}

// ParseParameters reads the content of a *.params.json file; name is for messages.
func ParseParameters(name string, data []byte) (*Parameters, error) {
	var f parametersFile
	decode := files.DecodeJSON
	if h := (files.Header{}); json.Unmarshal(data, &h) == nil && h != (files.Header{}) {
		decode = func(name string, data []byte, v any) error {
			return files.DecodeJSONKind(name, data, parametersKind, parametersVersion, v)
		}
	}
	if err := decode(name, data, &f); err != nil {
		return nil, err
	}
	if err := checkName("space", f.Space); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return &Parameters{f.Space, f.Beta, f.AlphaHead, f.AlphaStack}, nil
}

// Write writes the *.params.json form, atomically.
func (p *Parameters) Write(path string) error {
	return files.WriteAtomic(path, func(w io.Writer) error { return writeJSON(w, p) })
}
