package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/search"
	"densenas/search/rundir"
	"densenas/search/weights"
	"densenas/supernet"
	"densenas/supernet/op"
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
	missing(t, filepath.Join(filepath.Dir(path), "w.checkpoint.safetensors"))
	// 5 of the 24 images of a class are for the test, which is no multiple of the batch.
	if result.TestImages != 15 || result.TestAccuracy < 0.9 || result.TrainAccuracy < 0.9 || !(result.TestLoss < 0.5) || !(result.TestLow > 0.6 && result.TestLow < result.TestAccuracy && result.TestHigh <= 1) {
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
		{[]string{"--epochs", "0"}, []string{"--epochs is 0", "--inherit"}},
		{[]string{"--epochs", "-1"}, []string{"--epochs is -1"}},
		{[]string{"--mixup", "1.5"}, []string{"--mixup is 1.5"}},
		{[]string{"--mixup", "NaN"}, []string{"--mixup is NaN"}},
		{[]string{"--inherit", f.data}, []string{f.data + " is not a run folder"}},
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
	// A rate with which a step throws the weights out of all numbers.
	diverging := append(good[:len(good):len(good)], "--rate", "1000", "--weight-decay", "1", "--epochs", "40")
	err = run(context.Background(), diverging, io.Discard, io.Discard)
	if exit.Code(err) != exit.CodeFailure {
		t.Fatalf("code %d, %v", exit.Code(err), err)
	}
	for _, word := range []string{"/running is no number before epoch ", "; it came up in ", " at layer", "; lower --rate, which is 1000"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
	missing(t, weights)
	if err := os.Remove(strings.TrimSuffix(weights, ".safetensors") + ".checkpoint.safetensors"); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	// Another training into the same file.
	if runtime.GOOS != "windows" { // where there is no lock
		another(t, good, strings.TrimSuffix(weights, ".safetensors")+".checkpoint.safetensors")
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

// another holds a training's checkpoint, as another training does.
func another(t *testing.T, args []string, checkpoint string) {
	t.Helper()
	lock, err := rundir.AcquireFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	refused(t, args, filepath.Base(checkpoint)+" is being written by another process")
}

// stopAt runs the program and interrupts it when it says a word on standard error.
func stopAt(args []string, word string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	return run(ctx, args, io.Discard, writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), word) {
			cancel()
		}
		return len(p), nil
	}))
}

func TestInterruptedTraining(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	succeed(t, f.args(folder, "--epochs", "1", "--architecture-epoch", "0")...)
	args := []string{"train", "--arch", filepath.Join(folder, rundir.ArchitectureFile), "--data", f.data, "--epochs", "4", "--batch", "8", "--backend", "go", "--mixup", "0.2", "--skip-corrupt"}
	err := stopAt(args, "backend: ")
	if exit.Code(err) != exit.CodeInterrupted || err.Error() != "interrupted; nothing is saved without -o FILE" {
		t.Errorf("code %d, %v", exit.Code(err), err)
	}
	into := func(path string) []string { return append(args[:len(args):len(args)], "-o", path) }
	whole, path := filepath.Join(t.TempDir(), "w.safetensors"), filepath.Join(t.TempDir(), "w.safetensors")
	succeed(t, into(whole)...)

	err = stopAt(into(path), "data: ")
	if exit.Code(err) != exit.CodeInterrupted || !strings.Contains(err.Error(), "before the first step: nothing was saved; start again with the same command") {
		// Or later, where the backend is quick to open.
		if !strings.Contains(err.Error(), "continue with: ") {
			t.Errorf("code %d, %v", exit.Code(err), err)
		}
	}
	err = stopAt(into(path), "backend: ")
	_, line, ok := strings.Cut(err.Error(), "interrupted; continue with: search ")
	if exit.Code(err) != exit.CodeInterrupted || !ok {
		t.Fatalf("code %d, %v", exit.Code(err), err)
	}
	missing(t, path)
	checkpoint := filepath.Join(filepath.Dir(path), "w.checkpoint.safetensors")
	before := read(t, checkpoint)
	again := strings.Fields(line)
	refused(t, append(again, "--rate", "0.2"), checkpoint, "differs in configuration (", "remove it to train from the start")
	refused(t, append(again, "--limit", "40"), checkpoint, "differs in configuration (")
	if read(t, checkpoint) != before {
		t.Error("a refused training changed the checkpoint")
	}
	_, stderr := succeed(t, again...)
	if !strings.Contains(stderr, "continuing from "+checkpoint) {
		t.Errorf("standard error is %q", stderr)
	}
	if read(t, path) != read(t, whole) {
		t.Error("the weights are not those of a training that was not interrupted")
	}
	missing(t, checkpoint)
}

