package devices

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
)

func TestEmbeddedDescriptions(t *testing.T) {
	if len(Names()) < 3 {
		t.Errorf("only %v", Names())
	}
	for _, name := range Names() {
		d, err := Load(name)
		if err != nil {
			t.Error(err)
		} else if d.Name != name {
			t.Errorf("%s calls itself %s", name, d.Name)
		}
	}
}

const valid = `kind: densenas.device
schema_version: 1
name: box
model: a box
architecture: amd64
backend: go
cores: 2
threads: 1
batch: 4
`

func TestLoadByPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box.yaml")
	if err := os.WriteFile(path, []byte(valid), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "box" || d.Threads != 1 || d.Batch != 4 || d.Backend != "go" {
		t.Errorf("read %+v", d)
	}
}

func TestProcessorsAreOptional(t *testing.T) {
	d, err := parse("box.yaml", []byte(valid))
	if err != nil || d.Processors != nil {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = parse("box.yaml", []byte(valid+"processors: [5, 4]\n"))
	if err != nil || !slices.Equal(d.Processors, []int{5, 4}) {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load("toaster"); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "raspberry-pi-5") {
		t.Errorf("unknown device: %v", err)
	}
	for name, change := range map[string][2]string{
		"unknown field":  {"cores: 2", "cores: 2\ncolour: red"},
		"missing field":  {"threads: 1\n", ""},
		"no name":        {"name: box", "name: ''"},
		"other kind":     {"densenas.device", "densenas.lut"},
		"newer":          {"schema_version: 1", "schema_version: 9"},
		"unknown runner": {"backend: go", "backend: torch"},
		"batch of none":  {"batch: 4", "batch: 0"},
		"negative":       {"cores: 2", "cores: -3"},
		"no processor":   {"threads: 1", "threads: 1\nprocessors: []"},
		"one twice":      {"threads: 1", "threads: 1\nprocessors: [3, 3]"},
		"below none":     {"threads: 1", "threads: 1\nprocessors: [-1]"},
		"a range":        {"threads: 1", "threads: 1\nprocessors: 4-7"},
		"too far":        {"threads: 1", "threads: 1\nprocessors: [70000]"},
		"more threads":   {"threads: 1", "threads: 2\nprocessors: [0]"},
		"of a GPU":       {"backend: go", "backend: xla:cuda\nprocessors: [0, 1]"},
		"control bytes":  {"model: a box", `model: "a\u0007box"`},
	} {
		_, err := parse("box.yaml", []byte(strings.Replace(valid, change[0], change[1], 1)))
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "box.yaml") {
			t.Errorf("%s: %v, want bad input that names the file", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte("kind: densenas.device\nschema_version: 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parse("x", data)
		if (d == nil) != (err != nil) {
			t.Errorf("%v, %v", d, err)
		}
		if err != nil && exit.Code(err) != exit.CodeBadInput {
			t.Errorf("not bad input: %v", err)
		}
	})
}
