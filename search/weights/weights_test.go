package weights

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/exit"
	"densenas/internal/safetensors"
	"densenas/search/dataset"
	"densenas/supernet"
	"densenas/supernet/network"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// example is a network with every kind of layer.
func example(t testing.TB) *Trained {
	t.Helper()
	layer := func(block int, o space.Op) space.Layer { return space.Layer{Block: block, Op: o} }
	a := &space.Architecture{Name: "example", Resolution: 8, Channels: 1, Classes: 2, Layers: []space.Layer{
		layer(space.NoBlock, space.Op{Kind: space.Stem, Kernel: 3, In: 1, Out: 2, Stride: 2, Resolution: 8}),
		layer(0, space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 1, In: 2, Out: 3, Stride: 1, Resolution: 4}),
		layer(0, space.Op{Kind: space.MBConv, Kernel: 5, Expansion: 2, In: 3, Out: 3, Stride: 1, Resolution: 4}),
		layer(0, space.Op{Kind: space.Skip, In: 3, Out: 3, Stride: 1, Resolution: 4}),
		layer(space.NoBlock, space.Op{Kind: space.Final, In: 3, Out: 4, Resolution: 4}),
		layer(space.NoBlock, space.Op{Kind: space.Classifier, In: 4, Out: 2, Resolution: 4}),
	}}
	w := &Trained{Architecture: a, Preprocessing: dataset.Preprocessing{
		Resolution: 8, Colours: "gray", View: dataset.ViewCentre, CentreShare: 1, Resize: "bilinear, antialiased", PixelScale: 255,
		Mean: []float32{0.25}, Std: []float32{0.5}, Classes: []string{"no", "yes"},
	}}
	for i, o := range a.Ops() {
		var l network.Weights
		for _, p := range op.TrainingParameters(o, true) {
			l.Params = append(l.Params, supernet.Initial(uint64(i), p.Name, p))
		}
		if op.StatisticsSize(o) > 0 {
			l.Statistics = op.InitialStatistics(o)
		}
		w.Layers = append(w.Layers, l)
	}
	if err := w.Check(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.safetensors")
	want := example(t)
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read differs from written:\n%s", diff)
	}
	folded, err := got.Fold()
	if err != nil || len(folded) != 6 || len(folded[2]) != len(op.InferenceParameters(got.Architecture.Layers[2].Op)) {
		t.Errorf("folded: %d layers, %v", len(folded), err)
	}
}

func TestWriteRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.safetensors")
	for name, change := range map[string]func(w *Trained){
		"another resolution": func(w *Trained) { w.Preprocessing.Resolution = 16 },
		"another class":      func(w *Trained) { w.Preprocessing.Classes = []string{"a", "b", "c"} },
		"no such colours":    func(w *Trained) { w.Preprocessing.Colours = "" },
		"a layer less":       func(w *Trained) { w.Layers = w.Layers[1:] },
		"a parameter less":   func(w *Trained) { w.Layers[1].Params = w.Layers[1].Params[1:] },
		"a value less":       func(w *Trained) { w.Layers[1].Params[0] = w.Layers[1].Params[0][1:] },
		"no statistics":      func(w *Trained) { w.Layers[0].Statistics = nil },
		"not a number":       func(w *Trained) { w.Layers[0].Params[0][3] = float32(math.NaN()) },
		"negative variance":  func(w *Trained) { w.Layers[0].Statistics[3] = -1 },
	} {
		w := example(t)
		change(w)
		if err := w.Write(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was left behind")
	}
}

func TestReadRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := example(t).Write(path); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(f *safetensors.File)
		said   string
	}{
		"another kind":     {func(f *safetensors.File) { f.Metadata["kind"] = "densenas.checkpoint" }, "densenas.checkpoint"},
		"no kind":          {func(f *safetensors.File) { f.Metadata = nil }, "densenas.weights"},
		"an older version": {func(f *safetensors.File) { f.Metadata["schema_version"] = "1" }, "train again"},
		"a newer version":  {func(f *safetensors.File) { f.Metadata["schema_version"] = "3" }, "newer densenas"},
		"no architecture":  {func(f *safetensors.File) { delete(f.Metadata, "architecture") }, "architecture"},
		"no preprocessing": {func(f *safetensors.File) { delete(f.Metadata, "preprocessing") }, "preprocessing"},
		"other images":     {func(f *safetensors.File) { f.Metadata["preprocessing"] = "{}" }, "preprocessing"},
		"a tensor less":    {func(f *safetensors.File) { f.Tensors = f.Tensors[1:] }, "layer0/weight"},
		"another name":     {func(f *safetensors.File) { f.Tensors[0].Name = "layer9/weight" }, "layer0/weight"},
		"one more": {func(f *safetensors.File) {
			f.Tensors = append(f.Tensors, safetensors.Tensor{Name: "more", Dims: []int{1}, Data: []float32{1}})
		}, `"more"`},
		"another shape": {func(f *safetensors.File) { f.Tensors[0].Dims = []int{9, 2} }, "layer0/weight"},
		"no number":     {func(f *safetensors.File) { f.Tensors[0].Data[0] = float32(math.Inf(1)) }, "layer 0"},
	} {
		f, err := safetensors.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		c.change(&f)
		bad := filepath.Join(t.TempDir(), "bad.safetensors")
		if err := safetensors.Write(bad, f); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(bad); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v, want %s", name, err, c.said)
		}
	}
}

func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "w.safetensors")
	if err := example(f).Write(path); err != nil {
		f.Fatal(err)
	}
	good, err := safetensors.Read(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Metadata["architecture"], good.Metadata["preprocessing"], "2")
	f.Add("{}", "{}", "x")
	f.Fuzz(func(t *testing.T, architecture, preprocessing, version string) {
		file := safetensors.File{Tensors: good.Tensors, Metadata: map[string]string{
			"kind": "densenas.weights", "schema_version": version, "architecture": architecture, "preprocessing": preprocessing,
		}}
		if read, err := parse("fuzz", file); err == nil && read.Check() != nil {
			t.Errorf("read what is refused: %v", read.Check())
		}
	})
}