func TestTrainInherits(t *testing.T) {
	f := smallFiles(t)
	folder, path := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "w.safetensors")
	succeed(t, f.args(folder, "--epochs", "12", "--architecture-epoch", "10")...)
	arch := filepath.Join(folder, rundir.ArchitectureFile)
	train := func(more ...string) (trainResult, string) {
		t.Helper()
		stdout, stderr := succeed(t, append([]string{"train", "--arch", arch, "--data", f.data, "--batch", "8", "--backend", "go", "--format", "json", "--inherit", folder, "-o", path}, more...)...)
		var result trainResult
		if err := json.Unmarshal([]byte(stdout), &result); err != nil {
			t.Fatal(err)
		}
		return result, stderr
	}
	// As they are, the weights of the super network answer better than by chance, which is a third.
	result, stderr := train("--epochs", "0")
	if result.TestLow <= 1.0/3 || result.TestImages != 15 {
		t.Errorf("inherited, not trained: %+v", result)
	}
	inherited, err := weights.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range inherited.Architecture.Layers {
		if l.Op.Kind != space.Skip {
			n++
		}
	}
	if want := fmt.Sprintf("%d of %d layers begin with the weights of %s after 12 of 12 epochs", n, n, folder); !strings.Contains(stderr, want) {
		t.Errorf("standard error is %q, want %q", stderr, want)
	}
	c, err := search.ReadAnyCheckpoint(checkpointPath(folder))
	if err != nil {
		t.Fatal(err)
	}
	// Every tensor is one of the super network's, of the name that it has there, but for scales and offsets, which that has not.
	for i, o := range inherited.Architecture.Ops() {
		for k, p := range op.TrainingParameters(o, true) {
			got := inherited.Layers[i].Params[k]
			same := func(t supernet.NamedTensor) bool {
				return strings.HasSuffix(t.Name, "/"+p.Name) && slices.Equal(t.Data, got) && (o.Kind != space.MBConv || i == 1 || strings.Contains(t.Name, fmt.Sprintf("mbconv_k%d_t%d", o.Kernel, o.Expansion)))
			}
			switch normed := strings.HasSuffix(p.Name, ".scale") || strings.HasSuffix(p.Name, ".offset"); {
			case normed && slices.ContainsFunc(got, func(v float32) bool { return float64(v) != p.Value }):
				t.Errorf("layer %d: %s is not %g", i, p.Name, p.Value)
			case !normed && !slices.ContainsFunc(c.Tensors, same):
				t.Errorf("layer %d: %s is none of the super network's", i, p.Name)
			}
		}
	}
	// A short training from there is ahead of one from scratch.
	short, _ := train("--epochs", "1", "--augmentation", "none")
	stdout, _ := succeed(t, "train", "--arch", arch, "--data", f.data, "--batch", "8", "--backend", "go", "--format", "json", "--epochs", "1", "--augmentation", "none")
	var scratch trainResult
	if err := json.Unmarshal([]byte(stdout), &scratch); err != nil {
		t.Fatal(err)
	}
	if short.TrainLoss >= scratch.TrainLoss {
		t.Errorf("in the first epoch the loss is %g from inherited weights, %g from drawn ones", short.TrainLoss, scratch.TrainLoss)
	}

	// What is trained from one run is not continued from another.
	err = stopAt([]string{"train", "--arch", arch, "--data", f.data, "--batch", "8", "--backend", "go", "--inherit", folder, "-o", path}, "backend: ")
	if exit.Code(err) != exit.CodeInterrupted {
		t.Fatal(err)
	}
	refused(t, []string{"train", "--arch", arch, "--data", f.data, "--batch", "8", "--backend", "go", "-o", path}, "w.checkpoint.safetensors", `Inherited:`)
	other := filepath.Join(t.TempDir(), "other.arch.json")
	succeed(t, "reference", "mobilenetv2", "--width", "0.5", "--resolution", "32", "--classes", "3", "-o", other)
	refused(t, []string{"train", "--arch", other, "--data", f.data, "--batch", "8", "--backend", "go", "--inherit", folder}, "--inherit "+folder, `comes out of space ""`)
	text := read(t, f.space)
	write(t, f.space, strings.Replace(text, "width: 16", "width: 12", 1))
	refused(t, []string{"train", "--arch", arch, "--data", f.data, "--batch", "8", "--backend", "go", "--inherit", folder}, "has changed since that run")
}
