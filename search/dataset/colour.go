package dataset

import "math/rand/v2"

// colour varies the colours of an image: brightness, contrast and saturation, in this order, each by a factor of 1 plus the field. The
// zero value leaves an image as it is.
type colour struct {
	brightness, contrast, saturation float64
}

// maxColour is how far a factor is from 1 at most.
const maxColour = 0.4

func randomColour(r *rand.Rand) colour {
	draw := func() float64 { return maxColour * (2*r.Float64() - 1) }
	return colour{brightness: draw(), contrast: draw(), saturation: draw()}
}

// apply changes an image that n has normalised. Contrast is about the image's mean luma, saturation about a pixel's own. What leaves the
// range of pixel values is clipped.
func (c colour) apply(pixels []float32, n *normaliser) {
	channels := len(n.scale)
	factor := float32(1 + c.brightness)
	luma := func(p []float32) float32 {
		if channels == 1 {
			return p[0]
		}
		return lumaRed*p[0] + lumaGreen*p[1] + lumaBlue*p[2]
	}
	mean := 0.0
	for at := 0; at < len(pixels); at += channels {
		p := pixels[at : at+channels]
		for k := range p {
			p[k] = factor * (p[k] - n.offset[k]) / n.scale[k]
		}
		mean += float64(luma(p))
	}
	grey := float32(mean / float64(len(pixels)/channels))
	contrast, saturation := float32(1+c.contrast), float32(1+c.saturation)
	for at := 0; at < len(pixels); at += channels {
		p := pixels[at : at+channels]
		for k := range p {
			p[k] = grey + contrast*(p[k]-grey)
		}
		own := luma(p)
		for k := range p {
			p[k] = min(max(own+saturation*(p[k]-own), 0), 255)*n.scale[k] + n.offset[k]
		}
	}
}
