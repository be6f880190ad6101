package search

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
	"densenas/internal/safetensors"
	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet/lowering"
)

func smallTraining() TrainOptions {
	return TrainOptions{Epochs: 3, Batch: 4, Seed: 1, Rate: 0.1, Momentum: 0.9, WeightDecay: 1e-4, LabelSmoothing: 0.1, Mixup: 0.4, Identity: Identity{Data: "pictures"}}
}

// trained is what a training comes to.
type trained struct {
	Weights *weights.Trained
	Sums    Sums
	Losses  []float64 // of the steps, without those that were lost
}

// A stop is behind a step, counted from 1 in the whole training: by an interrupt, or by a death that saves nothing.
type stop struct {
	step int
	kill bool
}

var errKilled = errors.New("killed")

// stopping trains on data and stops at each of the given stops; then it is begun again in another trainer. The last time it goes to its end.
func stopping(t *testing.T, b backends.Backend, data *dataset.Dataset, stops []stop) trained {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.safetensors")
	var out trained
	for run := range len(stops) + 1 {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		o := smallTraining()
		o.Checkpoint = path
		o.Lowerings = lowering.New(b.Backend, lowering.Options{Device: "test", Batch: o.Batch, Training: true})
		chosen := "taps"
		if _, err := os.Stat(path); err == nil {
			chosen = "grouped" // what was chosen by timing may turn out otherwise: it must come from the checkpoint
		}
		o.Lowerings.Preset(map[string]string{"stem_k3_i1_o4_s2_r8": chosen, "depthwise_k3_c4_s1_r4": chosen})
		o.Progress = func(step, total int, loss float64) {
			out.Losses = append(out.Losses[:step-1:step-1], loss)
			if run == len(stops) || step != stops[run].step {
				return
			}
			if stops[run].kill {
				panic(errKilled)
			}
			cancel()
		}
		w, sums, err := func() (w *weights.Trained, sums Sums, err error) {
			defer func() {
				if r := recover(); r != nil {
					err = r.(error)
				}
			}()
			return Train(ctx, b.Backend, smallNetwork(t, 2), data, o)
		}()
		if run < len(stops) {
			if want := map[bool]error{false: context.Canceled, true: errKilled}[stops[run].kill]; !errors.Is(err, want) {
				t.Fatalf("stopped at step %d: %v, want %v", stops[run].step, err, want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out.Weights, out.Sums = w, sums
	}
	return out
}

// A training that stops anywhere, or is killed, and goes on, ends bit for bit as one that did not stop, on every runtime.
func TestResumedTrainingEqualsUninterrupted(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		data := pictures(t, 7) // 14 images: 3 batches of 4, 9 steps
		want := stopping(t, b, data, nil)
		if len(want.Losses) != 9 || want.Sums.Steps != 3 || want.Sums.Images != 12 {
			t.Fatalf("%d steps, the last epoch has %+v", len(want.Losses), want.Sums)
		}
		r := rand.New(rand.NewPCG(7, 7))
		random := 1 + r.IntN(8)
		cases := map[string][]stop{
			"in an epoch, and killed in the next":     {{step: 2}, {step: 5, kill: true}},
			"behind the last step of an epoch":        {{step: 3}},
			"behind the last step":                    {{step: 9}},
			"at random steps":                         {{step: random}, {step: random + 1 + r.IntN(9-random)}},
			"killed in the first epoch":               {{step: 2, kill: true}},
			"killed in the second and the last epoch": {{step: 5, kill: true}, {step: 8, kill: true}},
		}
		if b.Name == backends.XLA { // compiling is what takes the time there
			cases = map[string][]stop{"at a random step, and killed in the last epoch": {{step: 1 + r.IntN(6)}, {step: 8, kill: true}}}
		}
		for what, stops := range cases {
			if diff := cmp.Diff(want, stopping(t, b, data, stops)); diff != "" {
				t.Errorf("stopped %s (-whole +resumed):\n%.2000s", what, diff)
			}
		}
	})
}

// killedEnvironment has the checkpoint of a training that a test runs in a process of its own.
const killedEnvironment = "DENSENAS_TEST_KILLED"

// killedAt is the step that the process is killed behind: the second of the second epoch.
const killedAt = 5

// TestKilledTraining is no test: it is the process of a training, which ends as if by the power.
func TestKilledTraining(t *testing.T) {
	path := os.Getenv(killedEnvironment)
	if path == "" {
		t.Skip("only TestTrainingGoesOnBehindAKill runs this, in a process of its own")
	}
	o := smallTraining()
	o.Checkpoint = path
	o.Progress = func(step, _ int, _ float64) {
		if step < killedAt {
			return
		}
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			panic(err)
		}
		select {} // until the signal arrives
	}
	_, _, err := Train(context.Background(), backendstest.Go(t).Backend, smallNetwork(t, 2), pictures(t, 7), o)
	t.Fatalf("the training came to its end: %v", err)
}

