// Package weights reads and writes the file of a trained network, *.safetensors: its architecture, how images become its input,
// and the weights of every layer as they were trained, batch norm kept, so that whoever needs it folded can do so.
//
// Tensors are named by layer ("layer3/depthwise.scale"), in the layouts of package op; "layer3/running" are batch norm's running
// statistics. Refused are files of another kind or version, tensors that the architecture does not have, lacks, or has in another
// shape, and values that are no numbers.
package weights

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/safetensors"
	"densenas/search/dataset"
	"densenas/supernet/network"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

const (
	kind    = "densenas.weights"
	version = 2

	architectureKey  = "architecture"
	preprocessingKey = "preprocessing"
)

// Trained is a trained network.
type Trained struct {
	// Architecture as it was trained, with the classes of the data.
	Architecture *space.Architecture
	// Preprocessing of the images that it was trained on.
	Preprocessing dataset.Preprocessing
	// Layers are their weights.
	Layers []network.Weights
}

// Check reports weights, or a preprocessing, that are not the architecture's.
func (t *Trained) Check() error {
	a, p := t.Architecture, t.Preprocessing
	if err := a.Check(); err != nil {
		return fmt.Errorf("architecture: %w", err)
	}
	if err := p.Check(); err != nil {
		return fmt.Errorf("preprocessing: %w", err)
	}
	if p.Resolution != a.Resolution || p.Channels() != a.Channels || len(p.Classes) != a.Classes {
		return fmt.Errorf("the images are %d×%d×%d of %d classes, the architecture takes %d×%d×%d of %d",
			p.Resolution, p.Resolution, p.Channels(), len(p.Classes), a.Resolution, a.Resolution, a.Channels, a.Classes)
	}
	if len(t.Layers) != len(a.Layers) {
		return fmt.Errorf("weights of %d layers, the architecture has %d", len(t.Layers), len(a.Layers))
	}
	for i, o := range a.Ops() {
		if err := checkLayer(o, t.Layers[i]); err != nil {
			return fmt.Errorf("layer %d (%s): %w", i, o.Key(), err)
		}
	}
	return nil
}

func checkLayer(o space.Op, w network.Weights) error {
	want := op.TrainingParameters(o, true)
	if len(w.Params) != len(want) || len(w.Statistics) != op.StatisticsSize(o) {
		return fmt.Errorf("%d parameters and %d statistics, want %d and %d", len(w.Params), len(w.Statistics), len(want), op.StatisticsSize(o))
	}
	for i, p := range want {
		if len(w.Params[i]) != p.Size() {
			return fmt.Errorf("%s has %d values, want %d", p.Name, len(w.Params[i]), p.Size())
		}
	}
	for _, values := range append(slices.Clone(w.Params), w.Statistics) {
		for _, v := range values {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("a weight is %g; the training failed", v)
			}
		}
	}
	statistics := w.Statistics
	for _, width := range op.NormWidths(o) {
		if slices.Min(statistics[width:2*width]) < 0 {
			return fmt.Errorf("a variance of batch norm is negative")
		}
		statistics = statistics[2*width:]
	}
	return nil
}

// tensors lists the names and dimensions of a layer's tensors, the running statistics last.
func tensors(layer int, o space.Op) []safetensors.Tensor {
	prefix := "layer" + strconv.Itoa(layer) + "/"
	var list []safetensors.Tensor
	for _, p := range op.TrainingParameters(o, true) {
		list = append(list, safetensors.Tensor{Name: prefix + p.Name, Dims: p.Dims})
	}
	if n := op.StatisticsSize(o); n > 0 {
		list = append(list, safetensors.Tensor{Name: prefix + "running", Dims: []int{1, n}})
	}
	return list
}

// Write writes the file, atomically.
func (t *Trained) Write(path string) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	architecture, err := json.Marshal(t.Architecture)
	if err != nil {
		return err
	}
	preprocessing, err := json.Marshal(t.Preprocessing)
	if err != nil {
		return err
	}
	f := safetensors.File{Metadata: map[string]string{
		"kind": kind, "schema_version": strconv.Itoa(version),
		architectureKey: string(architecture), preprocessingKey: string(preprocessing),
	}}
	for i, o := range t.Architecture.Ops() {
		list := tensors(i, o)
		for k := range list {
			list[k].Data = t.Layers[i].Statistics
			if k < len(t.Layers[i].Params) {
				list[k].Data = t.Layers[i].Params[k]
			}
		}
		f.Tensors = append(f.Tensors, list...)
	}
	return safetensors.Write(path, f)
}

// Read reads the file. Anything wrong with it is bad input.
func Read(path string) (*Trained, error) {
	f, err := safetensors.Read(path)
	if err != nil {
		return nil, err
	}
	return parse(path, f)
}

func parse(path string, f safetensors.File) (*Trained, error) {
	number, err := strconv.Atoi(f.Metadata["schema_version"])
	if err != nil {
		number = 0
	}
	if f.Metadata["kind"] == kind && number == 1 {
		return nil, exit.BadInput("%s: the weights have batch norm folded and do not say what they are of, as an older densenas wrote them; train again", path)
	}
	if err := (files.Header{Kind: f.Metadata["kind"], SchemaVersion: number}).Check(path, kind, version); err != nil {
		return nil, err
	}
	t := &Trained{}
	if t.Architecture, err = space.ParseArchitecture(path+": "+architectureKey, []byte(f.Metadata[architectureKey])); err != nil {
		return nil, err
	}
	if err := files.DecodeJSON(path+": "+preprocessingKey, []byte(f.Metadata[preprocessingKey]), &t.Preprocessing); err != nil {
		return nil, err
	}
	byName := map[string]safetensors.Tensor{}
	for _, tensor := range f.Tensors {
		byName[tensor.Name] = tensor
	}
	for i, o := range t.Architecture.Ops() {
		var w network.Weights
		params := len(op.TrainingParameters(o, true))
		for k, want := range tensors(i, o) {
			got, ok := byName[want.Name]
			if !ok || !slices.Equal(got.Dims, want.Dims) {
				return nil, exit.BadInput("%s: tensor %s has the shape %v, layer %d (%s) of its architecture needs %v; name a file of `search train -o`",
					path, want.Name, got.Dims, i, o.Key(), want.Dims)
			}
			delete(byName, want.Name)
			if k < params {
				w.Params = append(w.Params, got.Data)
			} else {
				w.Statistics = got.Data
			}
		}
		t.Layers = append(t.Layers, w)
	}
	for name := range byName {
		return nil, exit.BadInput("%s: tensor %.100q is of no layer of its architecture; name a file of `search train -o`", path, name)
	}
	if err := t.Check(); err != nil {
		return nil, exit.BadInput("%s: %w", path, err)
	}
	return t, nil
}

// Fold returns the weights with batch norm folded: for each layer the flat values of its [op.InferenceParameters].
func (t *Trained) Fold() ([][][]float32, error) { return network.Fold(t.Architecture, t.Layers) }
