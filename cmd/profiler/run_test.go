package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/profiler"
	"densenas/supernet/space"
)

// quickly are the arguments of a run that measures little.
func quickly(output string, more ...string) []string {
	return append([]string{"run", "--space", "tiny", "--backend", "go", "--precision", "0.9", "--limit", "10ms", "-o", output}, more...)
}

func read(t *testing.T, path string) *lut.Table {
	t.Helper()
	table, err := lut.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// rawSamples is the journal of a table. It only grows, also where a device that became faster has entries measured anew.
func rawSamples(t *testing.T, table string) []byte {
	t.Helper()
	data, err := os.ReadFile(profiler.JournalPath(table))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRunFillsATableAndContinuesIt(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "tiny.lut.json")
	out, _ := profilerRun(t, quickly(path, "--only", "skip_*")...)
	table := read(t, path)
	if out != "" || len(table.Entries) != 4 || table.CallMS <= 0 || table.Batch != 1 || table.Runtime.Name != "go" || table.Threads < 1 {
		t.Fatalf("printed %q, table %+v", out, table)
	}
	samples := rawSamples(t, path)

	_, messages := profilerRun(t, quickly(path, "--only", "[sc]*")...)
	table = read(t, path)
	if len(table.Entries) != 6 || !strings.Contains(messages, "has 4 operations: going on with 2") {
		t.Errorf("%d entries: %s", len(table.Entries), messages)
	}
	if !bytes.HasPrefix(rawSamples(t, path), samples) {
		t.Error("what was measured first is not in the journal any more")
	}

	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, messages = profilerRun(t, quickly(path, "--only", "skip_*")...)
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) || !strings.Contains(messages, "has all 4") {
		t.Errorf("a complete table was touched: %s", messages)
	}

	refused(t, folder, []string{path, "batch 1 instead of 2", "another file"}, quickly(path, "--batch", "2")...)
	refused(t, folder, []string{path, "resolutions"}, quickly(path, "--resolution", "64")...)
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(before, again) {
		t.Error("a refused run changed the table")
	}
}

func TestShardsHaveTheOperationsOfThePlan(t *testing.T) {
	folder := t.TempDir()
	keys := map[string]int{}
	for _, shard := range []string{"1/2", "2/2"} {
		path := filepath.Join(folder, shard[:1]+".lut.json")
		profilerRun(t, quickly(path, "--only", "[sc]*", "--shard", shard)...)
		table := read(t, path)
		if len(table.Entries) != 3 || !slices.Contains(table.Notes, "shard "+shard[:1]+" of 2 of a plan of 6 operations") {
			t.Errorf("shard %s: %d entries, notes %q", shard, len(table.Entries), table.Notes)
		}
		for _, e := range table.Entries {
			keys[e.Key]++
		}
		if _, err := profiler.ReadJournal(profiler.JournalPath(path)); err != nil {
			t.Error(err)
		}
	}
	if len(keys) != 6 {
		t.Errorf("%d of 6 operations in both parts", len(keys))
	}
}

func TestBudgetIsContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lut.json")
	args := quickly(path, "--only", "skip_*", "--budget", "1ms")
	profilerRun(t, args...)
	first := read(t, path)
	if len(first.Entries) != 4 || first.Policy.TotalLimitMS != 1 {
		t.Fatalf("%d entries, %+v", len(first.Entries), first.Policy)
	}
	// The same command has nothing left to spend.
	profilerRun(t, args...)
	if again := read(t, path); again.Identity() != first.Identity() {
		t.Error("a spent budget was spent again")
	}
}

func TestTypesAndCachesAreInTheTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lut.json")
	args := quickly(path, "--only", "classifier_*", "--dtype", "bf16", "--caches", "cold")
	profilerRun(t, args...)
	table := read(t, path)
	if table.DType != "bf16" || table.Caches != lut.Cold || len(table.Entries) != 1 {
		t.Errorf("dtype %s, caches %s, %d entries", table.DType, table.Caches, len(table.Entries))
	}
	refused(t, filepath.Dir(path), []string{"dtype bf16", "caches cold"}, quickly(path, "--only", "classifier_*")...)
}

