package devices

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
)

//go:embed descriptions/*.yaml
var embedded embed.FS

// Kind and SchemaVersion of a description's file.
const (
	Kind          = "densenas.device"
	SchemaVersion = 1

	maxDescription = 1 << 20 // bytes
	maxProcessors  = 1 << 16
)

// Description says how to measure on a device: what to run, on which processors, with how many threads, at which batch. Every field of the file
// is required but processors and notes.
type Description struct {
	files.Header `yaml:",inline"`
	Name         string `yaml:"name" json:"name"`                 // by which it is asked for
	Model        string `yaml:"model" json:"model"`               // processor or accelerator
	Architecture string `yaml:"architecture" json:"architecture"` // as Go names it, or any
	Backend      string `yaml:"backend" json:"backend"`           // auto, go, xla, xla:cuda or onnxruntime
	Cores        int    `yaml:"cores" json:"cores"`               // physical, that the device has; 0: as many as there are
	// Processors are the numbers, as the system counts them, of the processors to measure on: the fast ones of a device that
	// has two kinds. Empty: those that the process may use.
	Processors []int    `yaml:"processors,omitempty" json:"processors,omitempty"`
	Threads    int      `yaml:"threads" json:"threads"` // to measure with; 0: no limit
	Batch      int      `yaml:"batch" json:"batch"`     // images per call
	Notes      []string `yaml:"notes" json:"notes"`     // what to mind when measuring
}

// Names lists the embedded descriptions.
func Names() []string {
	entries, err := embedded.ReadDir("descriptions")
	if err != nil {
		panic(err) // part of the program
	}
	var names []string
	for _, entry := range entries {
		names = append(names, strings.TrimSuffix(entry.Name(), ".yaml"))
	}
	return names
}

// Load reads an embedded description by its name, or a YAML file by its path. Errors are bad input.
func Load(nameOrPath string) (*Description, error) {
	if slices.Contains(Names(), nameOrPath) {
		name := path.Join("descriptions", nameOrPath+".yaml")
		data, err := embedded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		return parse(name, data)
	}
	if _, err := os.Stat(nameOrPath); errors.Is(err, os.ErrNotExist) {
		return nil, exit.BadInput("unknown device %q: allowed are %s, or the path of a YAML file", nameOrPath, strings.Join(Names(), ", "))
	}
	data, err := files.ReadBounded(nameOrPath, maxDescription)
	if err != nil {
		return nil, err
	}
	return parse(nameOrPath, data)
}

func parse(name string, data []byte) (*Description, error) {
	// Negative numbers stand for fields that the file lacks.
	d := Description{Cores: -1, Threads: -1, Batch: -1}
	if err := files.DecodeYAMLKind(name, data, Kind, SchemaVersion, &d); err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return &d, nil
}

func (d *Description) check() error {
	for _, field := range []struct{ name, value string }{{"name", d.Name}, {"model", d.Model}, {"architecture", d.Architecture}} {
		if field.value == "" || clean(field.value) != field.value {
			return fmt.Errorf("%s is %.40q, expected a short printable text", field.name, field.value)
		}
	}
	if !slices.Contains([]string{"auto", "go", "xla", "xla:cuda", "onnxruntime"}, d.Backend) {
		return fmt.Errorf("backend is %.40q, known are auto, go, xla, xla:cuda and onnxruntime", d.Backend)
	}
	for _, field := range []struct {
		name            string
		value, low, top int
	}{{"cores", d.Cores, 0, maxProcessors}, {"threads", d.Threads, 0, maxProcessors}, {"batch", d.Batch, 1, lut.MaxBatch}} {
		if field.value == -1 {
			return fmt.Errorf("%s is missing", field.name)
		}
		if field.value < field.low || field.value > field.top {
			return fmt.Errorf("%s is %d, allowed is %d to %d", field.name, field.value, field.low, field.top)
		}
	}
	if d.Processors != nil && len(d.Processors) == 0 {
		return errors.New("processors is empty; list numbers of processors, or leave it out")
	}
	for i, n := range d.Processors {
		if n < 0 || n >= maxProcessors {
			return fmt.Errorf("processors[%d] is %d, allowed is 0 to %d", i, n, maxProcessors-1)
		}
		if slices.Contains(d.Processors[:i], n) {
			return fmt.Errorf("processors[%d] is %d, which stands there twice", i, n)
		}
	}
	if len(d.Processors) > 0 && d.Threads > len(d.Processors) {
		return fmt.Errorf("threads is %d, more than the %d processors to measure on", d.Threads, len(d.Processors))
	}
	if len(d.Processors) > 0 && d.Backend == "xla:cuda" {
		return errors.New("processors are of the host, but the backend xla:cuda does not measure on it; leave them out")
	}
	for i, note := range d.Notes {
		if clean(note) != note {
			return fmt.Errorf("notes[%d] is %.40q, expected a short printable text", i, note)
		}
	}
	return nil
}
