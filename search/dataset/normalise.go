package dataset

import (
	"context"
	"errors"
	"math"
	"slices"

	"densenas/internal/exit"
)

const (
	sampleImages = 2000
	// minDeviation keeps data of one colour finite: one step of a pixel value.
	minDeviation = 1.0 / 255
)

// measure sets Mean and Std from a sample of the training data, held-out images included, so that they depend on the seed
// only through Options.Limit.
func (d *Dataset) measure(ctx context.Context) error {
	// Drawn, not evenly spaced: the writers of MNIST alternate, which an even sample of it does not average out.
	sample := slices.Clone(d.parts[TrainAll])
	shuffle(newStream(streamKey(0, forSample, TrainAll, 0, 0)), sample)
	sample = sample[:min(len(sample), sampleImages)]
	r, channels := d.Resolution, d.Channels
	zero, one := make([]float32, channels), slices.Repeat([]float32{1}, channels)
	plain := newNormaliser(zero, one)
	// Sums are kept per image and added in order, so that they do not depend on the workers.
	type sums struct {
		count, sum, squares [3]float64
	}
	perImage := make([]sums, len(sample))
	err := parallel(ctx, d.options.Workers, len(sample), func(i int) error {
		p, err := d.source.picture(sample[i])
		if bad := new(corruptError); errors.As(err, &bad) {
			if !d.options.SkipCorrupt {
				return refuseCorrupt(bad, "")
			}
			d.noteCorrupt(bad.name)
			return nil
		}
		if err != nil {
			return err
		}
		var s renderer
		pixels := make([]float32, r*r*channels)
		s.render(pixels, r, p, d.geometry.evaluation(p.height, p.width), plain)
		for k, v := range pixels {
			c := k % channels
			perImage[i].count[c]++
			perImage[i].sum[c] += float64(v)
			perImage[i].squares[c] += float64(v) * float64(v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var total sums
	for _, s := range perImage {
		for c := range channels {
			total.count[c] += s.count[c]
			total.sum[c] += s.sum[c]
			total.squares[c] += s.squares[c]
		}
	}
	if total.count[0] == 0 {
		return exit.BadInput("data %s: none of %d training images can be decoded", d.Name, len(sample))
	}
	for c := range channels {
		mean := total.sum[c] / total.count[c]
		deviation := math.Sqrt(max(0, total.squares[c]/total.count[c]-mean*mean))
		d.Mean = append(d.Mean, float32(mean))
		d.Std = append(d.Std, float32(max(deviation, minDeviation)))
	}
	d.normal = newNormaliser(d.Mean, d.Std)
	return nil
}
