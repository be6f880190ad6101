package supernet

import "fmt"

// Batch is one batch of images with labels.
type Batch struct {
	// Images is [batch, resolution, resolution, channels], flat.
	Images []float32
	// Labels are class numbers; as many as images.
	Labels []int32
	// Valid is how many of the images count, from the first on; the rest is padding. Batch statistics still see padding,
	// so training uses full batches only.
	Valid int
}

// Result is what a step or an evaluation measured.
type Result struct {
	// Loss is the mean cross entropy over the valid images.
	Loss float64
	// Correct counts valid images whose largest logit is their label.
	Correct int
}

// Check reports a batch that is not one of size images of the given resolution and channels.
func (b Batch) Check(size, resolution, channels int) error {
	if len(b.Images) != size*resolution*resolution*channels || len(b.Labels) != size || b.Valid < 1 || b.Valid > size {
		return fmt.Errorf("batch of %d values, %d labels, %d valid does not fit %d images of %d×%d×%d",
			len(b.Images), len(b.Labels), b.Valid, size, resolution, resolution, channels)
	}
	return nil
}

// Mask returns 1 for every valid image and 0 for padding.
func (b Batch) Mask() []float32 {
	mask := make([]float32, len(b.Labels))
	for i := range b.Valid {
		mask[i] = 1
	}
	return mask
}
