package dataset

import (
	"math"
	"math/rand/v2"
	"testing"
)

// What an image is after its colours changed, computed from the pixel values with no normalisation.
func coloured(values []float64, channels int, c colour) []float64 {
	luma := func(p []float64) float64 {
		if channels == 1 {
			return p[0]
		}
		return 0.299*p[0] + 0.587*p[1] + 0.114*p[2]
	}
	mean := 0.0
	for at := 0; at < len(values); at += channels {
		mean += luma(values[at:at+channels]) * (1 + c.brightness) / float64(len(values)/channels)
	}
	var out []float64
	for at := 0; at < len(values); at += channels {
		p := make([]float64, channels)
		for k := range p {
			p[k] = mean + (1+c.contrast)*((1+c.brightness)*values[at+k]-mean)
		}
		own := luma(p)
		for _, v := range p {
			out = append(out, math.Min(math.Max(own+(1+c.saturation)*(v-own), 0), 1))
		}
	}
	return out
}

func TestColour(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for _, n := range []*normaliser{plainGray, plainRGB, newNormaliser([]float32{0.4, 0.5, 0.6}, []float32{0.2, 0.3, 0.4})} {
		channels := len(n.scale)
		p := randomPicture(r, 6, 6, channels)
		var values []float64
		for _, v := range p.pixels {
			values = append(values, float64(v)/255)
		}
		clipped := 0
		for _, c := range []colour{{brightness: 0.4}, {brightness: -0.4}, {contrast: -0.4}, {contrast: 0.4}, {saturation: 0.4}, {saturation: -1}, {0.1, -0.2, 0.3}} {
			for i, got := range renderOf(p, 6, view{x1: 6, y1: 6, colour: c}, n) {
				k := i % channels
				pixel := (float64(got) - float64(n.offset[k])) / float64(n.scale[k]) / 255
				want := coloured(values, channels, c)[i]
				if math.Abs(pixel-want) > 1e-5 {
					t.Fatalf("%d channels, %+v: value %d is %g, want %g", channels, c, i, pixel, want)
				}
				if want == 0 || want == 1 {
					clipped++
				}
			}
		}
		if clipped == 0 {
			t.Error("nothing was clipped")
		}
	}
}

// Without saturation all channels of a pixel are alike, without contrast all pixels, and without brightness all is black.
func TestColourExtremes(t *testing.T) {
	p := randomPicture(rand.New(rand.NewPCG(5, 5)), 4, 4, 3)
	render := func(c colour) []float32 { return renderOf(p, 4, view{x1: 4, y1: 4, colour: c}, plainRGB) }
	for i, v := range render(colour{saturation: -1}) {
		if first := render(colour{saturation: -1})[i/3*3]; math.Abs(float64(v-first)) > 1e-6 {
			t.Errorf("without saturation, value %d is %g, that of the first channel %g", i, v, first)
		}
	}
	for i, v := range render(colour{contrast: -1}) {
		if first := render(colour{contrast: -1})[0]; math.Abs(float64(v-first)) > 1e-6 {
			t.Errorf("without contrast, value %d is %g, the first %g", i, v, first)
		}
	}
	for i, v := range render(colour{brightness: -1}) {
		if v != 0 {
			t.Errorf("without brightness, value %d is %g", i, v)
		}
	}
}
