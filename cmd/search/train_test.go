package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/search/rundir"
	"densenas/search/weights"
	"densenas/supernet/space"
)

func TestTrainWhatARunDerived(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	succeed(t, f.args(folder, "--epochs", "2")...)
	arch, path := filepath.Join(folder, rundir.ArchitectureFile), filepath.Join(t.TempDir(), "w.safetensors")
	args := []string{"train", "--arch", arch, "--data", f.data, "--epochs", "20", "--batch", "8", "--rate", "0.1", "--backend", "go", "--format", "json"}
	stdout, _ := succeed(t, append(args, "-o", path)...)
	var result trainResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%s: %v", stdout, err)
	}
	// 5 of the 24 images of a class are for the test, which is no multiple of the batch.
	if result.TestImages != 15 || result.TestAccuracy < 0.9 || result.TrainAccuracy < 0.9 || !(result.TestLoss < 0.5) {
		t.Errorf("trained on three colours: %+v", result)
	}
	if again, _ := succeed(t, args...); again != stdout {
		t.Errorf("the same seed gives %s, then %s", stdout, again)
	}

	a, err := space.ReadArchitecture(arch)
	if err != nil {
		t.Fatal(err)
	}
	file, err := weights.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := file.Architecture.Ops(), a.Ops(); !slices.Equal(got, want) || !slices.Equal(file.Preprocessing.Classes, []string{"blue", "green", "red"}) {
		t.Errorf("the weights are of %v with the classes %v, want %v", got, file.Preprocessing.Classes, want)
	}

	text, _ := succeed(t, "train", "--arch", arch, "--data", f.data, "--epochs", "1", "--batch", "8", "--backend", "go")
	if !strings.Contains(text, "test") || !strings.Contains(text, "%") {
		t.Errorf("as a table:\n%s", text)
	}
}

func TestTrainRefuses(t *testing.T) {
	f := smallFiles(t)
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	path := []int{0, 2}
	out := s.Outgoing(0)[1]
	final := s.Outgoing(2)[0]
	a := s.Network(path, []space.Op{s.HeadOps(out)[0], s.FinalOp(final)}, [][]space.Op{{s.StackOps(2)[0]}})
	arch, weights := filepath.Join(t.TempDir(), "a.arch.json"), filepath.Join(t.TempDir(), "w.safetensors")
	if err := a.Write(arch); err != nil {
		t.Fatal(err)
	}
	good := []string{"train", "--arch", arch, "--data", f.data, "--backend", "go", "-o", weights, "--epochs", "1", "--batch", "8"}
	for _, c := range []struct {
		more     []string
		messages []string
	}{
		{[]string{"--arch", ""}, []string{"--arch FILE"}},
		{[]string{"--arch", f.table}, []string{f.table}},
		{[]string{"--arch", arch + ".none"}, []string{arch + ".none"}},
		{[]string{"--data", ""}, []string{"--data mnist"}},
		{[]string{"--data", f.data + ".none"}, []string{f.data + ".none"}},
		{[]string{"--batch", "1000"}, []string{"57 training images are fewer than a batch of 1000"}},
		{[]string{"--batch", "0"}, []string{"--batch is 0"}},
		{[]string{"--epochs", "0"}, []string{"--epochs is 0"}},
		{[]string{"--rate", "0"}, []string{"--rate is 0"}},
		{[]string{"--rate", "NaN"}, []string{"--rate is NaN"}},
		{[]string{"--weight-decay", "2"}, []string{"--weight-decay is 2"}},
		{[]string{"--label-smoothing", "1"}, []string{"--label-smoothing is 1"}},
		{[]string{"--resolution", "4"}, []string{"resolution 4"}},
		{[]string{"--backend", "tpu"}, []string{`unknown backend "tpu"`}},
		{[]string{"--format", "yaml"}, []string{"yaml", "search train --help"}},
		{[]string{"--output", filepath.Join(f.table, "w.safetensors")}, []string{f.table}},
		{[]string{"--output", f.data}, []string{f.data}},
		{[]string{"--output", arch}, []string{"would overwrite the input " + arch}},
	} {
		refused(t, append(good[:len(good):len(good)], c.more...), c.messages...)
		missing(t, weights)
	}
	write(t, filepath.Join(f.data, "red", "03.png"), "no image")
	refused(t, good, "red/03.png", "--skip-corrupt")
	missing(t, weights)
	_, stderr := succeed(t, append(good, "--skip-corrupt")...)
	if !strings.Contains(stderr, "1 corrupt images left out") {
		t.Errorf("standard error is %q", stderr)
	}
	if _, err := os.Stat(weights); err != nil {
		t.Error(err)
	}
}

func TestInterruptedTraining(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	succeed(t, f.args(folder, "--epochs", "1", "--architecture-epoch", "0")...)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := run(ctx, []string{"train", "--arch", filepath.Join(folder, rundir.ArchitectureFile), "--data", f.data, "--batch", "8", "--backend", "go"}, io.Discard,
		writerFunc(func(p []byte) (int, error) {
			if strings.Contains(string(p), "backend: ") {
				cancel()
			}
			return len(p), nil
		}))
	if exit.Code(err) != exit.CodeInterrupted || err.Error() != "interrupted" {
		t.Errorf("code %d, %v", exit.Code(err), err)
	}
}
