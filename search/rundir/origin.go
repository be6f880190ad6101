package rundir

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"densenas/internal/exit"
	"densenas/internal/files"

	"go.yaml.in/yaml/v3"
)

const (
	originKind    = "densenas.origin"
	originVersion = 1
	maxOriginFile = 1 << 20 // bytes
)

// Origin says what began a run: what one needs beside its configuration to repeat it.
type Origin struct {
	files.Header `yaml:",inline"`

	// Command began it, as a shell takes it, or runs the plan that it is of. What cannot be printed is replaced.
	Command string `yaml:"command"`
	Version string `yaml:"version"` // of densenas
	Go      string `yaml:"go"`      // version that it was built with
	Runtime string `yaml:"runtime"` // name, version and plugin
	System  string `yaml:"system"`  // operating system and architecture, as linux/amd64
	// Processors are those that the process uses at once (GOMAXPROCS). Sums of floats depend on how many share the work.
	Processors int `yaml:"processors"`
}

// NewOrigin is that of a run which this process begins.
func NewOrigin(command, version, runtimeName string) Origin {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(command, string(unicode.ReplacementChar)))
	return Origin{Command: printable, Version: version, Go: runtime.Version(), Runtime: runtimeName,
		System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0)}
}

// Differences lists what is another now than when the run began, and may make numbers differ, as "processors 1 instead of 2". The
// runtime is not among it, without whose equality a checkpoint is not taken, nor the command.
func (o *Origin) Differences(now Origin) []string {
	var found []string
	for _, f := range []struct{ name, then, now string }{
		{"version", o.Version, now.Version}, {"go", o.Go, now.Go}, {"system", o.System, now.System},
		{"processors", fmt.Sprint(o.Processors), fmt.Sprint(now.Processors)},
	} {
		if f.then != f.now {
			found = append(found, fmt.Sprintf("%s %s instead of %s", f.name, f.now, f.then))
		}
	}
	return found
}

// Write writes it into a run folder, atomically.
func (o *Origin) Write(folder string) error {
	return files.WriteEncoded(filepath.Join(folder, OriginFile), func() ([]byte, error) {
		if err := o.check(); err != nil {
			return nil, err
		}
		whole := *o
		whole.Header = files.Header{Kind: originKind, SchemaVersion: originVersion}
		return yaml.Marshal(&whole)
	})
}

// ReadOrigin reads that of a run folder, strictly.
func ReadOrigin(folder string) (*Origin, error) {
	data, err := files.ReadOfFolder(folder, OriginFile, maxOriginFile, "a run folder", "search run")
	if err != nil {
		return nil, err
	}
	return parseOrigin(filepath.Join(folder, OriginFile), data)
}

func parseOrigin(name string, data []byte) (*Origin, error) {
	o := new(Origin)
	if err := files.DecodeWholeYAML(name, data, originKind, originVersion, o); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return o, nil
}

func (o *Origin) check() error {
	for _, text := range []struct{ field, value string }{
		{"command", o.Command}, {"version", o.Version}, {"go", o.Go}, {"runtime", o.Runtime}, {"system", o.System},
	} {
		if text.value == "" || len(text.value) > maxOriginFile/8 {
			return fmt.Errorf("%s has %d bytes, allowed are 1 to %d", text.field, len(text.value), maxOriginFile/8)
		}
		if strings.ContainsFunc(text.value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return fmt.Errorf("%s %.60q has characters that cannot be printed", text.field, text.value)
		}
	}
	if o.Processors < 1 || o.Processors > 1<<20 {
		return fmt.Errorf("processors is %d, allowed is 1 to %d", o.Processors, 1<<20)
	}
	return nil
}
