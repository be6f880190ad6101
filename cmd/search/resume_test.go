package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search"
	"densenas/search/rundir"
	"densenas/supernet"

	"github.com/spf13/pflag"
)

// A small search has 4 weight steps in its first epoch, and 3 architecture and 4 weight steps in each of the two others.
const (
	smallWeightSteps       = 4
	smallArchitectureSteps = 3
	smallSteps             = 3*smallWeightSteps + 2*smallArchitectureSteps
)

// watchedEngine calls after behind every step, with the number of steps so far; an error of it is the step's.
type watchedEngine struct {
	search.Engine
	steps int
	after func(steps int) error
	// extended, where set, is called behind every [search.Engine.Extend].
	extended func()
}

func (e *watchedEngine) Extend() error {
	err := e.Engine.Extend()
	if e.extended != nil {
		e.extended()
	}
	return err
}

func (e *watchedEngine) WeightStep(b supernet.Batch, c *supernet.Choice, rate float64) (supernet.Result, error) {
	r, err := e.Engine.WeightStep(b, c, rate)
	if e.steps++; err == nil {
		err = e.after(e.steps)
	}
	return r, err
}

func (e *watchedEngine) ArchitectureStep(b supernet.Batch, c *supernet.Choice) (supernet.Result, *supernet.Products, error) {
	r, p, err := e.Engine.ArchitectureStep(b, c)
	if e.steps++; err == nil {
		err = e.after(e.steps)
	}
	return r, p, err
}

// prepare begins a search run as the command does.
func prepare(t *testing.T, args []string) *session {
	t.Helper()
	o := runOptions{commandLine: command.Line(append([]string{"search"}, args...)...)}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := flags.Parse(args[1:]); err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := o.begin(context.Background(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// interrupt lets a session go on for some steps and cancels it then, as Ctrl-C does. It is closed.
func interrupt(t *testing.T, s *session, folder string, steps int) {
	t.Helper()
	defer s.close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
		if n == steps {
			cancel()
		}
		return nil
	}}
	var out bytes.Buffer
	err := s.execute(ctx, folder, &out)
	if want := "interrupted; continue with: search resume " + folder; exit.Code(err) != exit.CodeInterrupted || err.Error() != want || out.Len() > 0 {
		t.Fatalf("stopped after %d steps: code %d, printed %q, error %v; want %q", steps, exit.Code(err), out.String(), err, want)
	}
}

// outcome is all that a run leaves which does not depend on time: its files by name.
func outcome(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{rundir.ParametersFile, rundir.ArchitectureFile, rundir.ConfigFile} {
		files[name] = read(t, folder, name)
	}
	// At the end of a run the checkpoint holds no times either.
	files["checkpoint"] = read(t, checkpointPath(folder))
	var metrics strings.Builder
	for line := range strings.Lines(read(t, folder, rundir.MetricsFile)) {
		var record map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		delete(record, "seconds")
		delete(record, "images_per_second")
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&metrics, string(text))
	}
	files[rundir.MetricsFile] = metrics.String()
	return files
}

// same reports the files in which two runs differ.
func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for name := range want {
		switch {
		case got[name] == want[name]:
		case name == "checkpoint":
			t.Errorf("%s: the checkpoints differ", what)
		default:
			t.Errorf("%s: %s is\n%s\nwithout the stop it is\n%s", what, name, got[name], want[name])
		}
	}
}