func TestRunRefuses(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.lut.json")
	refused(t, folder, []string{"-o"}, "run", "--space", "tiny")
	refused(t, folder, []string{"--space"}, "run", "-o", path)
	refused(t, folder, []string{"nowhere"}, "run", "--space", "nowhere", "-o", path)
	refused(t, folder, []string{"none of the"}, quickly(path, "--only", "x*")...)
	refused(t, folder, []string{"torch"}, "run", "--space", "tiny", "--backend", "torch", "-o", path)
	refused(t, folder, []string{"precision"}, quickly(path, "--precision", "0")...)
	refused(t, folder, []string{"limit"}, quickly(path, "--limit", "-1s")...)
	refused(t, folder, []string{"budget"}, quickly(path, "--budget", "-1s")...)
	for _, shard := range []string{"0/2", "3/2", "2", "a/b", "1/2/3", "1/1001"} {
		refused(t, folder, []string{"--shard", "2/8"}, quickly(path, "--shard", shard)...)
	}
	refused(t, folder, []string{"--shard 1000/1000 is empty"}, quickly(path, "--shard", "1000/1000")...)
	refused(t, folder, []string{"--dtype", "int8"}, quickly(path, "--dtype", "int8")...)
	refused(t, folder, []string{"caches", "warm and cold"}, quickly(path, "--caches", "hot")...)
	refused(t, folder, []string{"threads"}, quickly(path, "--threads", "-1")...)
	refused(t, folder, []string{"not a file"}, quickly(folder)...)
	refused(t, folder, []string{"no/such", "cannot write"}, quickly(filepath.Join(folder, "no/such/a.lut.json"))...)
	refused(t, folder, []string{"/no/such/plugin.so"}, "run", "--space", "tiny", "--backend", "xla:/no/such/plugin.so", "-o", path)

	foreign := write(t, folder, "foreign.json", `{"kind": "densenas.arch", "schema_version": 1}`)
	refused(t, folder, []string{foreign, "densenas.arch"}, quickly(foreign)...)
	truncated := write(t, folder, "truncated.json", `{"kind": "densenas.lut", "schema_version": 1, "un`)
	refused(t, folder, []string{truncated}, quickly(truncated)...)
}

// constant is a runner whose calls take a millisecond each; it calls during at each.
type constant struct{ during func(n int) }

func (c constant) Ops(_ context.Context, ops []space.Op) ([]profiler.Compiled, error) {
	return compiled(ops, func() profiler.Call { return &constantCall{c.during, 0} }), nil
}

func compiled(ops []space.Op, call func() profiler.Call) []profiler.Compiled {
	list := make([]profiler.Compiled, len(ops))
	for i := range list {
		list[i].Call = call()
	}
	return list
}

func (c constant) Empty() (profiler.Call, error) { return &constantCall{func(int) {}, 0}, nil }

type constantCall struct {
	during func(n int)
	n      int
}

func (c *constantCall) Run() (time.Duration, error) {
	c.n++
	c.during(c.n)
	return time.Millisecond, nil
}
func (c *constantCall) Close() {}

func intoStore(t *testing.T, ctx context.Context, r profiler.Runner, settings profiler.Settings, plan profiler.Plan, path, line string, messages io.Writer) error {
	t.Helper()
	store, err := settings.Open(path, plan, plan)
	if err != nil {
		t.Fatal(err)
	}
	return errors.Join(profileInto(ctx, r, settings.Policy, store, path, line, messages), store.Close())
}

func TestInterruptedRunIsContinued(t *testing.T) {
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	plan := profiler.NewPlan([]*space.Space{s}, nil)
	policy := profiler.DefaultPolicy()
	policy.Group, policy.PassTime = 8, 0
	settings := profiler.Settings{Device: lut.Device{Model: "box"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: plan.Resolutions, DType: "f32", Policy: policy}
	path := filepath.Join(t.TempDir(), "a.lut.json")
	const line = "profiler run --space tiny -o a.lut.json"

	// Interrupted within the third group: the first two are kept.
	ctx, cancel := context.WithCancel(t.Context())
	compiled := 0
	interrupting := constant{func(n int) {
		if n == 1 {
			if compiled++; compiled == 2*policy.Group+4 {
				cancel()
			}
		}
	}}
	var messages bytes.Buffer
	err = intoStore(t, ctx, interrupting, settings, plan, path, line, &messages)
	var interrupted exit.Interrupted
	if !errors.As(err, &interrupted) || interrupted.Continue != line {
		t.Fatalf("%v, want interrupted with the command that continues", err)
	}
	if n := len(read(t, path).Entries); n != 2*policy.Group {
		t.Errorf("%d entries saved, want %d", n, 2*policy.Group)
	}
	if want := fmt.Sprintf("16 of %d operations saved in %s\n", len(plan.Items), path); !strings.Contains(messages.String(), want) {
		t.Errorf("messages %q lack %q", messages.String(), want)
	}

	measured := 0
	counting := constant{func(n int) {
		if n == 1 {
			measured++
		}
	}}
	if err := intoStore(t, t.Context(), counting, settings, plan, path, line, &messages); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, path).Entries); n != len(plan.Items) || measured != len(plan.Items)-2*policy.Group+1 { // and the sentinel
		t.Errorf("%d of %d entries, %d measured in the second run", n, len(plan.Items), measured)
	}
}

