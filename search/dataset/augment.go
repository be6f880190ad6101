package dataset

import (
	"math"
	"math/rand/v2"
)

// view is the box of an image that becomes the image of a batch: from (x0, y0) to (x1, y1) in pixels of the image, where
// what lies outside of the image is black; mirrored left to right where flip is set; with its colours varied.
type view struct {
	x0, y0, x1, y1 float64
	flip           bool
	colour         colour
}

// geometry chooses views: the one for evaluation, and those for training.
type geometry struct {
	resolution   int
	augmentation Augmentation
	flip         bool // mirrored images are as good
	pad          bool // images a little smaller than the resolution are padded, not resized
	large        bool // images are larger than the resolution: evaluation looks at their centre
}

const (
	// photoResolution is from which resolution on large images are treated as photographs.
	photoResolution = 64
	// centreShare of the shorter side is what evaluation looks at in large images: 224 of 256 pixels.
	centreShare = 0.875
	// maxShift is how far Shift moves, in pixels of the image.
	maxShift = 2
	// maxPadding is how much larger than the image the resolution may be for padding, as a ratio.
	maxPadding = 1.25
)

// chooseGeometry goes by the options, by what the images are, and by the median of their shorter sides.
func chooseGeometry(o Options, digits, gray bool, side int) geometry {
	g := geometry{resolution: o.Resolution, augmentation: o.Augmentation, pad: digits}
	g.large = o.Resolution >= photoResolution && side > o.Resolution
	g.flip = !gray && !digits
	switch {
	case o.Augmentation != Auto:
		// Whoever names an augmentation that mirrors knows that mirrored images are good.
		g.flip = true
	case digits:
		g.augmentation = Shift
	case g.large && gray:
		g.augmentation = ResizedCropFlip
	case g.large:
		g.augmentation = ResizedCropFlipColour
	default:
		g.augmentation = CropFlip
	}
	return g
}

// evaluation is the view of an image of this size without augmentation: all of it where it is padded, else its centre.
func (g geometry) evaluation(height, width int) view {
	r := g.resolution
	if long := max(height, width); g.pad && long <= r && float64(r) <= maxPadding*float64(long) {
		x, y := float64(-((r - width) / 2)), float64(-((r - height) / 2))
		return view{x0: x, y0: y, x1: x + float64(r), y1: y + float64(r)}
	}
	side := float64(min(height, width))
	if g.large {
		side *= centreShare
	}
	// Whole pixels, so that an image of the resolution's size is copied and not resampled.
	x, y := math.Floor((float64(width)-side)/2), math.Floor((float64(height)-side)/2)
	return view{x0: x, y0: y, x1: x + side, y1: y + side}
}

// training is a random view of an image of this size.
func (g geometry) training(r *rand.Rand, height, width int) view {
	v := g.evaluation(height, width)
	switch g.augmentation {
	case Shift:
		v = v.moved(float64(r.IntN(2*maxShift+1)-maxShift), float64(r.IntN(2*maxShift+1)-maxShift))
	case CropFlip:
		padding := g.resolution / 8
		pixel := (v.x1 - v.x0) / float64(g.resolution)
		v = v.moved(float64(r.IntN(2*padding+1)-padding)*pixel, float64(r.IntN(2*padding+1)-padding)*pixel)
		v.flip = g.flip && r.IntN(2) == 1
	case ResizedCropFlip, ResizedCropFlipColour:
		v = randomBox(r, float64(height), float64(width), v)
		v.flip = g.flip && r.IntN(2) == 1
		if g.augmentation == ResizedCropFlipColour {
			v.colour = randomColour(r)
		}
	}
	return v
}

func (v view) moved(dx, dy float64) view {
	return view{x0: v.x0 + dx, y0: v.y0 + dy, x1: v.x1 + dx, y1: v.y1 + dy, flip: v.flip}
}

// randomBox draws area and aspect ratio until the box fits into the image; after ten attempts it is otherwise.
func randomBox(r *rand.Rand, height, width float64, otherwise view) view {
	for range 10 {
		area := height * width * (0.08 + 0.92*r.Float64())
		ratio := math.Exp((2*r.Float64() - 1) * math.Log(4.0/3))
		w, h := math.Sqrt(area*ratio), math.Sqrt(area/ratio)
		if w <= width && h <= height {
			x, y := r.Float64()*(width-w), r.Float64()*(height-h)
			return view{x0: x, y0: y, x1: x + w, y1: y + h}
		}
	}
	return otherwise
}
