package search

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"

	"github.com/gomlx/compute"

	"densenas/internal/exit"
	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet"
	"densenas/supernet/lowering"
	"densenas/supernet/network"
	"densenas/supernet/space"
)

// TrainOptions are those of training a network.
type TrainOptions struct {
	// HoldOut leaves the held-out share of the training images out.
	HoldOut bool
	// Epochs over the training images. 0 trains nothing: the network keeps the weights of Start.
	Epochs int
	// Batch is the number of images of a step.
	Batch int
	// Seed decides initial weights and mixtures; the order of the data and its augmentation follow the seed of the data.
	Seed uint64
	// Start are the weights to begin with, as of [network.Options].
	Start []network.Weights
	// Rate falls along a cosine to zero.
	Rate float64
	// Momentum and WeightDecay (coupled L2, of weights alone) of SGD.
	Momentum, WeightDecay float64
	// LabelSmoothing is the share of a label's weight that is spread over all classes.
	LabelSmoothing float64
	// Mixup is the parameter of the symmetric beta distribution that the share of an image in its mixture with another is drawn from at
	// every step, above 0, at most 1; 0: images are not mixed.
	Mixup float64
	// Lowerings, where set, chooses how operations are written.
	Lowerings *lowering.Chooser
	// Progress, where set, is called after every step.
	Progress func(step, steps int, loss float64)

	// Checkpoint is the file that all of the state is saved in, after every epoch and when the context ends, and that training
	// goes on from where it is there; empty: none. It is left there at the end.
	Checkpoint string
	// Identity names in the checkpoint what it is only good for; Train adds the architecture and these options.
	Identity Identity
}

// identity of the training of a.
func (o *TrainOptions) identity(a *space.Architecture) (Identity, error) {
	plain := *a
	plain.Predicted = nil
	text, err := json.Marshal(&plain)
	if err != nil {
		return Identity{}, err
	}
	sum := sha256.Sum256(text)
	id := o.Identity
	id.Architecture = hex.EncodeToString(sum[:])
	id.Config = fmt.Sprintf("HoldOut:%t Epochs:%d Batch:%d Seed:%d Rate:%g Momentum:%g WeightDecay:%g LabelSmoothing:%g Mixup:%g ",
		o.HoldOut, o.Epochs, o.Batch, o.Seed, o.Rate, o.Momentum, o.WeightDecay, o.LabelSmoothing, o.Mixup) + id.Config
	return id, nil
}

// normMomentum of batch norm's running statistics, as in the paper.
const normMomentum = 0.1

// Train trains a on data as one compiled graph. The architecture's resolution, channels and classes must be the data's. It returns the
// network and what the last epoch summed up to. When ctx ends it saves and returns ctx's error; called again, it goes on as if it
// had not stopped.
func Train(ctx context.Context, b compute.Backend, a *space.Architecture, data *dataset.Dataset, o TrainOptions) (*weights.Trained, Sums, error) {
	if err := fits(a, data); err != nil {
		return nil, Sums{}, err
	}
	settings := network.Options{
		Batch: o.Batch, Seed: o.Seed, Start: o.Start, Momentum: o.Momentum, WeightDecay: o.WeightDecay, NormMomentum: normMomentum,
		LabelSmoothing: o.LabelSmoothing, Mixup: o.Mixup > 0,
	}
	if o.Lowerings != nil {
		settings.Lowering = o.Lowerings.Choose
	}
	trainer, err := network.NewTrainer(b, a, settings)
	if err != nil {
		return nil, Sums{}, err
	}
	defer trainer.Finalize()
	t := &training{data: data, options: &o, trainer: trainer}
	if t.identity, err = o.identity(a); err != nil {
		return nil, Sums{}, err
	}
	if err := t.restore(); err != nil {
		return nil, Sums{}, err
	}
	if err := t.run(ctx); err != nil {
		return nil, Sums{}, err
	}
	layers, err := trainer.Weights()
	return &weights.Trained{Architecture: a, Preprocessing: data.Preprocessing(), Layers: layers}, t.state.Running, err
}

// fits refuses data that are not the architecture's.
func fits(a *space.Architecture, data *dataset.Dataset) error {
	if a.Resolution != data.Resolution || a.Channels != data.Channels || a.Classes != len(data.Classes) {
		return fmt.Errorf("the architecture takes %d×%d×%d images of %d classes, the data are %d×%d×%d of %d",
			a.Resolution, a.Resolution, a.Channels, a.Classes, data.Resolution, data.Resolution, data.Channels, len(data.Classes))
	}
	return nil
}

// training is a network in training.
type training struct {
	data     *dataset.Dataset
	options  *TrainOptions
	trainer  *network.Trainer
	identity Identity
	state    TrainState
}

