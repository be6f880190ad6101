package main

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/exit"
	"densenas/internal/tensorboard/tensorboardtest"
	"densenas/search/rundir"
	"densenas/supernet"
)

// A search whose weights stop to be numbers ends with an error that names epoch, step and operation, and keeps the last good checkpoint.
func TestDivergedSearchNamesTheOperation(t *testing.T) {
	t.Run("within an epoch", func(t *testing.T) {
		diverge(t, smallWeightSteps+smallArchitectureSteps+2, "the loss is NaN at epoch 1, weight step 2")
	})
	// What the last step of an epoch left is not saved, though its loss was a number.
	t.Run("at the end of an epoch", func(t *testing.T) {
		diverge(t, 2*smallWeightSteps+smallArchitectureSteps, " is no number before epoch 2, architecture step 0")
	})
}

// diverge poisons a search behind a step, and checks that it says so and keeps its last good checkpoint.
func diverge(t *testing.T, step int, what string) {
	t.Helper()
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	s := prepare(t, f.args(folder))
	defer s.close()
	var before string
	s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
		if n != step {
			return nil
		}
		before = read(t, checkpointPath(folder))
		state, err := s.network.State()
		if err != nil {
			return err
		}
		for _, tensor := range state {
			if strings.HasPrefix(tensor.Name, supernet.FirstPlace+"/") && !strings.HasSuffix(tensor.Name, "/running") {
				tensor.Data[0] = float32(math.Inf(1))
			}
		}
		return s.network.SetState(state)
	}}
	err := s.execute(context.Background(), folder, io.Discard)
	if err == nil || exit.Code(err) != exit.CodeFailure {
		t.Fatalf("code %d, %v", exit.Code(err), err)
	}
	for _, message := range []string{
		what, "it came up in mbconv_k3_t1_i4_o4_s1_r8 at first",
		"the last good checkpoint, of " + checkpointPath(folder) + ", is kept", "a lower rate in --config, now 0.05",
	} {
		if !strings.Contains(err.Error(), message) {
			t.Errorf("%q does not say %q", err, message)
		}
	}
	if strings.Contains(err.Error(), "resume") {
		t.Errorf("%q promises that it goes on", err)
	}
	if read(t, checkpointPath(folder)) != before {
		t.Error("the checkpoint is another")
	}
	missing(t, filepath.Join(folder, rundir.ArchitectureFile))
}

// TensorBoard shows what the records say, every epoch once, though the run stopped between an epoch's events and its checkpoint.
func TestTensorBoardShowsTheRecords(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	s := prepare(t, f.args(folder, "--tensorboard", "--objective", "latency,parameters", "--target-latency", "0.25ms", "--target-parameters", "1M"))
	checkpoints := filepath.Dir(checkpointPath(folder))
	s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
		if n == smallWeightSteps+2 {
			return os.Rename(checkpoints, checkpoints+".away")
		}
		return nil
	}}
	err := s.execute(context.Background(), folder, io.Discard)
	s.close()
	if exit.Code(err) != exit.CodeFailure {
		t.Fatalf("code %d, %v", exit.Code(err), err)
	}
	if err := os.Rename(checkpoints+".away", checkpoints); err != nil {
		t.Fatal(err)
	}
	succeed(t, "resume", folder)

	records, _, err := rundir.ReadRecords(folder)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][][2]float64{}
	for _, r := range records {
		add := func(tag string, value float64) {
			want[tag] = append(want[tag], [2]float64{float64(r.Epoch), float64(float32(value))})
		}
		add("loss/train", r.TrainLoss)
		add("accuracy/train", r.TrainAccuracy)
		add("speed/images per second", r.ImagesPerSecond)
		add("architecture/entropy alpha", r.EntropyAlpha)
		add("architecture/entropy beta", r.EntropyBeta)
		add("architecture/skip share", r.SkipShare)
		add("latency ms/expected", r.ExpectedLatencyMS)
		add("latency ms/target", r.TargetLatencyMS)
		add("latency ms/factor", r.Factor)
		add("parameters 2 millions/expected", r.Others[0].Expected)
		add("parameters 2 millions/target", r.Others[0].Target)
		add("parameters 2 millions/factor", r.Others[0].Factor)
		if r.HeldOutLoss != nil {
			add("loss/held out", *r.HeldOutLoss)
			add("accuracy/held out", *r.HeldOutAccuracy)
		}
	}
	if len(want["loss/train"]) != 3 || len(want["loss/held out"]) != 2 {
		t.Fatalf("%d records", len(records))
	}
	if diff := cmp.Diff(want, tensorboardtest.Scalars(t, filepath.Join(folder, rundir.TensorBoardFolder))); diff != "" {
		t.Errorf("(-records +TensorBoard):\n%s", diff)
	}
}
