package dataset

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestEvaluationViews(t *testing.T) {
	for name, c := range map[string]struct {
		resolution, side int // of the data's images, for the choice
		digits           bool
		height, width    int
		want             view
	}{
		"digits padded":      {32, 28, true, 28, 28, view{x0: -2, y0: -2, x1: 30, y1: 30}},
		"digits exact":       {28, 28, true, 28, 28, view{x1: 28, y1: 28}},
		"digits enlarged":    {64, 28, true, 28, 28, view{x1: 28, y1: 28}},
		"digits shrunk":      {16, 28, true, 28, 28, view{x1: 28, y1: 28}},
		"small exact":        {32, 32, false, 32, 32, view{x1: 32, y1: 32}},
		"small enlarged":     {64, 32, false, 32, 32, view{x1: 32, y1: 32}},
		"small oblong":       {32, 32, false, 32, 41, view{x0: 4, x1: 36, y1: 32}},
		"large square":       {64, 256, false, 256, 256, view{x0: 16, y0: 16, x1: 240, y1: 240}},
		"large upright":      {64, 256, false, 400, 320, view{x0: 20, y0: 60, x1: 300, y1: 340}},
		"large at small":     {32, 256, false, 256, 256, view{x1: 256, y1: 256}},
		"one small in large": {64, 256, false, 16, 16, view{x0: 1, y0: 1, x1: 15, y1: 15}},
	} {
		g := chooseGeometry(Options{Resolution: c.resolution}, c.digits, false, c.side)
		if got := g.evaluation(c.height, c.width); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestChooseAugmentation(t *testing.T) {
	for name, c := range map[string]struct {
		o            Options
		digits, gray bool
		side         int
		want         Augmentation
		flip         bool
	}{
		"digits":         {Options{Resolution: 32}, true, true, 28, Shift, false},
		"small":          {Options{Resolution: 32}, false, false, 32, CropFlip, true},
		"small gray":     {Options{Resolution: 32}, false, true, 32, CropFlip, false},
		"small enlarged": {Options{Resolution: 64}, false, false, 32, CropFlip, true},
		"photographs":    {Options{Resolution: 64}, false, false, 300, ResizedCropFlipColour, true},
		"gray ones":      {Options{Resolution: 64}, false, true, 300, ResizedCropFlip, false},
		"thumbnails":     {Options{Resolution: 32}, false, false, 300, CropFlip, true},
		"named":          {Options{Resolution: 32, Augmentation: ResizedCropFlip}, true, true, 28, ResizedCropFlip, true},
	} {
		if g := chooseGeometry(c.o, c.digits, c.gray, c.side); g.augmentation != c.want || g.flip != c.flip {
			t.Errorf("%s: %s, flip %t", name, g.augmentation, g.flip)
		}
	}
}

func TestTrainingViews(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	digits := chooseGeometry(Options{Resolution: 32}, true, true, 28)
	small := chooseGeometry(Options{Resolution: 32}, false, false, 32)
	enlarged := chooseGeometry(Options{Resolution: 64}, false, false, 32)
	large := chooseGeometry(Options{Resolution: 64}, false, false, 300)
	plain := chooseGeometry(Options{Resolution: 64, Augmentation: ResizedCropFlip}, false, false, 300)
	none := chooseGeometry(Options{Resolution: 32, Augmentation: NoAugmentation}, false, false, 32)
	shifts := map[[2]float64]bool{}
	flips := 0
	minShare, maxShare := 1.0, 0.0
	colours := map[string][2]float64{}
	for range 2000 {
		v := digits.training(r, 28, 28)
		dx, dy := v.x0+2, v.y0+2
		if v.flip || v.x1-v.x0 != 32 || v.y1-v.y0 != 32 || math.Abs(dx) > 2 || math.Abs(dy) > 2 || dx != math.Trunc(dx) {
			t.Fatalf("digits: %+v", v)
		}
		shifts[[2]float64{dx, dy}] = true

		v = small.training(r, 32, 32)
		if v.x1-v.x0 != 32 || math.Abs(v.x0) > 4 || math.Abs(v.y0) > 4 || v.x0 != math.Trunc(v.x0) {
			t.Fatalf("small: %+v", v)
		}
		if v.flip {
			flips++
		}
		if v = enlarged.training(r, 32, 32); v.x1-v.x0 != 32 || math.Abs(v.x0) > 4 || math.Abs(v.y0) > 4 {
			t.Fatalf("enlarged: %+v", v)
		}
		v = large.training(r, 300, 400)
		w, h := v.x1-v.x0, v.y1-v.y0
		share := w * h / (300 * 400)
		ratio := w / h
		if v.x0 < 0 || v.y0 < 0 || v.x1 > 400 || v.y1 > 300 || ratio < 0.7499 || ratio > 1.3334 || share < 0.0799 || share > 1 {
			t.Fatalf("large: %+v of share %g and ratio %g", v, share, ratio)
		}
		minShare, maxShare = min(minShare, share), max(maxShare, share)
		for name, value := range map[string]float64{"brightness": v.colour.brightness, "contrast": v.colour.contrast, "saturation": v.colour.saturation} {
			colours[name] = [2]float64{min(colours[name][0], value), max(colours[name][1], value)}
		}
		if v = plain.training(r, 300, 400); v.colour != (colour{}) {
			t.Fatalf("colours vary unasked: %+v", v)
		}
		if v = none.training(r, 32, 32); v != none.evaluation(32, 32) {
			t.Fatalf("none: %+v", v)
		}
	}
	if len(shifts) != 25 {
		t.Errorf("%d of 25 shifts occur", len(shifts))
	}
	if flips < 900 || flips > 1100 {
		t.Errorf("%d of 2000 flipped", flips)
	}
	for name, limits := range colours {
		if low, high := limits[0], limits[1]; low < -0.4 || low > -0.39 || high > 0.4 || high < 0.39 {
			t.Errorf("%s changes by %g to %g", name, low, high)
		}
	}
	if minShare > 0.1 || maxShare < 0.9 {
		t.Errorf("boxes have %g to %g of the area", minShare, maxShare)
	}
	// No box fits into a ribbon: the centre is taken.
	if v := randomBox(r, 10, 10000, view{x1: 7}); v.x1 != 7 {
		t.Errorf("ribbon: %+v", v)
	}
}
