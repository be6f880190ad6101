package dataset

import (
	"runtime"
	"slices"

	"densenas/internal/exit"
)

// Augmentation names how training images are varied. Evaluation never is.
type Augmentation string

const (
	// Auto chooses by the data: Shift for MNIST; ResizedCropFlipColour where the resolution is at least 64 and most images are
	// larger; else CropFlip. It neither flips nor varies colours where all images are gray.
	Auto Augmentation = ""
	// NoAugmentation hands out training images as evaluation does.
	NoAugmentation Augmentation = "none"
	// Shift moves an image by up to 2 of its own pixels in each direction, with black behind.
	Shift Augmentation = "shift"
	// CropFlip moves an image by up to an eighth of the resolution in each direction (4 at 32: a random crop of the image
	// padded by 4), with black behind, and mirrors every other one.
	CropFlip Augmentation = "crop-flip"
	// ResizedCropFlip takes a random box with 8 % to 100 % of the image's area and an aspect ratio of 3/4 to 4/3, and mirrors
	// every other one (Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6).
	ResizedCropFlip Augmentation = "resized-crop-flip"
	// ResizedCropFlipColour does that and varies brightness, contrast and saturation, each by a factor of 0.6 to 1.4.
	ResizedCropFlipColour Augmentation = "resized-crop-flip-colour"
)

// AugmentationUsage describes a flag of the augmentation.
const AugmentationUsage = "none, shift, crop-flip, resized-crop-flip or resized-crop-flip-colour (default: chosen by the data)"

// Options say how data are read. The zero value has the documented defaults.
type Options struct {
	// Resolution is the height and width of the images in a batch, in pixels, 8 to 1024; default 32.
	Resolution int
	// Channels of the images in a batch: 1 or 3. Gray images are repeated, coloured ones become their luma. Default: 1 where
	// all images are gray, else 3.
	Channels int
	// Seed decides the held-out share, the limited selection, the order of an epoch and the augmentation.
	Seed uint64
	// SplitSeed, where it is not 0, decides the held-out share and the limited selection instead, so that they are the same whatever the
	// order of the images.
	SplitSeed uint64
	// HeldOutShare is the share of the training data of every class that becomes the part HeldOut, above 0, at most 0.9;
	// default 0.2.
	HeldOutShare float64
	// Limit is the number of training images (Train and HeldOut together) to use at most, chosen in proportion to the
	// classes; 0: all. The test part is not limited.
	Limit int
	// Augmentation of training images; default Auto.
	Augmentation Augmentation
	// Workers decode and augment; default GOMAXPROCS.
	Workers int
	// SkipCorrupt leaves images that cannot be decoded out, instead of failing; Dataset.Corrupt names them.
	SkipCorrupt bool
	// CacheBytes bounds the memory for decoded images: where all fit they are decoded once, by Open, else at every use.
	// Default 1 GiB; negative: decode at every use.
	CacheBytes int64
	// Progress, where set, is told how far Open is with folders and archives. It is never called twice at a time.
	Progress func(done, total int)
}

const (
	minResolution     = 8
	maxResolution     = 1024
	defaultResolution = 32
	defaultHeldOut    = 0.2
	defaultCacheBytes = 1 << 30
)

// withDefaults fills in the defaults and checks the ranges.
func (o Options) withDefaults() (Options, error) {
	if o.Resolution == 0 {
		o.Resolution = defaultResolution
	}
	if o.HeldOutShare == 0 {
		o.HeldOutShare = defaultHeldOut
	}
	if o.SplitSeed == 0 {
		o.SplitSeed = o.Seed
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	switch {
	case o.Resolution < minResolution || o.Resolution > maxResolution:
		return o, exit.BadInput("data resolution %d: use %d to %d", o.Resolution, minResolution, maxResolution)
	case o.Channels != 0 && o.Channels != 1 && o.Channels != 3:
		return o, exit.BadInput("data channels %d: use 1 (gray) or 3 (RGB)", o.Channels)
	case !(o.HeldOutShare > 0 && o.HeldOutShare <= 0.9):
		return o, exit.BadInput("held-out share %g: use a share above 0 and at most 0.9", o.HeldOutShare)
	case o.Limit < 0:
		return o, exit.BadInput("limit of %d training images: use 0 (all) or more", o.Limit)
	case !slices.Contains([]Augmentation{Auto, NoAugmentation, Shift, CropFlip, ResizedCropFlip, ResizedCropFlipColour}, o.Augmentation):
		return o, exit.BadInput("unknown augmentation %q: use %s", o.Augmentation, AugmentationUsage)
	}
	return o, nil
}
