//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/profiler"
)

// machine is another machine to run on, by one of the roads.
type machine struct {
	name       string   // in messages
	cache      string   // where it keeps runs
	flags      []string // that reach it
	disconnect func(t *testing.T)
	reconnect  func(t *testing.T)
}

// staticProfiler builds the profiler as `make dist` does.
func staticProfiler(t *testing.T) string { return buildProfiler(t, "0", "-tags", "noxla", "-trimpath") }

// linkedProfiler builds the profiler as `make build` does where there is a C compiler.
func linkedProfiler(t *testing.T) string { return buildProfiler(t, "1") }

func buildProfiler(t *testing.T, cgo string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profiler")
	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, flags...), "-o", path, ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// there are the files of that name in the runs' folders on the server.
func (m *machine) there(t *testing.T, name string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(m.cache, "densenas", "runs", "*", name))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// several is a pattern of so many operations of a space that they are not all complete at the same time: their rounds take longer
// than the limit of 40 of them.
const several, severalOf = "mbconv_k3_t3*", "cifar"

// slowly are the arguments of a run of a few seconds.
func (m *machine) slowly(output string) []string {
	return append([]string{"run", "--space", severalOf, "--only", several, "--backend", "go", "--precision", "0.0001", "--limit", "20ms", "-o", output}, m.flags...)
}

// testRuns goes through runs on another machine. All roads must do the same.
func testRuns(t *testing.T, m *machine) {
	t.Run("whole", func(t *testing.T) {
		folder := t.TempDir()
		tiny, err := os.ReadFile("../../supernet/space/spaces/tiny.yaml")
		if err != nil {
			t.Fatal(err)
		}
		space := write(t, folder, "my space.yaml", string(tiny))
		device := write(t, folder, "device.yaml", "kind: densenas.device\nschema_version: 1\nname: box\nmodel: box\narchitecture: any\nbackend: go\ncores: 1\nthreads: 1\nbatch: 2\n")
		path := filepath.Join(folder, "a.lut.json")
		arguments := append([]string{"run", "--space", space, "--device", device, "--only", "skip_*", "--precision", "0.9", "--limit", "10ms", "-o", path}, m.flags...)
		out, messages := profilerRun(t, arguments...)
		table := read(t, path)
		if out != "" || len(table.Entries) != 4 || table.Batch != 2 || table.Threads != 1 || !strings.Contains(messages, "backend: go, as asked for") {
			t.Errorf("printed %q, %q; %+v", out, messages, table)
		}
		if _, err := profiler.ReadJournal(profiler.JournalPath(path)); err != nil {
			t.Error(err)
		}
		samples := rawSamples(t, path)

		// The table grows, from what is here: there nothing is left.
		if left := m.there(t, "*"); len(left) > 0 {
			t.Errorf("left there: %q", left)
		}
		arguments[6] = "[sc]*"
		if _, messages = profilerRun(t, arguments...); strings.Contains(messages, "copying") {
			t.Errorf("the program was copied again: %s", messages)
		}
		if table = read(t, path); len(table.Entries) != 6 || !bytes.HasPrefix(rawSamples(t, path), samples) {
			t.Errorf("%d entries, or what was measured first is not in the journal any more", len(table.Entries))
		}
		if names := list(t, folder); names != "a.lut.json a.samples.jsonl device.yaml my space.yaml" {
			t.Errorf("the folder has %s", names)
		}
	})

	t.Run("lost connection", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		arguments := m.slowly(path)
		ended := make(chan error, 1)
		go func() {
			ended <- run(t.Context(), arguments, &bytes.Buffer{}, &bytes.Buffer{})
		}()
		eventually(t, "a first operation is complete", func() bool { return len(m.there(t, "*.samples.jsonl")) > 0 })
		m.disconnect(t)
		err := <-ended
		if err == nil || exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "lost") || !strings.HasSuffix(err.Error(), "continue with: "+command.Line(append([]string{"profiler"}, arguments...)...)) {
			t.Fatalf("%v, want a lost connection and the command that continues", err)
		}
		if names := list(t, filepath.Dir(path)); names != "" {
			t.Errorf("left %s", names)
		}
		m.reconnect(t)
		m.goesOn(t, arguments, path)
	})

	t.Run("interrupted", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		arguments := m.slowly(path)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, arguments, &bytes.Buffer{}, &bytes.Buffer{}) }()
		eventually(t, "a first operation is complete", func() bool { return len(m.there(t, "*.samples.jsonl")) > 0 })
		cancel()
		var interrupted exit.Interrupted
		if err := <-ended; !errors.As(err, &interrupted) || interrupted.Continue != command.Line(append([]string{"profiler"}, arguments...)...) {
			t.Fatalf("%v, want interrupted with the command that continues", err)
		}
		if saved := m.there(t, "*.lut.json"); len(saved) != 1 {
			t.Errorf("%d tables are saved there", len(saved))
		}
		m.goesOn(t, arguments, path)
	})

	t.Run("strange names", func(t *testing.T) {
		folder := t.TempDir()
		t.Chdir(folder)
		for _, name := range []string{"it's; $(touch owned) `touch owned`'; touch owned; '.lut.json", "-o größe\n.json"} {
			profilerRun(t, append([]string{"run", "--space", "tiny", "--only", "skip_i12*", "--backend", "go", "--precision", "0.9", "--limit", "10ms", "--output=./" + name}, m.flags...)...)
			if table := read(t, "./"+name); len(table.Entries) == 0 {
				t.Errorf("%q is empty", name)
			}
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 4 {
			t.Errorf("the folder has %s, %v", list(t, folder), err)
		}
	})

	t.Run("refused", func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "a.lut.json")
		with := func(more ...string) []string {
			return append(append([]string{"run", "--space", "tiny", "-o", path}, m.flags...), more...)
		}
		refused(t, folder, []string{m.name, "none of the"}, with("--only", "'; touch '"+folder+"/owned'; x")...)
		refused(t, folder, []string{m.name, "/no/such/plugin.so"}, with("--backend", "xla:/no/such/plugin.so")...)
		refused(t, folder, []string{"threads"}, with("--threads", "100000")...)
		if left := m.there(t, "*"); len(left) > 0 {
			t.Errorf("left there: %q", left)
		}
	})
}

