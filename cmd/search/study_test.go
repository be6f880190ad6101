package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/study"
	"densenas/supernet/space"
)

// studyFiles are those of a study that takes seconds: a search in each of two spaces, two random networks, and MobileNetV2 of its smallest width.
func studyFiles(t *testing.T) (f small, config string) {
	t.Helper()
	f = smallFiles(t)
	root := filepath.Dir(f.space)
	fixed := filepath.Join(root, "fixed.yaml")
	write(t, fixed, strings.Replace(strings.Replace(smallSpace, "name: small", "name: fixed", 1), "forward: 2", "forward: 1", 1))
	writeTable(t, f, func(table *lut.Table) {
		known := map[string]bool{}
		for _, e := range table.Entries {
			known[e.Key] = true
		}
		for _, c := range space.MobileNetV2Halving(0.05, 8, 3, 2).Counts() {
			if !known[c.Op.Key()] {
				table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.01})
			}
		}
	})
	config = filepath.Join(root, "study.yaml")
	write(t, config, `kind: densenas.study.config
schema_version: 1
band: 0.5
searched: {search_seeds: [2], training_seeds: [1]}
random: {networks: 2, seed: 1, training_seeds: [1]}
fixed: {space: `+fixed+`, search_seeds: [1], training_seeds: [1]}
mobilenet_v2: {halvings: 2, training_seeds: [1]}
training: {epochs: 1, batch: 8, rate: 0.05}
ranking: {resamples: 100}
search:
  kind: densenas.config
  schema_version: 1
  space: `+f.space+`
  data: `+f.data+`
  backend: go
  batch: 8
  epochs: 2
  architecture_epoch: 1
  rate: 0.05
  architecture_rate: 0.05
  held_out_share: 0.4
  target_latency_ms: 0.4
  lut: {path: `+f.table+`}
`)
	return f, config
}

// studyParts are all parts of a study of a folder but the test.
func studyParts(t *testing.T, folder string) []study.Part {
	t.Helper()
	c, err := study.Read(folder)
	if err != nil {
		t.Error(err)
		return nil
	}
	parts := study.Parts(c.Networks())
	return parts[:len(parts)-1]
}

// A study that is stopped in a search and in a training comes to the same as one that two processes share, and none looks at the test images
// before everything else is finished.
func TestStudyGoesOnAndIsShared(t *testing.T) {
	_, config := studyFiles(t)
	alone, shared := filepath.Join(t.TempDir(), "alone"), filepath.Join(t.TempDir(), "shared")

	// studied runs the study and calls seen with all that it wrote so far.
	studied := func(ctx context.Context, folder string, seen func(text string), args ...string) error {
		var printed bytes.Buffer
		tested := false
		return run(ctx, append([]string{"study", "-o", folder}, args...), io.Discard, writerFunc(func(p []byte) (int, error) {
			n, err := printed.Write(p)
			if text := printed.String(); !tested && strings.Contains(text, ": test") {
				tested = true
				for _, part := range studyParts(t, folder) {
					if r, err := study.ReadResult(folder, part.Name); r == nil || err != nil {
						t.Errorf("the test begins although %s is not finished, %v", part.Name, err)
					}
				}
			}
			seen(printed.String())
			return n, err
		}))
	}
	for _, stop := range []struct{ part, at string }{{"search-fixed-1", "backend: go"}, {"train-random-2-seed1", "training "}} {
		ctx, cancel := context.WithCancel(context.Background())
		args := []string{config}
		if _, err := os.Stat(alone); err == nil {
			args = nil // the folder knows
		}
		err := studied(ctx, alone, func(text string) {
			if _, behind, begun := strings.Cut(text, ": "+stop.part); begun && strings.Contains(behind, stop.at) {
				cancel()
			}
		}, args...)
		cancel()
		if want := "interrupted; continue with: search study -o " + alone; exit.Code(err) != exit.CodeInterrupted || err.Error() != want {
			t.Fatalf("stopped in %s: %v, want %q", stop.part, err, want)
		}
		if r, err := study.ReadResult(alone, stop.part); r != nil || err != nil {
			t.Fatalf("%s is finished, %v", stop.part, err)
		}
	}
	first, err := os.Stat(filepath.Join(study.PartFolder(alone, "search-searched-2"), study.ResultFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := studied(context.Background(), alone, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(filepath.Join(study.PartFolder(alone, "search-searched-2"), study.ResultFile)); err != nil || !again.ModTime().Equal(first.ModTime()) {
		t.Errorf("a finished part was done again: %v", err)
	}

	if runtime.GOOS != "windows" { // locks are for whoever has them
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				if err := studied(context.Background(), shared, func(string) {}, config); err != nil {
					t.Errorf("together: %v", err)
				}
			})
		}
		wait.Wait()
		if a, b := read(t, alone, study.ResultsFile), read(t, shared, study.ResultsFile); a != b {
			t.Errorf("stopped and gone on:\n%s\ntogether:\n%s", a, b)
		}
	}

	// What it found is complete.
	r, err := study.ReadResults(filepath.Join(alone, study.ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Absent) > 0 || len(r.Networks) != 5 || r.Space != "small" || r.TargetMS != 0.4 || r.LowMS != 0.2 {
		t.Errorf("%+v", r)
	}
	for _, n := range r.Networks {
		inSpace := n.Group == study.GroupSearched || n.Group == study.GroupRandom
		if len(n.Trainings) != 1 || n.LatencyMS > r.TargetMS || (n.Inside != nil) != inSpace {
			t.Errorf("%+v", n)
		}
	}
	for _, part := range studyParts(t, alone) {
		if left, _ := filepath.Glob(filepath.Join(study.PartFolder(alone, part.Name), "checkpoint*")); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	}
	if out, _ := succeed(t, "study", "-o", alone); !strings.Contains(out, "gain over random") {
		t.Errorf("printed\n%s", out)
	}
	if plot := read(t, alone, study.PlotFile); !strings.HasPrefix(plot, "<svg") {
		t.Errorf("plot %.100s", plot)
	}

	// Another study is not continued.
	refused(t, []string{"study", config, "--target-latency", "0.39ms", "-o", alone}, "holds another study", "search.target_latency_ms (0.4 and 0.39)", "search study -o "+alone)
}

func TestStudyRefuses(t *testing.T) {
	f, config := studyFiles(t)
	folder, other := filepath.Join(t.TempDir(), "study"), t.TempDir()
	write(t, filepath.Join(other, "letter.txt"), "dear")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{config}, "give -o FOLDER"},
		{[]string{"-o", folder}, "is not the folder of a study"},
		{[]string{"-o", folder, "--lut", f.table}, "are for a new study"},
		{[]string{config, "-o", folder, "--target-latency", "-1ms"}, "--target-latency is -1ms"},
		{[]string{config, "-o", folder, "--target-latency", "1ns"}, "the target of 1e-06 ms is below the fastest"},
		{[]string{config, "-o", filepath.Join(f.data, "study")}, "lies in the folder of the images"},
		{[]string{config, "-o", other}, "is not empty and holds no study"},
		{[]string{f.config, "-o", folder}, "is of kind"},
		{[]string{config, "-o", folder, "--lut", filepath.Join(folder, "no.lut.json")}, "no.lut.json"},
	} {
		refused(t, append([]string{"study"}, c.args...), c.want)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("a folder is left behind")
	}
}