func TestResumedRunsEqualUninterruptedOnes(t *testing.T) {
	f := smallFiles(t)
	args := func(folder string) []string { return f.args(folder, "--target-latency", "0.25ms") }
	folder := filepath.Join(t.TempDir(), "whole")
	succeed(t, args(folder)...)
	whole := outcome(t, folder)
	if n := strings.Count(whole[rundir.MetricsFile], "\n"); n != 3 {
		t.Fatalf("%d records", n)
	}

	for _, c := range []struct {
		what  string
		steps int
	}{
		{"within the first weight pass", 2},
		{"behind the last step of an epoch", smallWeightSteps},
		{"within an architecture pass", smallWeightSteps + 1},
		{"behind the last step of an architecture pass", smallWeightSteps + smallArchitectureSteps},
		{"within a later weight pass", smallWeightSteps + smallArchitectureSteps + 3},
		{"within the last epoch", smallSteps - 1},
		{"behind the last step", smallSteps},
	} {
		folder := filepath.Join(t.TempDir(), "run")
		interrupt(t, prepare(t, args(folder)), folder, c.steps)
		stdout, _ := succeed(t, "resume", folder)
		if !strings.HasPrefix(stdout, filepath.Join(folder, rundir.ArchitectureFile)+": ") {
			t.Errorf("stopped %s, resume prints %q", c.what, stdout)
		}
		same(t, "stopped "+c.what, outcome(t, folder), whole)
	}

	t.Run("again and again", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "run")
		interrupt(t, prepare(t, args(folder)), folder, 3)
		for range smallSteps/3 - 1 {
			s, err := restore(context.Background(), folder, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			interrupt(t, s, folder, 3)
		}
		succeed(t, "resume", folder)
		same(t, "stopped every three steps", outcome(t, folder), whole)
		// A run that is complete stays as it is.
		succeed(t, "resume", folder)
		same(t, "resumed at its end", outcome(t, folder), whole)
	})

	t.Run("before the first step", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "run")
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		// What is said first is said when all input is checked.
		err := run(ctx, args(folder), io.Discard, writerFunc(func(p []byte) (int, error) {
			if bytes.Contains(p, []byte("backend: ")) {
				cancel()
			}
			return len(p), nil
		}))
		if exit.Code(err) != exit.CodeInterrupted || !strings.HasSuffix(err.Error(), "search resume "+folder) {
			t.Fatalf("code %d, %v", exit.Code(err), err)
		}
		succeed(t, "resume", folder)
		same(t, "stopped before the first step", outcome(t, folder), whole)
	})

	// A run that fails or is killed keeps the checkpoint of its last epoch, and records may be ahead of it.
	t.Run("a crash", func(t *testing.T) {
		for _, steps := range []int{2, smallWeightSteps + 5} {
			folder := filepath.Join(t.TempDir(), "run")
			s := prepare(t, args(folder))
			broken := errors.New("the device is gone")
			s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
				if n == steps {
					return broken
				}
				return nil
			}}
			if err := s.execute(context.Background(), folder, io.Discard); !errors.Is(err, broken) || exit.Code(err) != exit.CodeFailure {
				t.Fatalf("code %d, %v", exit.Code(err), err)
			}
			s.close()
			ahead := rundir.Record{Epoch: 1, Phase: rundir.PhaseWeights}
			if err := rundir.AppendRecord(folder, ahead); err != nil {
				t.Fatal(err)
			}
			succeed(t, "resume", folder)
			same(t, fmt.Sprintf("failed at step %d", steps), outcome(t, folder), whole)
		}
	})
}

// TestResumedWhereCandidatesTakeOver stops around the end of the epochs in which each layer trains one candidate.
func TestResumedWhereCandidatesTakeOver(t *testing.T) {
	f := smallFiles(t)
	write(t, f.config, strings.Replace(smallConfig, "architecture_epoch: 1", "architecture_epoch: 2\nsingle_candidate_epochs: 1", 1))
	folder := filepath.Join(t.TempDir(), "whole")
	succeed(t, f.args(folder)...)
	whole := outcome(t, folder)
	for _, steps := range []int{smallWeightSteps - 1, smallWeightSteps, smallWeightSteps + 1, 2*smallWeightSteps + 1} {
		folder := filepath.Join(t.TempDir(), "run")
		interrupt(t, prepare(t, f.args(folder)), folder, steps)
		succeed(t, "resume", folder)
		same(t, fmt.Sprintf("stopped behind step %d", steps), outcome(t, folder), whole)
	}
	// Behind the taking over, and before the first step: it is done again.
	folder = filepath.Join(t.TempDir(), "run")
	s := prepare(t, f.args(folder))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	extended := 0
	s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(int) error { return nil }, extended: func() { extended++; cancel() }}
	if err := s.execute(ctx, folder, io.Discard); exit.Code(err) != exit.CodeInterrupted || extended != 1 {
		t.Fatalf("taken over %d times, %v", extended, err)
	}
	s.close()
	succeed(t, "resume", folder)
	same(t, "stopped where candidates take over", outcome(t, folder), whole)

	write(t, f.config, smallConfig+"single_candidate_epochs: 1\n")
	refused(t, f.args(filepath.Join(t.TempDir(), "run")), "single_candidate_epochs is 1, allowed is 0 to 0")
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A search that could not save, on a full disk for example, leaves the last checkpoint and says how to go on from it.
func TestFailedSaveSaysHowToContinue(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	s := prepare(t, f.args(folder))
	defer s.close()
	metrics := filepath.Join(folder, rundir.MetricsFile)
	if err := os.Mkdir(metrics, 0o755); err != nil { // in the way of the first record
		t.Fatal(err)
	}
	before := read(t, checkpointPath(folder))
	err := s.execute(context.Background(), folder, io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), metrics) || !strings.HasSuffix(err.Error(), "continue from the last checkpoint with: search resume "+folder) {
		t.Errorf("error %v", err)
	}
	if read(t, checkpointPath(folder)) != before {
		t.Error("the checkpoint is another")
	}
}