// A training whose process is killed goes on from the checkpoint of the last whole epoch, and ends bit for bit as one that was not.
func TestTrainingGoesOnBehindAKill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal kills there")
	}
	b, data := backendstest.Go(t), pictures(t, 7)
	o := smallTraining()
	want, wantSums, err := Train(context.Background(), b.Backend, smallNetwork(t, 2), data, o)
	if err != nil {
		t.Fatal(err)
	}
	o.Checkpoint = filepath.Join(t.TempDir(), "c.safetensors")
	c := exec.Command(os.Args[0], "-test.run=^TestKilledTraining$")
	c.Env = append(os.Environ(), killedEnvironment+"="+o.Checkpoint)
	if out, err := c.CombinedOutput(); err == nil || strings.Contains(string(out), "FAIL") {
		t.Fatalf("%v\n%s", err, out)
	}
	first := 0
	o.Progress = func(step, _ int, _ float64) {
		if first == 0 {
			first = step
		}
	}
	got, sums, err := Train(context.Background(), b.Backend, smallNetwork(t, 2), data, o)
	if err != nil {
		t.Fatal(err)
	}
	if first != 4 { // of 9 in three epochs
		t.Errorf("it goes on with step %d", first)
	}
	if diff := cmp.Diff(want, got) + cmp.Diff(wantSums, sums); diff != "" {
		t.Errorf("(-whole +killed):\n%.2000s", diff)
	}
}

// Everything that decides what is trained is in the identity of a checkpoint, and what differs is said.
func TestTrainingOfAnotherCheckpointIsRefused(t *testing.T) {
	b, data := backendstest.Go(t), pictures(t, 4)
	path := filepath.Join(t.TempDir(), "c.safetensors")
	train := func(change func(o *TrainOptions)) error {
		o := smallTraining()
		o.Checkpoint, o.Epochs = path, 1
		change(&o)
		_, _, err := Train(context.Background(), b.Backend, smallNetwork(t, 2), data, o)
		return err
	}
	if err := train(func(*TrainOptions) {}); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(o *TrainOptions){
		`configuration ("Epochs:1 `:         func(o *TrainOptions) { o.Epochs = 2 },
		`configuration ("Batch:4 `:          func(o *TrainOptions) { o.Batch = 3 },
		`configuration ("Seed:1 `:           func(o *TrainOptions) { o.Seed = 2 },
		`configuration ("Rate:0.1 `:         func(o *TrainOptions) { o.Rate = 0.2 },
		`configuration ("Momentum:0.9 `:     func(o *TrainOptions) { o.Momentum = 0.8 },
		`configuration ("WeightDecay:`:      func(o *TrainOptions) { o.WeightDecay = 0 },
		`configuration ("LabelSmoothing:`:   func(o *TrainOptions) { o.LabelSmoothing = 0 },
		`configuration ("Mixup:0.4`:         func(o *TrainOptions) { o.Mixup = 0 },
		`data ("pictures" there, "others" `: func(o *TrainOptions) { o.Identity.Data = "others" },
		`runtime ("" there, "go v1" here)`:  func(o *TrainOptions) { o.Identity.Runtime = "go v1" },
	} {
		err := train(change)
		if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "remove it to train from the start") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	o := smallTraining()
	o.Checkpoint, o.Epochs = path, 1
	other := smallNetwork(t, 2)
	other.Layers[1].Op.Kernel = 5
	if _, _, err := Train(context.Background(), b.Backend, other, data, o); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "architecture (") {
		t.Errorf("another architecture: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("a refused training changed the checkpoint; %v", err)
	}
	if _, _, err := Train(context.Background(), b.Backend, smallNetwork(t, 3), data, o); err == nil {
		t.Error("an architecture of other classes was trained")
	}
}

