package safetensors

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/exit"
)

func example() File {
	return File{
		Metadata: map[string]string{"kind": "test", "state": `{"a": 1}`},
		Tensors: []Tensor{
			{"b/weight", []int{2, 3}, []float32{1, 2, 3, 4, 5, -6}},
			{"a", []int{}, []float32{7}},
			{"empty", []int{0, 4}, []float32{}},
		},
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Write(path, example()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), got); diff != "" {
		t.Errorf("read differs from written:\n%s", diff)
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := Write(path, example()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x11
		if f, err := parse(bad); err == nil && !cmp.Equal(f, example()) {
			t.Errorf("byte %d changed: read as %v", i, f)
		}
		if _, err := parse(good[:i]); err == nil {
			t.Errorf("cut to %d bytes: read without an error", i)
		}
	}
	if err := os.WriteFile(path, good[:20], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); exit.Code(err) != 2 {
		t.Errorf("a truncated file gives %v, want bad input", err)
	}
}

func TestWrongTensorsAreNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for _, f := range []File{
		{Tensors: []Tensor{{"a", []int{2}, []float32{1}}}},
		{Tensors: []Tensor{{"a", []int{1}, []float32{1}}, {"a", []int{1}, []float32{1}}}},
	} {
		if err := Write(path, f); err == nil {
			t.Errorf("%v was written", f)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was left behind")
	}
}

func FuzzParse(f *testing.F) {
	path := filepath.Join(f.TempDir(), "x")
	if err := Write(path, example()); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parse(data)
		if err != nil {
			return
		}
		total := 0
		for _, tensor := range file.Tensors {
			total += 4 * len(tensor.Data)
		}
		if total > len(data) {
			t.Errorf("%d bytes of tensors out of %d", total, len(data))
		}
	})
}
