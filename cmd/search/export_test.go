package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime"
	"densenas/internal/onnxruntime/library"
	"densenas/internal/onnxruntime/onnxruntimetest"
	"densenas/internal/safetensors"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/search/weights"
	"densenas/supernet/export"
	"densenas/supernet/space"
)

// trainedRun is a finished run with the weights of what it derived.
type trainedRun struct {
	small
	folder, weights string
}

func trainRun(t *testing.T) trainedRun {
	t.Helper()
	r := trainedRun{small: smallFiles(t)}
	r.folder, r.weights = filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "w.safetensors")
	succeed(t, r.args(r.folder, "--epochs", "2")...)
	succeed(t, "train", "--arch", filepath.Join(r.folder, rundir.ArchitectureFile), "--data", r.data, "--epochs", "8", "--batch", "8", "--backend", "go", "-o", r.weights)
	return r
}

// metadataOf takes the metadata out of an ONNX file.
func metadataOf(t *testing.T, file []byte) map[string]string {
	t.Helper()
	m := map[string]string{}
	// fields calls f for every field of a message that is bytes.
	fields := func(b []byte, f func(number protowire.Number, v []byte)) {
		for len(b) > 0 {
			number, wire, n := protowire.ConsumeTag(b)
			size := protowire.ConsumeFieldValue(number, wire, b[max(n, 0):])
			if n < 0 || size < 0 {
				t.Fatal("the file is no protobuf message")
			}
			if wire == protowire.BytesType {
				v, _ := protowire.ConsumeBytes(b[n:])
				f(number, v)
			}
			b = b[n+size:]
		}
	}
	fields(file, func(number protowire.Number, v []byte) {
		if number != 14 {
			return
		}
		var entry [3]string
		fields(v, func(number protowire.Number, v []byte) { entry[number] = string(v) })
		m[entry[1]] = entry[2]
	})
	return m
}

