package dataset

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/draw"
)

var plainRGB = newNormaliser([]float32{0, 0, 0}, []float32{1, 1, 1})
var plainGray = newNormaliser([]float32{0}, []float32{1})

func randomPicture(r *rand.Rand, height, width, channels int) picture {
	p := picture{height: height, width: width, channels: channels, pixels: make([]uint8, height*width*channels)}
	for i := range p.pixels {
		p.pixels[i] = uint8(r.IntN(256))
	}
	return p
}

func renderOf(p picture, side int, v view, n *normaliser) []float32 {
	var s renderer
	out := make([]float32, side*side*len(n.table))
	s.render(out, side, p, v, n)
	return out
}

// at is a pixel value of a picture over 255, black outside of it.
func at(p picture, y, x, c int) float64 {
	if y < 0 || x < 0 || y >= p.height || x >= p.width {
		return 0
	}
	return float64(p.pixels[(y*p.width+x)*p.channels+c]) / 255
}

func TestRenderCopies(t *testing.T) {
	p := randomPicture(rand.New(rand.NewPCG(1, 1)), 9, 11, 3)
	for _, v := range []view{{x1: 9, y1: 9}, {x0: 2, x1: 11, y1: 9}, {x0: -3, y0: 2, x1: 6, y1: 11}, {x0: 4, y0: -5, x1: 13, y1: 4, flip: true}} {
		out := renderOf(p, 9, v, plainRGB)
		for i, got := range out {
			y, x, c := i/27, i/3%9, i%3
			if v.flip {
				x = 8 - x
			}
			if want := at(p, y+int(v.y0), x+int(v.x0), c); math.Abs(float64(got)-want) > 1e-6 {
				t.Fatalf("%+v: value %d is %g, want %g", v, i, got, want)
			}
		}
	}
}

// Copying is what resampling by a ratio of one comes to.
func TestRenderCopyIsResample(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, channels := range []int{1, 3} {
		for _, n := range []*normaliser{plainGray, plainRGB, newNormaliser([]float32{0.4, 0.5, 0.6}, []float32{0.2, 0.3, 0.4})} {
			p := randomPicture(r, 12, 10, channels)
			v := view{x0: -2, y0: 1, x1: 6, y1: 9, flip: true}
			copied := renderOf(p, 8, v, n)
			var s renderer
			resampled := make([]float32, len(copied))
			s.resample(resampled, 8, p, v, n)
			for i := range copied {
				// Gray values are rounded to whole ones when they are copied.
				if math.Abs(float64(copied[i]-resampled[i])) > 0.011 || channels == 1 && math.Abs(float64(copied[i]-resampled[i])) > 1e-5 {
					t.Fatalf("value %d is %g copied and %g resampled", i, copied[i], resampled[i])
				}
			}
		}
	}
}

// The resampler of golang.org/x/image is an independent implementation of the same filter.
func TestRenderAgreesWithReference(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 20 {
		p := randomPicture(r, 5+r.IntN(60), 5+r.IntN(60), 3)
		side := 8 + r.IntN(30)
		src := image.NewRGBA(image.Rect(0, 0, p.width, p.height))
		for i := range p.height * p.width {
			copy(src.Pix[i*4:], p.pixels[i*3:i*3+3])
			src.Pix[i*4+3] = 255
		}
		dst := image.NewRGBA(image.Rect(0, 0, side, side))
		draw.BiLinear.Scale(dst, dst.Rect, src, src.Rect, draw.Src, nil)
		out := renderOf(p, side, view{x1: float64(p.width), y1: float64(p.height)}, plainRGB)
		for i, got := range out {
			want := float64(dst.Pix[i/3*4+i%3]) / 255
			if math.Abs(float64(got)-want) > 1.5/255 {
				t.Fatalf("%d×%d to %d: value %d is %g, want %g", p.height, p.width, side, i, got, want)
			}
		}
	}
}

func TestRenderUniform(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 50 {
		p := picture{height: 3 + r.IntN(50), width: 3 + r.IntN(50), channels: 1}
		p.pixels = make([]uint8, p.height*p.width)
		for i := range p.pixels {
			p.pixels[i] = 51
		}
		x0, y0 := r.Float64()*float64(p.width-2), r.Float64()*float64(p.height-2)
		v := view{x0: x0, y0: y0, x1: x0 + 1 + r.Float64()*(float64(p.width)-x0-1), y1: y0 + 1 + r.Float64()*(float64(p.height)-y0-1)}
		for i, got := range renderOf(p, 9, v, plainGray) {
			if math.Abs(float64(got)-0.2) > 1e-5 {
				t.Fatalf("%+v of %d×%d: value %d is %g", v, p.height, p.width, i, got)
			}
		}
	}
	// All of it outside: black, which normalisation moves.
	p := randomPicture(r, 5, 5, 1)
	for _, v := range []view{{x0: 20, y0: 20, x1: 31.5, y1: 31.5}, {x0: -20, y0: 0, x1: -8.5, y1: 11.5}} {
		for i, got := range renderOf(p, 8, v, newNormaliser([]float32{0.5}, []float32{0.25})) {
			if got != -2 {
				t.Fatalf("%+v: value %d is %g, want -2", v, i, got)
			}
		}
	}
}

func TestRenderChannels(t *testing.T) {
	rgb := picture{height: 8, width: 8, channels: 3, pixels: make([]uint8, 192)}
	for i := range rgb.pixels {
		rgb.pixels[i] = []uint8{200, 100, 50}[i%3]
	}
	for _, side := range []int{8, 12} {
		want := (0.299*200 + 0.587*100 + 0.114*50) / 255
		for i, got := range renderOf(rgb, side, view{x1: 8, y1: 8}, plainGray) {
			if math.Abs(float64(got)-want) > 0.5/255+1e-6 {
				t.Fatalf("side %d: value %d is %g, want %g", side, i, got, want)
			}
		}
		gray := randomPicture(rand.New(rand.NewPCG(5, 5)), 8, 8, 1)
		out := renderOf(gray, side, view{x1: 8, y1: 8}, plainRGB)
		one := renderOf(gray, side, view{x1: 8, y1: 8}, plainGray)
		for i := range out {
			if out[i] != one[i/3] {
				t.Fatalf("side %d: value %d is %g, gray has %g", side, i, out[i], one[i/3])
			}
		}
	}
}
