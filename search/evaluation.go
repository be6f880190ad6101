package search

import (
	"context"
	"fmt"
	"math"

	"github.com/gomlx/compute"

	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet"
	"densenas/supernet/network"
)

// Evaluation is what a trained network answers on labelled images.
type Evaluation struct {
	// Images that were looked at.
	Images int
	// Top1 and Top5 count the images whose label has the largest logit, and one of the five largest. Of equal logits that of the class
	// with the smaller number counts as the larger.
	Top1, Top5 int
	// Answers counts the images by label and answer, both class numbers.
	Answers map[[2]int]int

	loss float64 // sum
}

// MeanLoss is the mean cross entropy, in nats.
func (e *Evaluation) MeanLoss() float64 { return ratio(e.loss, e.Images) }

// add counts the logits [classes] of an image.
func (e *Evaluation) add(logits []float32, label int) error {
	rank, best := 0, 0
	for k, v := range logits {
		if math.IsNaN(float64(v)) {
			return fmt.Errorf("the network answers with what is no number: its training failed")
		}
		if v > logits[best] {
			best = k
		}
		if v > logits[label] || v == logits[label] && k < label {
			rank++
		}
	}
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(float64(v) - float64(logits[best]))
	}
	e.loss += math.Log(sum) + float64(logits[best]) - float64(logits[label])
	e.Images++
	if rank == 0 {
		e.Top1++
	}
	if rank < 5 {
		e.Top5++
	}
	if e.Answers == nil {
		e.Answers = map[[2]int]int{}
	}
	e.Answers[[2]int{label, best}]++
	return nil
}

// Evaluate runs a trained network over all images of a part, in batches of the given size. Its resolution, channels and classes must be the data's;
// images are normalised as they were in its training.
func Evaluate(ctx context.Context, b compute.Backend, w *weights.Trained, data *dataset.Dataset, part dataset.Part, batch int, l network.Lowering) (*Evaluation, error) {
	a := w.Architecture
	if err := fits(a, data); err != nil {
		return nil, err
	}
	folded, err := w.Fold()
	if err != nil {
		return nil, err
	}
	e, err := network.NewEvaluator(b, a, l, batch, folded)
	if err != nil {
		return nil, err
	}
	defer e.Finalize()
	sums := new(Evaluation)
	return sums, overBatches(ctx, data, part, 0, dataset.BatchOptions{Size: batch}, func(batch supernet.Batch) error {
		w.Preprocessing.Renormalise(batch.Images, data)
		logits, err := e.Logits(batch.Images)
		if err != nil {
			return err
		}
		for i := range batch.Valid {
			if err := sums.add(logits[i*a.Classes:(i+1)*a.Classes], int(batch.Labels[i])); err != nil {
				return err
			}
		}
		return nil
	})
}