func TestInterruptedBeforeThereIsAFolder(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "my run")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := run(ctx, f.args(folder), io.Discard, io.Discard)
	if exit.Code(err) != exit.CodeInterrupted || !strings.Contains(err.Error(), "nothing was saved; start again with the same command") {
		t.Errorf("code %d, %v", exit.Code(err), err)
	}
	missing(t, folder)
	succeed(t, f.args(folder, "--epochs", "1", "--architecture-epoch", "0")...)
	err = run(ctx, []string{"resume", folder}, io.Discard, io.Discard)
	if want := "interrupted; continue with: search resume '" + folder + "'"; exit.Code(err) != exit.CodeInterrupted || err.Error() != want {
		t.Errorf("code %d, %v, want %q", exit.Code(err), err, want)
	}
}

func TestResumeRefusesWhatIsNotTheRuns(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	interrupt(t, prepare(t, f.args(folder)), folder, 2)
	checkpoint := checkpointPath(folder)
	before := outcomeOf(t, folder)
	resume := []string{"resume", folder}
	// changed runs a check with a file changed, and puts it back.
	changed := func(path string, change func(text string) string, messages ...string) {
		t.Helper()
		text := read(t, path)
		if change(text) == text {
			t.Fatalf("%s does not change", path)
		}
		write(t, path, change(text))
		refused(t, resume, messages...)
		write(t, path, text)
	}
	replace := func(from, to string) func(string) string {
		return func(text string) string { return strings.Replace(text, from, to, 1) }
	}
	config := filepath.Join(folder, rundir.ConfigFile)
	const other = "the checkpoint is of another run: it differs in "

	changed(f.space, replace("forward: 2", "forward: 1"), checkpoint, other+"space (")
	table := read(t, f.table)
	writeTable(t, f, func(table *lut.Table) { table.Entries[0].MedianMS *= 1.001 })
	refused(t, resume, checkpoint, other+"table (")
	write(t, f.table, table)
	extra := filepath.Join(f.data, "red", "99.png")
	writeImage(t, extra, smallClasses["red"], rand.New(rand.NewPCG(3, 3)))
	refused(t, resume, checkpoint, other+"data (")
	if err := os.Remove(extra); err != nil {
		t.Fatal(err)
	}
	changed(config, replace("seed: 1", "seed: 2"), checkpoint, other+`configuration ("Seed:1 `, ` there, "Seed:2 `)
	changed(config, replace(`augmentation: ""`, `augmentation: none`), checkpoint, other+"configuration (", "none")
	changed(config, replace("held_out_share: 0.4", "held_out_share: 0.3"), checkpoint, other+`configuration ("HeldOutShare:0.4`)
	changed(config, replace("seed: 1", "seeds: 1"), config, "seeds")

	changed(checkpoint, func(s string) string { return s[:len(s)-9] }, checkpoint, "damaged")
	changed(checkpoint, func(s string) string { return s[:len(s)-1] + string([]byte{s[len(s)-1] ^ 1}) }, checkpoint, "checksum", "damaged")
	changed(checkpoint, func(s string) string { return "{}" }, checkpoint, "damaged")
	moved := checkpoint + ".moved"
	if err := os.Rename(checkpoint, moved); err != nil {
		t.Fatal(err)
	}
	refused(t, resume, checkpoint, "no such file", "nothing to continue", "`search run --config "+config+" -o NEW_FOLDER`")
	if err := os.Rename(moved, checkpoint); err != nil {
		t.Fatal(err)
	}

	if after := outcomeOf(t, folder); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a refused resume changed the folder: it holds %d files, held %d", len(after), len(before))
	}
	succeed(t, "resume", folder)
}

// A run that goes on with other processors is continued, and that its numbers may differ is said.
func TestResumeElsewhere(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	interrupt(t, prepare(t, f.args(folder)), folder, 2)
	origin, err := rundir.ReadOrigin(folder)
	if err != nil {
		t.Fatal(err)
	}
	origin.Processors++
	if err := origin.Write(folder); err != nil {
		t.Fatal(err)
	}
	if _, stderr := succeed(t, "resume", folder); !strings.Contains(stderr, fmt.Sprintf("processors %d instead of %d; numbers may differ", origin.Processors-1, origin.Processors)) {
		t.Errorf("standard error is %q", stderr)
	}
}

func TestOneSearchWritesAFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no lock there")
	}
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	s := prepare(t, f.args(folder))
	before := outcomeOf(t, folder)
	refused(t, []string{"resume", folder}, folder+" is being written by another process")
	// A run that found the folder empty, before the other created it.
	if _, err := createFolder(folder, func() error { return nil }); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "is being written by another process") {
		t.Errorf("error %v", err)
	}
	if after := outcomeOf(t, folder); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a refused search changed the folder: it holds %d files, held %d", len(after), len(before))
	}
	interrupt(t, s, folder, 2)
	succeed(t, "resume", folder)
	if _, err := os.Stat(filepath.Join(folder, rundir.LockFile)); !os.IsNotExist(err) {
		t.Errorf("the lock is left: %v", err)
	}
}

// outcomeOf reads every file of a folder.
func outcomeOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