func TestInterruptedBeforeAnythingIsComplete(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := run(ctx, quickly(filepath.Join(folder, "a.lut.json")), &bytes.Buffer{}, &bytes.Buffer{})
	if exit.Code(err) != exit.CodeInterrupted || !strings.Contains(err.Error(), "nothing was saved; start again with: profiler run --space tiny") || strings.Contains(err.Error(), "continue") {
		t.Errorf("%v, want interrupted, nothing saved, with the command", err)
	}
	if left := list(t, folder); left != "" {
		t.Errorf("left %q", left)
	}
}

// A run may be interrupted anywhere within its first group, from preparing it to its last turn: what is said to be saved is
// what is in the file, and the same command measures the rest.
func TestInterruptedWithinAGroup(t *testing.T) {
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	plan := profiler.NewPlan([]*space.Space{s}, nil)
	settings := profiler.Settings{Device: lut.Device{Model: "box"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: plan.Resolutions, DType: "f32", Policy: profiler.DefaultPolicy()}
	settings.Policy.PassTime, settings.Policy.Span = 0, 0 // groups of 8, that are over once they are precise
	const line = "profiler run --space tiny -o a.lut.json"
	none, part := 0, 0
	for at := 1; ; at += 53 {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		runner := &uneven{constant: constant{func(int) {
			if calls++; calls == at {
				cancel()
			}
		}}}
		var messages bytes.Buffer
		err := intoStore(t, ctx, runner, settings, plan, path, line, &messages)
		cancel()
		if exit.Code(err) != exit.CodeInterrupted || !strings.HasSuffix(err.Error(), line) {
			t.Fatalf("after %d calls: %v, want interrupted with the command", at, err)
		}
		saved := 0
		if _, err := os.Stat(path); err == nil {
			saved = len(read(t, path).Entries)
		}
		if saved > settings.Policy.Group {
			break
		}
		report := fmt.Sprintf("%d of %d operations saved in %s", saved, len(plan.Items), path)
		_, missing := os.Stat(profiler.JournalPath(path))
		if strings.Contains(messages.String(), report) != (missing == nil) || strings.Contains(err.Error(), "nothing was saved") != (missing != nil) {
			t.Fatalf("after %d calls: %d saved, said %q and %v", at, saved, messages.String(), err)
		}
		if missing != nil {
			none++
			continue
		}
		part++
		measured := map[*constantCall]bool{}
		again := recording{constant{func(int) {}}, measured}
		if err := intoStore(t, t.Context(), again, settings, plan, path, line, &messages); err != nil {
			t.Fatal(err)
		}
		if n := len(read(t, path).Entries); n != len(plan.Items) || len(measured) != len(plan.Items)-saved+1 { // and the sentinel
			t.Fatalf("after %d calls: %d of %d entries after continuing, %d measured beside %d", at, n, len(plan.Items), len(measured), saved)
		}
	}
	if none == 0 || part == 0 {
		t.Errorf("%d interruptions saved nothing, %d a part of the group: want some of both", none, part)
	}
}

// uneven is a runner half of whose executables are too noisy to be complete at the first look.
type uneven struct {
	constant
	made int
}

func (u *uneven) Ops(_ context.Context, ops []space.Op) ([]profiler.Compiled, error) {
	return compiled(ops, func() profiler.Call {
		u.made++
		if u.made%2 == 0 {
			return &constantCall{u.during, 0}
		}
		return &noisyCall{constantCall{u.during, 0}, rand.New(rand.NewPCG(uint64(u.made), 0))}
	}), nil
}

type noisyCall struct {
	constantCall
	random *rand.Rand
}

func (c *noisyCall) Run() (time.Duration, error) {
	took, err := c.constantCall.Run()
	return time.Duration(float64(took) * (1 + 0.08*c.random.Float64())), err
}

// recording remembers the executables that were made.
type recording struct {
	constant
	made map[*constantCall]bool
}

func (r recording) Ops(_ context.Context, ops []space.Op) ([]profiler.Compiled, error) {
	return compiled(ops, func() profiler.Call {
		call := &constantCall{r.during, 0}
		r.made[call] = true
		return call
	}), nil
}

func TestDeviceGivesDefaults(t *testing.T) {
	folder := t.TempDir()
	device := write(t, folder, "box.yaml", "kind: densenas.device\nschema_version: 1\nname: box\nmodel: box\narchitecture: any\nbackend: go\ncores: 1\nthreads: 0\nbatch: 3\n")
	path := filepath.Join(folder, "a.lut.json")
	profilerRun(t, "run", "--space", "tiny", "--only", "skip_i12*", "--device", device, "--precision", "0.9", "--limit", "10ms", "-o", path)
	if table := read(t, path); table.Batch != 3 || table.Runtime.Name != "go" {
		t.Errorf("%+v", table)
	}
	refused(t, folder, []string{"batch 3 instead of 1"}, "run", "--space", "tiny", "--device", device, "--batch", "1", "--precision", "0.9", "--limit", "10ms", "-o", path)
}