// A checkpoint that cannot be written, on a full disk for example, leaves the last one.
func TestTrainingThatCannotSave(t *testing.T) {
	b, data := backendstest.Go(t), pictures(t, 4)
	o := smallTraining()
	o.Checkpoint = filepath.Join(t.TempDir(), "none", "c.safetensors")
	if _, _, err := Train(context.Background(), b.Backend, smallNetwork(t, 2), data, o); err == nil || !strings.HasPrefix(err.Error(), o.Checkpoint) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Train(ctx, b.Backend, smallNetwork(t, 2), data, o); err == nil || !strings.HasPrefix(err.Error(), "interrupted, and not saved: "+o.Checkpoint) {
		t.Errorf("%v", err)
	}
}

// The larger of two shares is drawn from a beta distribution: its mean and mean square are those that numerical integration gives.
func TestMixedShare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	for _, alpha := range []float64{0.01, 0.2, 0.5, 1} {
		const n = 40000
		var sum, squares float64
		for range n {
			v := mixedShare(r, alpha)
			if !(v >= 0.5 && v <= 1) {
				t.Fatalf("a share of %g", v)
			}
			sum, squares = sum+v, squares+v*v
		}
		// Over u = x^alpha of the smaller share x the density has no pole.
		var weight, mean, square float64
		const cells = 200000
		for i := range cells {
			x := math.Pow((float64(i)+0.5)/cells*math.Pow(0.5, alpha), 1/alpha)
			density := math.Pow(1-x, alpha-1)
			weight, mean, square = weight+density, mean+density*(1-x), square+density*(1-x)*(1-x)
		}
		mean, square = mean/weight, square/weight
		if got := sum / n; math.Abs(got-mean) > 5*math.Sqrt((square-mean*mean)/n) {
			t.Errorf("alpha %g: mean share %g, want %g", alpha, got, mean)
		}
		if got := squares / n; math.Abs(got-square) > 5*math.Sqrt((square-mean*mean)*4/n) {
			t.Errorf("alpha %g: mean square %g, want %g", alpha, got, square)
		}
	}
}

// FuzzParseTrainCheckpoint changes the state of a checkpoint whose checksum is right.
func FuzzParseTrainCheckpoint(f *testing.F) {
	path := filepath.Join(f.TempDir(), "c.safetensors")
	seed := &TrainCheckpoint{Identity: testIdentity, State: TrainState{Epoch: 1, Step: 2, Running: Sums{1, 2, 3, 4.5}}, Lowerings: map[string]string{"depthwise_k3_c12_s1_r8": "taps"}}
	if err := seed.Write(path); err != nil {
		f.Fatal(err)
	}
	file, err := safetensors.Read(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("densenas.training", "1", file.Metadata["state"])
	f.Add("densenas.training", "1", strings.Replace(file.Metadata["state"], `"step":2`, `"step":-2`, 1))
	f.Add("densenas.checkpoint", "1", "{}")
	f.Fuzz(func(t *testing.T, kind, version, state string) {
		c, err := parseTrainCheckpoint("c", safetensors.File{Metadata: map[string]string{"kind": kind, "schema_version": version, "state": state}})
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput {
				t.Fatalf("code %d: %v", exit.Code(err), err)
			}
			return
		}
		path := filepath.Join(t.TempDir(), "c.safetensors")
		if err := c.Write(path); err != nil {
			t.Fatal(err)
		}
		again, err := ReadTrainCheckpoint(path, c.Identity)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("(-read +written and read):\n%s", diff)
		}
	})
}

// A training that holds out does not see the held-out images, and is not continued by one that does.
func TestHeldOutImagesAreNotTrainedOn(t *testing.T) {
	b, data := backendstest.Go(t), pictures(t, 8) // 12 images to train on, 4 held out
	path := filepath.Join(t.TempDir(), "c.safetensors")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := smallTraining()
	o.HoldOut, o.Epochs, o.Checkpoint = true, 1, path
	o.Progress = func(step, total int, _ float64) {
		if total != data.Count(dataset.Train)/o.Batch {
			t.Errorf("%d steps", total)
		}
		cancel()
	}
	if _, _, err := Train(ctx, b.Backend, smallNetwork(t, 2), data, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	other := o
	other.HoldOut, other.Progress = false, nil
	if _, _, err := Train(context.Background(), b.Backend, smallNetwork(t, 2), data, other); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("continued with the held-out images: %v", err)
	}
	o.Progress = nil
	_, sums, err := Train(context.Background(), b.Backend, smallNetwork(t, 2), data, o)
	if err != nil || sums.Images != data.Count(dataset.Train) {
		t.Errorf("an epoch had %d images of %d, %v", sums.Images, data.Count(dataset.Train), err)
	}
}
