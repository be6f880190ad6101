package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/rundir"
)

// sweepArgs are those of a sweep of two devices, a target and two seeds over the small search, an epoch each.
func (f small) sweepArgs(t *testing.T, folder string, more ...string) []string {
	t.Helper()
	other := filepath.Join(filepath.Dir(f.table), "other.lut.json")
	if _, err := os.Stat(other); err != nil {
		g := f
		g.table = other
		writeTable(t, g, func(table *lut.Table) {
			for i := range table.Entries {
				table.Entries[i].MedianMS *= 1.05
			}
		})
	}
	return append([]string{"sweep", "--space", f.space, "--lut", f.table, "--lut", other, "--data", f.data, "--config", f.config, "--backend", "go",
		"--epochs", "1", "--architecture-epoch", "0", "--targets", "0.3ms", "--seeds", "2", "-o", folder}, more...)
}

var sweepNames = []string{"small-0.3ms-seed1", "small-0.3ms-seed2", "other-0.3ms-seed1", "other-0.3ms-seed2"}

// collected is what search sweep collect prints as JSON.
func collected(t *testing.T, folder string) []sweepResult {
	t.Helper()
	out, _ := succeed(t, "sweep", "collect", folder, "--format", "json")
	var results []sweepResult
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&results); err != nil {
		t.Fatal(err)
	}
	return results
}

func states(results []sweepResult) []string {
	var all []string
	for _, r := range results {
		all = append(all, r.State)
	}
	return all
}

func TestSweepGoesOnWhereItStopped(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "sweep")
	args := f.sweepArgs(t, folder)

	// The second search is interrupted when everything is open.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var printed bytes.Buffer
	err := run(ctx, args, io.Discard, writerFunc(func(p []byte) (int, error) {
		n, err := printed.Write(p)
		if _, second, begun := strings.Cut(printed.String(), "search 2 of 4: "+sweepNames[1]+"\n"); begun && strings.Contains(second, "backend: go") {
			cancel()
		}
		return n, err
	}))
	if want := "interrupted; continue with: search sweep resume " + folder; exit.Code(err) != exit.CodeInterrupted || err.Error() != want {
		t.Fatalf("%v, want %q", err, want)
	}
	results := collected(t, folder)
	if want := []string{stateFinished, stateUnfinished, stateMissing, stateMissing}; !slices.Equal(states(results), want) {
		t.Fatalf("%q, want %q", states(results), want)
	}
	out, _ := succeed(t, "sweep", "collect", folder)
	for _, want := range []string{"1 of 4 searches are finished", "continue with: search sweep resume " + folder, stateMissing} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}

	// The third was killed before it had a checkpoint.
	third := filepath.Join(folder, sweepNames[2])
	if err := os.Mkdir(third, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(third, rundir.OriginFile), "kind: ")
	first, err := os.Stat(filepath.Join(folder, sweepNames[0], rundir.ArchitectureFile))
	if err != nil {
		t.Fatal(err)
	}
	out, _ = succeed(t, args...) // the same command again
	if n := strings.Count(out, rundir.ArchitectureFile+": "); n != 3 {
		t.Errorf("%d searches were run, want the three that were not finished:\n%s", n, out)
	}
	if again, err := os.Stat(filepath.Join(folder, sweepNames[0], rundir.ArchitectureFile)); err != nil || !again.ModTime().Equal(first.ModTime()) {
		t.Errorf("the finished search was run again: %v", err)
	}

	// Each is the search that search run makes.
	for i, table := range []string{f.table, filepath.Join(filepath.Dir(f.table), "other.lut.json")} {
		alone := filepath.Join(t.TempDir(), "run")
		succeed(t, f.with(table).args(alone, "--epochs", "1", "--architecture-epoch", "0", "--target-latency", "0.3ms", "--seed", "2")...)
		same(t, sweepNames[2*i+1], outcome(t, filepath.Join(folder, sweepNames[2*i+1])), outcome(t, alone))
	}
	for i, r := range collected(t, folder) {
		if r.Run != i || r.Name != sweepNames[i] || r.TargetMS != 0.3 || r.State != stateFinished || r.Epochs != 1 || r.Predicted == nil || r.Predicted.LatencyMS > 0.3 ||
			r.ExpectedMS == nil || r.HeldOutAccuracy == nil {
			t.Errorf("search %d: %+v", i, r)
		}
	}
	out, _ = succeed(t, "sweep", "collect", folder, "--format", "csv")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 5 || !strings.HasPrefix(lines[0], "run,device,target_ms,seed,state,") || !strings.HasPrefix(lines[4], "3,other,0.3,2,finished,1,") {
		t.Errorf("as CSV:\n%s", out)
	}
	if out, _ := succeed(t, "sweep", "resume", folder); out != "" {
		t.Errorf("a finished sweep printed %q", out)
	}
	refused(t, f.sweepArgs(t, folder, "--seeds", "3"), folder+" holds another sweep", "search sweep resume "+folder)
	refused(t, []string{"sweep", "resume", folder, "--run", "4"}, "--run is 4", "searches 0 to 3")
}

func TestFailedSearchDoesNotKeepOthersFromRunning(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "sweep")
	args := f.sweepArgs(t, folder)
	var errs bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, args, io.Discard, &errs); exit.Code(err) != exit.CodeInterrupted {
		t.Fatal(err)
	}
	// A file stands where the folder of the first should be, and the other table is measured again before its turn.
	write(t, filepath.Join(folder, sweepNames[0]), "")
	g := f
	g.table = filepath.Join(filepath.Dir(f.table), "other.lut.json")
	writeTable(t, g, nil)
	err := run(context.Background(), []string{"sweep", "resume", folder}, io.Discard, &errs)
	if err == nil || !strings.Contains(err.Error(), "3 of 4 searches failed") || !strings.Contains(err.Error(), sweepNames[0]) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(errs.String(), "search 4 of 4 failed: "+sweepNames[3]) || !strings.Contains(errs.String(), "is not the table that the sweep was planned with") {
		t.Errorf("printed was\n%s", errs.String())
	}
	if want := []string{stateMissing, stateFinished, stateMissing, stateMissing}; !slices.Equal(states(collected(t, folder)), want) {
		t.Errorf("%q", states(collected(t, folder)))
	}
}

func TestSweepRefuses(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "sweep")
	for _, c := range []struct{ more, messages []string }{
		{[]string{"--targets", "1us"}, []string{"below the fastest possible architecture"}},
		{[]string{"--targets", "-1ms"}, []string{"--targets has -1ms"}},
		{[]string{"--seeds", "0"}, []string{"--seeds is 0"}},
		{[]string{"--targets", "0.3ms"}, []string{"targets_ms has 0.3 twice", "--targets"}},
		{[]string{"--lut", f.table}, []string{"tables has", "twice"}},
		{[]string{"--lut", f.table + ".none"}, []string{f.table + ".none"}},
		{[]string{"--image", "densenas:2"}, []string{"--image is for a cluster", "--kubernetes"}},
		{[]string{"--epochs", "0"}, []string{"epochs is 0"}},
	} {
		refused(t, f.sweepArgs(t, folder, c.more...), c.messages...)
		if _, err := os.Stat(folder); err == nil {
			t.Fatalf("%q left a folder", c.more)
		}
	}
	refused(t, []string{"sweep", "--space", "tiny", "-o", folder}, "no targets", "--targets 10ms")
	refused(t, []string{"sweep", "collect", filepath.Dir(folder)}, "is not the folder of a sweep")
	busy := t.TempDir()
	write(t, filepath.Join(busy, "thesis"), "")
	refused(t, f.sweepArgs(t, busy), "is not empty")
}