func TestExportWithoutONNXRuntime(t *testing.T) {
	r := trainRun(t)
	t.Setenv(library.Variable, filepath.Join(t.TempDir(), "none"))
	file := filepath.Join(t.TempDir(), "n.onnx")
	stdout, stderr := succeed(t, "export", r.folder, "--weights", r.weights, "-o", file)
	if !strings.HasSuffix(stdout, "; not checked\n") || !strings.HasPrefix(stdout, file+": ") || !strings.Contains(stderr, "not checked in ONNX Runtime") || !strings.Contains(stderr, "make onnxruntime") {
		t.Errorf("printed %q and %q", stdout, stderr)
	}
	a, err := space.ReadArchitecture(filepath.Join(r.folder, rundir.ArchitectureFile))
	if err != nil {
		t.Fatal(err)
	}
	content := []byte(read(t, file))
	m := metadataOf(t, content)
	for key, want := range map[string]string{
		"densenas.space": "small", "densenas.batch_norm": "folded", "densenas.table": a.Predicted.Table,
		"densenas.predicted_verified": "false", "densenas.predicted_for": "8×8×3 images of 3 classes",
	} {
		if m[key] != want {
			t.Errorf("%s is %q, want %q", key, m[key], want)
		}
	}
	if v := m["densenas.predicted_latency_ms"]; v == "" || v == "0" || m["densenas.version"] == "" || m["densenas.predicted_low_ms"] == "" {
		t.Errorf("metadata %v", m)
	}
	parsed, err := space.ParseArchitecture("metadata", []byte(m["densenas.architecture"]))
	if err != nil || len(parsed.Layers) != len(a.Layers) {
		t.Errorf("the architecture reads as %v, %v", parsed, err)
	}
	var p dataset.Preprocessing
	if err := json.Unmarshal([]byte(m["densenas.preprocessing"]), &p); err != nil || p.Check() != nil || strings.Join(p.Classes, " ") != "blue green red" {
		t.Errorf("the preprocessing reads as %+v, %v", p, err)
	}
	again := filepath.Join(t.TempDir(), "again.onnx")
	stdout, stderr = succeed(t, "export", r.folder, "--weights", r.weights, "-o", again, "--no-check")
	if !strings.Contains(stdout, "as asked for") || stderr != "" || read(t, again) != string(content) {
		t.Errorf("exported again without a check: %q, %q; or the file differs", stdout, stderr)
	}
	// A file of an architecture, of another number of classes, without a prediction.
	plain := filepath.Join(t.TempDir(), "plain.arch.json")
	if err := a.WithClasses(7).Write(plain); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept.onnx")
	succeed(t, "export", plain, "--weights", r.weights, "-o", kept, "--keep-batch-norm", "--no-check")
	m = metadataOf(t, []byte(read(t, kept)))
	if _, predicted := m["densenas.table"]; predicted || m["densenas.batch_norm"] != "kept" {
		t.Errorf("metadata %v", m)
	}
	if !bytes.Contains([]byte(read(t, kept)), []byte("BatchNormalization")) || bytes.Contains(content, []byte("BatchNormalization")) {
		t.Error("batch norm is not in the file that keeps it alone")
	}

	list := filepath.Join(t.TempDir(), "n.safetensors")
	if stdout, _ := succeed(t, "export", r.folder, "--weights", r.weights, "-o", list, "--format", "safetensors"); stdout != "" {
		t.Errorf("printed %q", stdout)
	}
	tensors, err := safetensors.Read(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range tensors.Tensors {
		if !bytes.Contains(content, []byte(tensor.Name)) {
			t.Errorf("tensor %s is not in the ONNX file", tensor.Name)
		}
	}
	if first := tensors.Tensors[0]; first.Name != "stem.weight" || len(first.Dims) != 4 || first.Dims[0] != 4 || tensors.Metadata["densenas.space"] != "small" {
		t.Errorf("the first tensor is %s %v, metadata %v", first.Name, first.Dims, tensors.Metadata)
	}
}

// logitsOf runs a file on images, channels first.
func logitsOf(t *testing.T, r *onnxruntime.Runtime, file string, images onnxruntime.Tensor) []float32 {
	t.Helper()
	s, err := r.Load([]byte(read(t, file)), onnxruntime.Options{Inputs: []string{export.Input}, Outputs: []string{export.Logits}, Settings: onnxruntime.Settings{Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(images)
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Data
}

func TestExportChecksItself(t *testing.T) {
	runtime := onnxruntimetest.Open(t)
	r := trainRun(t)
	files := map[string]string{}
	for form, more := range map[string][]string{"folded": nil, "kept": {"--keep-batch-norm"}, "fixed": {"--batch", "4"}, "small": {"--images", "3"}} {
		files[form] = filepath.Join(t.TempDir(), "n.onnx")
		stdout, _ := succeed(t, append([]string{"export", r.folder, "--weights", r.weights, "--backend", "go", "-o", files[form]}, more...)...)
		count := "15"
		if form == "small" {
			count = "3"
		}
		if !strings.Contains(stdout, "checked in ONNX Runtime "+runtime.Version+" on "+count+" test images of images: differs by at most ") || !strings.Contains(stdout, "same answers") {
			t.Errorf("%s: printed %q", form, stdout)
		}
	}
	images := onnxruntime.Tensor{Dims: []int{4, 3, 8, 8}, Data: make([]float32, 4*3*64)}
	for i := range images.Data {
		images.Data[i] = float32(math.Sin(float64(i)))
	}
	want := logitsOf(t, runtime, files["folded"], images)
	for _, form := range []string{"kept", "fixed"} {
		for i, v := range logitsOf(t, runtime, files[form], images) {
			if math.Abs(float64(v-want[i])) > 1e-4 {
				t.Errorf("%s: logit %d is %g, folded %g", form, i, v, want[i])
			}
		}
	}
	// Of an architecture alone there are no images.
	stdout, stderr := succeed(t, "export", filepath.Join(r.folder, rundir.ArchitectureFile), "--weights", r.weights, "--backend", "go", "-o", files["folded"])
	if !strings.Contains(stdout, "64 images of noise") || !strings.Contains(stderr, "give --data") {
		t.Errorf("printed %q and %q", stdout, stderr)
	}
	if err := os.Rename(r.data, r.data+".moved"); err != nil {
		t.Fatal(err)
	}
	stdout, stderr = succeed(t, "export", r.folder, "--weights", r.weights, "--backend", "go", "-o", files["folded"])
	if !strings.Contains(stdout, "64 images of noise") || !strings.Contains(stderr, r.data) {
		t.Errorf("without the run's images printed %q and %q", stdout, stderr)
	}
	stdout, _ = succeed(t, "export", r.folder, "--weights", r.weights, "--backend", "go", "-o", files["folded"], "--data", r.data+".moved")
	if !strings.Contains(stdout, "15 test images of images.moved") {
		t.Errorf("printed %q", stdout)
	}
}

// A network that computes something else is not written.
func TestExportRefusesWhatDiffers(t *testing.T) {
	onnxruntimetest.Open(t)
	r := trainRun(t)
	trained, err := weights.Read(r.weights)
	if err != nil {
		t.Fatal(err)
	}
	folded, err := trained.Fold()
	if err != nil {
		t.Fatal(err)
	}
	model, err := export.Model(layersOf(trained.Architecture, trained, folded, false), export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content, err := model.Encode()
	if err != nil {
		t.Fatal(err)
	}
	o := exportOptions{Output: "n.onnx", Images: 10, Backend: "go"}
	if _, err := o.check(context.Background(), content, trained, folded, r.data, io.Discard); err != nil {
		t.Fatal(err)
	}
	other := folded[len(folded)-1][1]
	other[0] += 0.01
	_, err = o.check(context.Background(), content, trained, folded, r.data, io.Discard)
	if err == nil || exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "n.onnx is not written: on 10 test images") {
		t.Errorf("another bias: %v", err)
	}
}

func TestAgreement(t *testing.T) {
	for name, c := range map[string]struct {
		ours, theirs []float32
		ok           bool
		right        int
	}{
		"the same":              {[]float32{1, 2, 3}, []float32{1, 2, 3}, true, 1},
		"within":                {[]float32{1, 2, 3}, []float32{1, 2.0001, 3}, true, 1},
		"large, within":         {[]float32{100, 2, 300}, []float32{100.01, 2, 300}, true, 1},
		"beyond":                {[]float32{1, 2, 3}, []float32{1, 2.001, 3}, false, 1},
		"another answer":        {[]float32{1, 2, 3}, []float32{1, 4, 3}, false, 0},
		"no number":             {[]float32{1, 2, 3}, []float32{1, float32(math.NaN()), 3}, false, 1},
		"a tie, either answer":  {[]float32{1, 3, 3}, []float32{1, 3, 3.00001}, true, 1},
		"infinite":              {[]float32{1, 2, 3}, []float32{1, 2, float32(math.Inf(1))}, false, 1},
		"nothing, where we say": {[]float32{0, 0, 9}, []float32{0, 0, 0}, false, 0},
	} {
		var a agreement
		a.add(c.ours, c.theirs, []int32{2})
		if a.ok() != c.ok || a.images != 1 || a.theirs != c.right {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestExportNetConfig(t *testing.T) {
	a := space.MobileNetV2(1, 224, 1000)
	path, file := filepath.Join(t.TempDir(), "a.arch.json"), filepath.Join(t.TempDir(), "net_config")
	if err := a.Write(path); err != nil {
		t.Fatal(err)
	}
	want, err := a.NetConfig()
	if err != nil {
		t.Fatal(err)
	}
	if stdout, _ := succeed(t, "export", path, "--format", "net_config"); stdout != want+"\n" {
		t.Errorf("printed %q", stdout)
	}
	succeed(t, "export", path, "--format", "net_config", "-o", file)
	if text := read(t, file); text != want+"\n" {
		t.Errorf("wrote %q", text)
	}
}

func TestExportRefuses(t *testing.T) {
	r := trainRun(t)
	arch, out := filepath.Join(r.folder, rundir.ArchitectureFile), filepath.Join(t.TempDir(), "n.onnx")
	other := filepath.Join(t.TempDir(), "other.arch.json")
	if err := space.MobileNetV2(1, 32, 3).Write(other); err != nil {
		t.Fatal(err)
	}
	a, err := space.ReadArchitecture(arch)
	if err != nil {
		t.Fatal(err)
	}
	wider := filepath.Join(t.TempDir(), "wider.arch.json")
	n := len(a.Layers)
	a.Layers[n-2].Op.Out, a.Layers[n-1].Op.In = 20, 20
	if err := a.Write(wider); err != nil {
		t.Fatal(err)
	}
	good := []string{"export", arch, "--weights", r.weights, "-o", out, "--backend", "go"}
	for _, c := range []struct {
		args     []string
		messages []string
	}{
		{[]string{"export"}, []string{"argument is missing"}},
		{[]string{"export", arch, "-o", out}, []string{"--weights FILE"}},
		{[]string{"export", arch, "--weights", r.weights}, []string{"-o FILE"}},
		{[]string{"export", arch + ".none", "--weights", r.weights, "-o", out}, []string{arch + ".none"}},
		{[]string{"export", r.data, "--weights", r.weights, "-o", out}, []string{r.data, "is not a run folder"}},
		{[]string{"export", other, "--weights", r.weights, "-o", out}, []string{other, r.weights, "layers"}},
		{[]string{"export", wider, "--weights", r.weights, "-o", out}, []string{wider, r.weights, "final is"}},
		{append(good, "--weights", arch), []string{arch}},
		{append(good, "--format", "tflite"), []string{"tflite"}},
		{append(good, "--format", "net_config"), []string{"no weights"}},
		{append(good, "--format", "safetensors", "--batch", "1"), []string{"--batch"}},
		{append(good, "--batch", "-1"), []string{"--batch is -1"}},
		{append(good, "--images", "0"), []string{"--images is 0"}},
		{append(good, "--backend", "tpu"), []string{"tpu"}},
		{append(good, "--onnxruntime", out+".none"), []string{out + ".none"}},
		{append(good, "-o", r.weights), []string{"would overwrite the input " + r.weights}},
		{append(good, "-o", arch), []string{"would overwrite the input " + arch}},
		{append([]string{"export", r.folder}, "--weights", r.weights, "-o", arch), []string{"would overwrite the input " + arch}},
		{append(good, "-o", filepath.Join(r.weights, "x")), []string{r.weights}},
	} {
		refused(t, c.args[:len(c.args):len(c.args)], c.messages...)
		missing(t, out)
	}
	if err := os.Remove(arch); err != nil {
		t.Fatal(err)
	}
	refused(t, []string{"export", r.folder, "--weights", r.weights, "-o", out}, arch, "search resume")
}

// Images of other classes are refused where they were asked for.
func TestExportRefusesOtherImages(t *testing.T) {
	onnxruntimetest.Open(t)
	r := trainRun(t)
	if err := os.Rename(filepath.Join(r.data, "red"), filepath.Join(r.data, "crimson")); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "n.onnx")
	refused(t, []string{"export", r.folder, "--weights", r.weights, "-o", out, "--backend", "go", "--data", r.data}, r.data, "classes")
	missing(t, out)
	if _, stderr := succeed(t, "export", r.folder, "--weights", r.weights, "-o", out, "--backend", "go"); !strings.Contains(stderr, "on noise") {
		t.Errorf("printed %q", stderr)
	}
}