// restore goes to where the checkpoint stands, if there is one.
func (t *training) restore() error {
	path := t.options.Checkpoint
	if _, err := os.Stat(path); path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c, err := ReadTrainCheckpoint(path, t.identity)
	if err != nil {
		return err
	}
	if err := t.trainer.SetState(c.Tensors); err != nil {
		return exit.BadInput("%s: %w; %s", path, err, trainAnew)
	}
	if t.state = c.State; t.state.Epoch > t.options.Epochs || t.state.Step > t.batches() {
		return exit.BadInput("%s: the position %d, %d is out of range; %s", path, t.state.Epoch, t.state.Step, trainAnew)
	}
	if t.options.Lowerings != nil {
		t.options.Lowerings.Preset(c.Lowerings)
	}
	return nil
}

// NotSaved is an error of writing a checkpoint, on a full disk for example. What was saved before is whole.
type NotSaved struct{ Err error }

func (e NotSaved) Error() string { return e.Err.Error() }
func (e NotSaved) Unwrap() error { return e.Err }

func (t *training) save() error {
	if t.options.Checkpoint == "" {
		return nil
	}
	tensors, err := t.trainer.State()
	if err != nil {
		return err
	}
	// A step may leave what only the next loss would show.
	if name := supernet.NonFiniteTensor(tensors); name != "" {
		return t.diverged(name + " is no number before")
	}
	c := TrainCheckpoint{Identity: t.identity, State: t.state, Tensors: tensors}
	if t.options.Lowerings != nil {
		c.Lowerings = t.options.Lowerings.Choices()
	}
	if err := c.Write(t.options.Checkpoint); err != nil {
		return NotSaved{err}
	}
	return nil
}

func (t *training) batchOptions() dataset.BatchOptions {
	return dataset.BatchOptions{Size: t.options.Batch, Shuffle: true, Augment: true, DropLast: true, Start: t.state.Step}
}

// part is what the network is trained on.
func (t *training) part() dataset.Part {
	if t.options.HoldOut {
		return dataset.Train
	}
	return dataset.TrainAll
}

// batches of an epoch.
func (t *training) batches() int { return t.data.BatchCount(t.part(), t.batchOptions()) }

func (t *training) run(ctx context.Context) error {
	for t.state.Epoch < t.options.Epochs {
		if t.state.Step == 0 {
			t.state.Running = Sums{}
		}
		err := overBatches(ctx, t.data, t.part(), t.state.Epoch, t.batchOptions(), t.step)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			if err := t.save(); err != nil {
				return fmt.Errorf("interrupted, and not saved: %w", err)
			}
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		t.state.Epoch, t.state.Step = t.state.Epoch+1, 0
		if err := t.save(); err != nil {
			return err
		}
	}
	return nil
}

func (t *training) step(batch supernet.Batch) error {
	o := t.options
	done, steps := t.state.Epoch*t.batches()+t.state.Step, o.Epochs*t.batches()
	rate := Options{Rate: o.Rate}.cosine(done, steps)
	share := 1.0
	if o.Mixup > 0 {
		share = mixedShare(rand.New(rand.NewPCG(o.Seed, uint64(done))), o.Mixup)
	}
	r, err := t.trainer.StepMixed(batch, rate, share)
	if err != nil {
		return err
	}
	if math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
		return t.diverged(fmt.Sprintf("the loss is %g at", r.Loss))
	}
	t.state.Running.add(r, batch.Valid)
	t.state.Step++
	if o.Progress != nil {
		o.Progress(done+1, steps, r.Loss)
	}
	return nil
}

// diverged is the error of numbers that are none: what is so, "at" the step at hand or "before" it. It is not saved: the last checkpoint stays.
func (t *training) diverged(what string) error {
	saved := ""
	path := t.options.Checkpoint
	if _, err := os.Stat(path); err == nil {
		saved = fmt.Sprintf(", and name another -o, or remove %s, which is of that rate", path)
	}
	return fmt.Errorf("%s epoch %d, step %d; %s; lower --rate, which is %g%s", what, t.state.Epoch, t.state.Step, WhereNonFinite(t.trainer), t.options.Rate, saved)
}

// mixedShare draws from the beta distribution of twice the parameter alpha, 0 to 1, by Jöhnk's method, and returns the larger share of the two.
func mixedShare(r *rand.Rand, alpha float64) float64 {
	for {
		// Powers of uniform numbers, by their logarithms: with a small alpha both may be too small for a float.
		x, y := math.Log(1-r.Float64())/alpha, math.Log(1-r.Float64())/alpha
		sum := max(x, y) + math.Log1p(math.Exp(-math.Abs(x-y)))
		if sum <= 0 {
			share := math.Exp(x - sum)
			return max(share, 1-share)
		}
	}
}

// overBatches calls f for every batch of a part.
func overBatches(ctx context.Context, data *dataset.Dataset, part dataset.Part, epoch int, o dataset.BatchOptions, f func(supernet.Batch) error) error {
	batches := data.Batches(ctx, part, epoch, o)
	defer batches.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := batches.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = f(supernet.Batch{Images: b.Images, Labels: b.Labels, Valid: b.Valid})
		b.Release()
		if err != nil {
			return err
		}
	}
}
