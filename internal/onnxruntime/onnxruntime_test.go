package onnxruntime_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/onnx"
	"densenas/internal/onnxruntime"
	"densenas/internal/onnxruntime/library"
	"densenas/internal/onnxruntime/onnxruntimetest"
)

// sum is a model that adds a weight to an input of any number of rows.
func sum(t *testing.T) []byte {
	t.Helper()
	rows := onnx.Dim{Name: "rows"}
	m := onnx.Model{Producer: "test", Opset: 17, Graph: onnx.Graph{
		Name:    "sum",
		Inputs:  []onnx.Value{{Name: "x", Dims: []onnx.Dim{rows, {Size: 2}}}},
		Outputs: []onnx.Value{{Name: "y", Dims: []onnx.Dim{rows, {Size: 2}}}},
		Weights: []onnx.Tensor{{Name: "w", Dims: []int{2}, Data: []float32{10, 20}}},
		Nodes:   []onnx.Node{{Name: "add", Operator: "Add", Inputs: []string{"x", "w"}, Outputs: []string{"y"}}},
	}}
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRun(t *testing.T) {
	r := onnxruntimetest.Open(t)
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(r.Version) || !filepath.IsAbs(r.Path) {
		t.Errorf("version %q, path %q", r.Version, r.Path)
	}
	s, err := r.Load(sum(t), onnxruntime.Options{Inputs: []string{"x"}, Outputs: []string{"y"}, Settings: onnxruntime.Settings{Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for rows := 1; rows < 4; rows++ {
		x := onnxruntime.Tensor{Dims: []int{rows, 2}, Data: slices.Repeat([]float32{1, 2}, rows)}
		y, err := s.Run(x)
		if err != nil {
			t.Fatal(err)
		}
		if len(y) != 1 || !slices.Equal(y[0].Dims, x.Dims) || !slices.Equal(y[0].Data, slices.Repeat([]float32{11, 22}, rows)) {
			t.Errorf("%d rows: %v", rows, y)
		}
	}
	for name, x := range map[string]onnxruntime.Tensor{
		"too few values":   {Dims: []int{2, 2}, Data: []float32{1, 2, 3}},
		"no dimensions":    {Data: []float32{1}},
		"no rows":          {Dims: []int{0, 2}},
		"too many columns": {Dims: []int{1, 3}, Data: []float32{1, 2, 3}},
	} {
		if _, err := s.Run(x); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusesWhatIsNoModel(t *testing.T) {
	r := onnxruntimetest.Open(t)
	good := onnxruntime.Options{Inputs: []string{"x"}, Outputs: []string{"y"}}
	for name, c := range map[string]struct {
		model   []byte
		options onnxruntime.Options
	}{
		"nothing":     {nil, good},
		"other bytes": {[]byte("no model"), good},
		"cut off":     {sum(t)[:40], good},
		"no names":    {sum(t), onnxruntime.Options{}},
	} {
		if _, err := r.Load(c.model, c.options); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneLibraryPerProcess(t *testing.T) {
	r := onnxruntimetest.Open(t)
	again, err := onnxruntime.Open(r.Path)
	if err != nil || again != r {
		t.Errorf("opened again: %v, %v", again, err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := onnxruntime.Open(other); err == nil || !strings.Contains(err.Error(), r.Path) {
		t.Errorf("another library: %v", err)
	}
}

func TestMissingLibrary(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "none")
	t.Setenv(library.Variable, absent)
	for _, path := range []string{"", absent} {
		_, err := onnxruntime.Open(path)
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "ONNX Runtime is not there") {
			t.Errorf("%q: code %d, %v", path, exit.Code(err), err)
		}
	}
}

// A bound model reads its inputs and writes its outputs where they are, and binds its threads where they are to be.
func TestBound(t *testing.T) {
	r := onnxruntimetest.Open(t)
	x := onnxruntime.Tensor{Dims: []int{2, 2}, Data: make([]float32, 4)}
	y := onnxruntime.Tensor{Dims: []int{2, 2}, Data: make([]float32, 4)}
	o := onnxruntime.Options{Inputs: []string{"x"}, Outputs: []string{"y"}, Settings: onnxruntime.Settings{Threads: 2, Processors: []int{0}, NoArena: true, Optimization: "none"}}
	b, err := r.Bind(sum(t), o, []onnxruntime.Tensor{x}, []onnxruntime.Tensor{y})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for n := range 3 {
		x.Data[3] = float32(n)
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		if want := []float32{10, 20, 10, float32(20 + n)}; !slices.Equal(y.Data, want) {
			t.Errorf("%v, want %v", y.Data, want)
		}
	}
	good, short := []onnxruntime.Tensor{x}, onnxruntime.Tensor{Dims: []int{2, 2}, Data: y.Data[:3]}
	for name, bind := range map[string]func() (*onnxruntime.Bound, error){
		"no model":         func() (*onnxruntime.Bound, error) { return r.Bind(nil, o, good, good) },
		"other bytes":      func() (*onnxruntime.Bound, error) { return r.Bind([]byte("no model"), o, good, good) },
		"too few values":   func() (*onnxruntime.Bound, error) { return r.Bind(sum(t), o, good, []onnxruntime.Tensor{short}) },
		"too many tensors": func() (*onnxruntime.Bound, error) { return r.Bind(sum(t), o, append(good, x), good) },
	} {
		if _, err := bind(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSettingsOfAnotherLibrary(t *testing.T) {
	r := onnxruntimetest.Open(t)
	if err := r.CheckSettings(onnxruntime.Settings{Provider: onnxruntime.CPU, Optimization: onnxruntime.All}); err != nil {
		t.Error(err)
	}
	// The tests' library for Linux has the CPU alone. It knows the names of the others, all the same.
	for _, provider := range onnxruntime.Providers() {
		if provider == onnxruntime.CPU || provider == "coreml" && runtime.GOOS == "darwin" {
			continue
		}
		err := r.CheckSettings(onnxruntime.Settings{Provider: provider})
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "no provider "+provider) || strings.Contains(err.Error(), "Unknown provider") {
			t.Errorf("%s: %v", provider, err)
		}
	}
	if err := (onnxruntime.Settings{Provider: "nnapi"}).Check(); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "xnnpack") {
		t.Errorf("nnapi: %v", err)
	}
}