// goesOn runs the same command again, and checks that it measures the rest alone.
func (m *machine) goesOn(t *testing.T, arguments []string, path string) {
	t.Helper()
	saved := m.there(t, "*.samples.jsonl")
	if len(saved) != 1 {
		t.Fatalf("%d journals are there", len(saved))
	}
	before, err := os.ReadFile(saved[0])
	if err != nil {
		t.Fatal(err)
	}
	_, messages := profilerRun(t, arguments...)
	after, err := os.ReadFile(profiler.JournalPath(path))
	if err != nil || !bytes.HasPrefix(after, before[:bytes.LastIndexByte(before, '\n')+1]) || !strings.Contains(messages, "going on with") {
		t.Errorf("it began anew: %v, %s", err, messages)
	}
	plan, err := (&sourceOptions{spaces: []string{severalOf}, only: several}).plan()
	if err != nil {
		t.Fatal(err)
	}
	if table := read(t, path); len(table.Entries) != len(plan.Items) {
		t.Errorf("%d of %d entries", len(table.Entries), len(plan.Items))
	}
	if left := m.there(t, "*"); len(left) > 0 {
		t.Errorf("left there: %q", left)
	}
}

func TestRunsElsewhereAreNamedByWhereTheTableIsAndWhatItHolds(t *testing.T) {
	folder := t.TempDir()
	name := func(table string) string {
		t.Helper()
		got, err := runID(filepath.Join(folder, table), profiler.JournalPath(filepath.Join(folder, table)))
		if err != nil || len(got) != 32 {
			t.Fatalf("%q, %v", got, err)
		}
		return got
	}
	first := name("a.lut.json")
	if name("./a.lut.json") != first || name("b.lut.json") == first {
		t.Error("the name does not follow the place")
	}
	write(t, folder, "a.lut.json", "x")
	second := name("a.lut.json")
	write(t, folder, "a.samples.jsonl", "x")
	if third := name("a.lut.json"); second == first || third == second {
		t.Error("the name does not follow the contents")
	}
}
