package rundir

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"

	"go.yaml.in/yaml/v3"
)

func TestOriginIsKept(t *testing.T) {
	folder := t.TempDir()
	want := NewOrigin("search run --space tiny -o 'my run\n\xe4\u00a0'", "v1.2.3", "xla 0.1 plugin")
	if want.Command != "search run --space tiny -o 'my run\ufffd\ufffd\ufffd'" {
		t.Errorf("the command is %q", want.Command)
	}
	if err := want.Write(folder); err != nil {
		t.Fatal(err)
	}
	got, err := ReadOrigin(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got.Header = want.Header; *got != want {
		t.Errorf("read %+v of %+v", got, want)
	}
	if found := want.Differences(*got); len(found) > 0 {
		t.Errorf("of itself it differs by %v", found)
	}
	now := want
	now.Processors, now.Version, now.Command = want.Processors+1, "v2.0.0", "search resume run"
	if found := strings.Join(want.Differences(now), "; "); !strings.Contains(found, "version v2.0.0 instead of v1.2.3; processors ") || strings.Contains(found, "resume") {
		t.Errorf("differences: %s", found)
	}
}

func TestOriginRefuses(t *testing.T) {
	for place, spoil := range map[string]func(*Origin){
		"command":    func(o *Origin) { o.Command = "search run\nrm" },
		"version":    func(o *Origin) { o.Version = "" },
		"runtime":    func(o *Origin) { o.Runtime = strings.Repeat("x", maxOriginFile) },
		"processors": func(o *Origin) { o.Processors = 0 },
	} {
		o := NewOrigin("search run", "v1", "go")
		spoil(&o)
		folder := t.TempDir()
		if err := o.Write(folder); err == nil || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: error %v", place, err)
		}
		if entries, _ := filepath.Glob(filepath.Join(folder, "*")); len(entries) > 0 {
			t.Errorf("%s: left %v", place, entries)
		}
	}
}

func FuzzParseOrigin(f *testing.F) {
	o := NewOrigin("search run --space tiny -o run", "v1.2.3", "go 1 builtin")
	o.Kind, o.SchemaVersion = originKind, originVersion
	data, err := yaml.Marshal(&o)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(slices.Concat(data, []byte("surprise: 1\n")))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseOrigin("f.yaml", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "f.yaml") {
				t.Fatalf("code %d, %v", exit.Code(err), err)
			}
			return
		}
		if err := got.Write(t.TempDir()); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
