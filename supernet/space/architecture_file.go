package space

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	architectureKind    = "densenas.arch"
	architectureVersion = 1
	maxArchitectureFile = 4 << 20
)

// architectureFile is the JSON form. The layers' resolutions follow from the image's and are not written.
type architectureFile struct {
	files.Header
	Name       string      `json:"name,omitempty"`
	Space      string      `json:"space,omitempty"`
	Path       []int       `json:"path,omitempty"`
	Resolution int         `json:"resolution"`
	Channels   int         `json:"channels"`
	Classes    int         `json:"classes"`
	Layers     []layerFile `json:"layers"`
	Predicted  *Prediction `json:"predicted,omitempty"`
}

type layerFile struct {
	Op         Kind       `json:"op"`
	Kernel     int        `json:"kernel,omitempty"`
	Expansion  int        `json:"expansion,omitempty"`
	In         int        `json:"in"`
	Out        int        `json:"out"`
	Stride     int        `json:"stride,omitempty"`
	Activation Activation `json:"activation,omitempty"`
	Block      *int       `json:"block,omitempty"` // absent for stem, final and classifier
}

// MarshalJSON gives the form of *.arch.json files.
func (a *Architecture) MarshalJSON() ([]byte, error) {
	f := architectureFile{Header: files.Header{Kind: architectureKind, SchemaVersion: architectureVersion}, Name: a.Name, Space: a.Space,
		Path: a.Path, Resolution: a.Resolution, Channels: a.Channels, Classes: a.Classes, Predicted: a.Predicted}
	for i, l := range a.Layers {
		f.Layers = append(f.Layers, layerFile{Op: l.Op.Kind, Kernel: l.Op.Kernel, Expansion: l.Op.Expansion, In: l.Op.In, Out: l.Op.Out, Stride: l.Op.Stride, Activation: l.Op.Activation})
		if l.Block != NoBlock {
			f.Layers[i].Block = &a.Layers[i].Block
		}
	}
	return json.Marshal(f)
}

// ReadArchitecture reads a *.arch.json file or net_config text, told apart by the content. See ParseNetConfig for what the text
// cannot say. Errors are bad input that names file and place.
func ReadArchitecture(path string) (*Architecture, error) {
	data, err := files.ReadBounded(path, maxArchitectureFile)
	if err != nil {
		return nil, err
	}
	return ParseArchitecture(path, data)
}

// ParseArchitecture is [ReadArchitecture] of a file's content; name is what errors call it.
func ParseArchitecture(name string, data []byte) (*Architecture, error) {
	var a *Architecture
	var err error
	text := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(text, []byte("[")):
		a, err = ParseNetConfig(string(data))
	case !bytes.HasPrefix(text, []byte("{")) && !files.HasByteOrderMark(data):
		return nil, exit.BadInput("%s: is neither JSON of an architecture, which begins with {, nor net_config text, which begins with [; name an architecture file", name)
	default:
		var f architectureFile
		if err := files.DecodeJSONKind(name, data, architectureKind, architectureVersion, &f); err != nil {
			return nil, err
		}
		a, err = f.architecture()
	}
	if err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return a, nil
}

func (f *architectureFile) architecture() (*Architecture, error) {
	if len(f.Layers) > MaxNetworkLayers {
		return nil, fmt.Errorf("layers has %d entries, allowed are at most %d", len(f.Layers), MaxNetworkLayers)
	}
	a := &Architecture{Name: f.Name, Space: f.Space, Path: f.Path, Resolution: f.Resolution, Channels: f.Channels, Classes: f.Classes,
		Predicted: f.Predicted}
	for _, l := range f.Layers {
		block := NoBlock
		if l.Block != nil {
			block = *l.Block
		}
		a.Layers = append(a.Layers, Layer{block, Op{Kind: l.Op, Kernel: l.Kernel, Expansion: l.Expansion, In: l.In, Out: l.Out, Stride: l.Stride, Activation: l.Activation}})
	}
	a.resolve()
	return a, a.Check()
}

// Write writes the *.arch.json form, atomically.
func (a *Architecture) Write(path string) error {
	if err := a.Check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return files.WriteAtomic(path, a.Encode)
}

// Encode writes the *.arch.json form.
func (a *Architecture) Encode(w io.Writer) error { return writeJSON(w, a) }
