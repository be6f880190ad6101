package export

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/internal/files"
	"densenas/internal/safetensors"
	"densenas/supernet/space"
)

// pythonVariable is the environment variable that names the Python interpreter with the packages onnx and numpy. Where it is set a
// failing import is a failure; else the test is skipped on machines that lack them.
const pythonVariable = "DENSENAS_PYTHON"

// python is an interpreter that can run the check.
func python(t *testing.T) string {
	t.Helper()
	path, required := os.Getenv(pythonVariable), true
	if path == "" {
		path, required = "python3", false
	}
	output, err := exec.CommandContext(t.Context(), path, "-c", "import numpy, onnx.reference").CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		message := fmt.Sprintf("%s cannot import onnx and numpy: %v: %s; install them, or name another interpreter by %s", path, err, lines[len(lines)-1], pythonVariable)
		if required {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return path
}

// writeCase writes what the check reads: the model and its weights, and what our inference makes of some noise.
func writeCase(t *testing.T, folder string, layers, folded []Layer, o Options) {
	t.Helper()
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := Model(layers, o)
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	err = files.WriteBytes(filepath.Join(folder, "model.onnx"), data)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteTensors(filepath.Join(folder, "tensors.safetensors"), layers, nil); err != nil {
		t.Fatal(err)
	}
	type named struct {
		Name       string           `json:"name"`
		Kind       space.Kind       `json:"kind"`
		Kernel     int              `json:"kernel"`
		Expansion  int              `json:"expansion"`
		Stride     int              `json:"stride"`
		In         int              `json:"in"`
		Out        int              `json:"out"`
		Activation space.Activation `json:"activation"`
	}
	var list []named
	for _, l := range layers {
		list = append(list, named{l.Name, l.Op.Kind, l.Op.Kernel, l.Op.Expansion, l.Op.Stride, l.Op.In, l.Op.Out, l.Op.Activation})
	}
	names, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	n := cmp.Or(o.Batch, 2)
	first, last := layers[0].Op, layers[len(layers)-1].Op
	images := noise(n*first.Resolution*first.Resolution*first.In, 9)
	want := ours(t, backendstest.Go(t), folded, n, images)
	outDims := []int{n, last.Out}
	if last.Kind != space.Classifier {
		side := last.OutResolution()
		want, outDims = ChannelsFirst(want, n, side, last.Out), []int{n, last.Out, side, side}
	}
	err = safetensors.Write(filepath.Join(folder, "case.safetensors"), safetensors.File{
		Metadata: map[string]string{"layers": string(names)},
		Tensors: []safetensors.Tensor{
			{Name: "input", Dims: []int{n, first.In, first.Resolution, first.Resolution}, Data: ChannelsFirst(images, n, first.Resolution, first.In)},
			{Name: "output", Dims: outDims, Data: want},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ONNX's own checker takes the files, and its evaluator and PyTorch's arithmetic compute from them what our inference computes.
func TestPythonAgrees(t *testing.T) {
	interpreter := python(t)
	root := t.TempDir()
	ops := cases()
	ops["small network"] = network().Ops()
	ops["MobileNetV2"] = space.MobileNetV2(0.25, 32, 10).Ops()
	arguments := []string{filepath.Join("testdata", "check.py")}
	for name, ops := range ops {
		layers := kept(ops, 3)
		folded := fold(t, layers)
		for form, l := range map[string][]Layer{"kept": layers, "folded": folded} {
			for _, batch := range []int{0, 1} {
				folder := filepath.Join(root, fmt.Sprintf("%s, %s, %d", name, form, batch))
				writeCase(t, folder, l, folded, Options{Name: name, Batch: batch, Metadata: map[string]string{"a": "b"}})
				arguments = append(arguments, folder)
			}
		}
	}
	output, err := exec.CommandContext(t.Context(), interpreter, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	if n := strings.Count(string(output), "\n"); n != len(arguments)-1 {
		t.Errorf("%d of %d cases were checked:\n%s", n, len(arguments)-1, output)
	}
}

// The check must be able to fail.
func TestPythonNoticesAWrongWeight(t *testing.T) {
	interpreter := python(t)
	layers := Random(network().Ops(), 1)
	folder := filepath.Join(t.TempDir(), "case")
	writeCase(t, folder, layers, layers, Options{})
	script := filepath.Join("testdata", "check.py")
	if output, err := exec.CommandContext(t.Context(), interpreter, script, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	layers[6].Params[1][2] += 0.01
	if err := WriteTensors(filepath.Join(folder, "tensors.safetensors"), layers, nil); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), interpreter, script, folder).CombinedOutput(); err == nil || !strings.Contains(string(output), "PyTorch's arithmetic") {
		t.Errorf("a wrong bias: %v: %s", err, output)
	}
}
