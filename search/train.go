package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/gomlx/compute"

	"densenas/search/dataset"
	"densenas/supernet"
	"densenas/supernet/network"
	"densenas/supernet/space"
)

// TrainOptions are those of training a network from scratch.
type TrainOptions struct {
	// Epochs over all training images, held-out share included.
	Epochs int
	// Batch is the number of images of a step.
	Batch int
	// Seed decides initial weights, the order of the data and its augmentation.
	Seed uint64
	// Rate falls along a cosine to zero.
	Rate float64
	// Momentum and WeightDecay (coupled L2, of weights alone) of SGD.
	Momentum, WeightDecay float64
	// LabelSmoothing is the share of a label's weight that is spread over all classes.
	LabelSmoothing float64
	// Lowering chooses how operations are written.
	Lowering network.Lowering
	// Progress, where set, is called after every step.
	Progress func(step, steps int, loss float64)
}

// normMomentum of batch norm's running statistics, as in the paper.
const normMomentum = 0.1

// Trained is what [Train] returns.
type Trained struct {
	// Train sums up the last epoch, Test the whole test part.
	Train, Test Sums
	// Weights of the layers, batch norm kept.
	Weights []network.Weights
}

// Train trains a on data from scratch as one compiled graph and evaluates it on the test images, the last and smaller
// batch included. The architecture's resolution, channels and classes must be the data's.
func Train(ctx context.Context, b compute.Backend, a *space.Architecture, data *dataset.Dataset, o TrainOptions) (*Trained, error) {
	if a.Resolution != data.Resolution || a.Channels != data.Channels || a.Classes != len(data.Classes) {
		return nil, fmt.Errorf("the architecture takes %d×%d×%d images of %d classes, the data are %d×%d×%d of %d",
			a.Resolution, a.Resolution, a.Channels, a.Classes, data.Resolution, data.Resolution, data.Channels, len(data.Classes))
	}
	t, err := network.NewTrainer(b, a, network.Options{
		Batch: o.Batch, Seed: o.Seed, Momentum: o.Momentum, WeightDecay: o.WeightDecay, NormMomentum: normMomentum,
		LabelSmoothing: o.LabelSmoothing, Lowering: o.Lowering,
	})
	if err != nil {
		return nil, err
	}
	defer t.Finalize()
	out := &Trained{}
	training := dataset.BatchOptions{Size: o.Batch, Shuffle: true, Augment: true, DropLast: true}
	steps, done := o.Epochs*data.BatchCount(dataset.TrainAll, training), 0
	for epoch := range o.Epochs {
		out.Train = Sums{}
		err := overBatches(ctx, data, dataset.TrainAll, epoch, training, func(batch supernet.Batch) error {
			rate := o.Rate * (1 + math.Cos(math.Pi*float64(done)/float64(steps))) / 2
			r, err := t.Step(batch, rate)
			if err != nil {
				return err
			}
			if math.IsNaN(r.Loss) || math.IsInf(r.Loss, 0) {
				return fmt.Errorf("the loss is %g at epoch %d: lower the learning rate", r.Loss, epoch)
			}
			out.Train.add(r, batch.Valid)
			done++
			if o.Progress != nil {
				o.Progress(done, steps, r.Loss)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if out.Weights, err = t.Weights(); err != nil {
		return nil, err
	}
	folded, err := network.Fold(a, out.Weights)
	if err != nil {
		return nil, err
	}
	out.Test, err = Evaluate(ctx, b, a, data, o.Batch, o.Lowering, folded)
	return out, err
}

// Evaluate runs a with folded parameters over all test images.
func Evaluate(ctx context.Context, b compute.Backend, a *space.Architecture, data *dataset.Dataset, batch int, l network.Lowering, folded [][][]float32) (Sums, error) {
	e, err := network.NewEvaluator(b, a, l, batch, folded)
	if err != nil {
		return Sums{}, err
	}
	defer e.Finalize()
	var sums Sums
	err = overBatches(ctx, data, dataset.Test, 0, dataset.BatchOptions{Size: batch}, func(batch supernet.Batch) error {
		r, err := e.Evaluate(batch)
		sums.add(r, batch.Valid)
		return err
	})
	return sums, err
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
