package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/lut"
	"densenas/search/rundir"
	"densenas/supernet/space"
)

// basicSpace is as res is: of basic blocks, the stem being the first block, without a final convolution in networks.
const basicSpace = `kind: densenas.space
schema_version: 1
name: basic
resolution: 8
channels: 3
classes: 3
forward: 10
stem: {kernel: 3, width: 4, stride: 2, activation: relu, affine: true}
first: none
head: [basic]
stack: [basic, skip]
path_temperature: 0.9
skip_cost: 0.1
blocks:
  - {width: 4, stride: 2, stage: 0, layers: 0}
  - {width: 6, stride: 4, stage: 1, layers: 1}
  - {width: 8, stride: 4, stage: 1, layers: 2}
final: {width: 16, stage: 2, derived: false}
`

// A space of basic blocks is searched within a target of each kind, and what is derived is written, predicted, trained and exported.
func TestSearchOfBasicBlocks(t *testing.T) {
	f := smallFiles(t)
	write(t, f.space, basicSpace)
	writeTable(t, f, nil)
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	table, err := lut.Read(f.table)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "run")
	// Too little for all stacked layers; a skip's tenth, which the objective has, is no part of it.
	args := f.args(folder, "--objective", "multiply-adds,latency", "--target-multiply-adds", "17000", "--epochs", "4")
	succeed(t, args...)
	path := filepath.Join(folder, rundir.ArchitectureFile)
	a, err := space.ReadArchitecture(path)
	if err != nil {
		t.Fatal(err)
	}
	if a.MultiplyAdds() > 17000 || a.Predicted == nil {
		t.Errorf("%d multiply-adds, predicted %+v", a.MultiplyAdds(), a.Predicted)
	}
	if again, err := table.Predict(a); err != nil || *again != *a.Predicted {
		t.Errorf("the file predicts %+v, the table %+v, %v", a.Predicted, again, err)
	}
	last := a.Layers[len(a.Layers)-1].Op
	if first := a.Layers[1]; first.Op.Kind != space.Basic || first.Block == 0 || a.Path[0] != 0 || last.Kind != space.Classifier || last.In == s.Final.Width {
		t.Errorf("the layers are %+v", a.Layers)
	}

	text, _ := succeed(t, "derive", folder, "--format", "net_config")
	if !strings.HasPrefix(text, "[[4, ") || strings.Contains(text, "conv1_1") {
		t.Errorf("net_config text %s", text)
	}
	read, err := space.ParseNetConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := read.WithResolution(s.Resolution).WithClasses(s.Classes).Ops(); !slices.Equal(got, a.Ops()) {
		t.Errorf("through net_config text the operations are %v, want %v", got, a.Ops())
	}
	fastest, _ := succeed(t, "derive", folder, "--max-latency", "1h", "--top", "3", "--format", "net_config")
	if n := strings.Count(fastest, "\n"); n != 3 {
		t.Errorf("of the three most probable there are %d:\n%s", n, fastest)
	}
	succeed(t, "random", "--space", f.space, "--lut", f.table, "--latency", "0ms..1s", "-n", "2")

	weights, onnx := filepath.Join(t.TempDir(), "w.safetensors"), filepath.Join(t.TempDir(), "n.onnx")
	trained, _ := succeed(t, "train", "--arch", path, "--data", f.data, "--epochs", "10", "--batch", "8", "--backend", "go", "-o", weights)
	if !strings.Contains(trained, "test") {
		t.Errorf("training printed %s", trained)
	}
	succeed(t, "export", folder, "--weights", weights, "--backend", "go", "-o", onnx) // checked by ONNX Runtime where that is there
}
