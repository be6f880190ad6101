package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/devices"
	"densenas/internal/backends"
)

func TestDoctor(t *testing.T) {
	out, messages := profilerRun(t, "doctor", "--backend", "go", "--threads", "1", "--format", "json")
	var checks []devices.Check
	if err := json.Unmarshal([]byte(out), &checks); err != nil {
		t.Fatal(err)
	}
	plugin := slices.IndexFunc(checks, func(c devices.Check) bool { return c.Name == "plugin" })
	if messages != "" || len(checks) < 12 || plugin < 0 || checks[plugin].State != devices.OK || !strings.Contains(checks[plugin].Found, "go (gomlx ") {
		t.Errorf("%q, %+v", messages, checks)
	}
	for _, format := range []string{"table", "csv", "markdown"} {
		text, _ := profilerRun(t, "doctor", "--backend", "go", "--format", format)
		for _, name := range []string{"governor", "clock", "load", "turbo", "memory", "timer"} {
			if !strings.Contains(text, name) {
				t.Errorf("%s: no %s in\n%s", format, name, text)
			}
		}
	}
	refused(t, t.TempDir(), []string{"threads"}, "doctor", "--threads", "-1")
	refused(t, t.TempDir(), []string{"torch"}, "doctor", "--backend", "torch")
	refused(t, t.TempDir(), []string{"unexpected argument"}, "doctor", "now")
}

func TestDoctorWarnsOfAMissingPluginOnlyWhereAutoMissesIt(t *testing.T) {
	list := []runtimeReport{{Backend: "go", Build: &backends.Build{Name: "go", Version: "gomlx v1"}}, {Backend: "xla", Missing: "no plugin"}, {Backend: "xla:cuda", Missing: "no plugin"}}
	for backend, want := range map[string]devices.State{"auto": devices.Warning, "go": devices.OK} {
		if got := (&backendOptions{backend: backend}).runtimeCheck(list); got.State != want {
			t.Errorf("%s: %+v", backend, got)
		}
	}
	list[1] = runtimeReport{Backend: "xla", Build: &backends.Build{Name: "xla", Version: "go-xla v1", Plugin: "/a/plugin.so", Digest: strings.Repeat("a", 64)}}
	if got := (&backendOptions{backend: "auto"}).runtimeCheck(list); got.State != devices.OK || !strings.Contains(got.Found, "plugin.so, sha256 aaaa") {
		t.Errorf("%+v", got)
	}
}

func TestProcessorsOfADescription(t *testing.T) {
	folder := t.TempDir()
	const fields = "kind: densenas.device\nschema_version: 1\nname: box\nmodel: box\narchitecture: any\nbackend: go\ncores: 1\nthreads: 0\nbatch: 1\n"
	device := write(t, folder, "box.yaml", fields+"processors: [9999]\n")
	refused(t, folder, []string{"processor"}, "run", "--space", "tiny", "--device", device, "-o", filepath.Join(folder, "a.lut.json"))
}
