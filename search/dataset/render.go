package dataset

import "math"

// normaliser turns pixel values into what a network gets: (value/255 - mean) / deviation, per channel.
type normaliser struct {
	scale, offset []float32      // value·scale + offset, for values 0 to 255
	table         [][256]float32 // the same, for whole values
}

func newNormaliser(mean, std []float32) *normaliser {
	n := &normaliser{table: make([][256]float32, len(mean))}
	for c := range mean {
		scale, offset := 1/(255*std[c]), -mean[c]/std[c]
		n.scale, n.offset = append(n.scale, scale), append(n.offset, offset)
		for v := range 256 {
			n.table[c][v] = float32(v)*scale + offset
		}
	}
	return n
}

// Weights of luma (ITU-R BT.601).
const lumaRed, lumaGreen, lumaBlue = 0.299, 0.587, 0.114

// renderer draws views; its buffers serve one goroutine.
type renderer struct {
	columns, rows axis
	lines         []float32
}

// render draws a view of p as r×r pixels of len(n.table) channels, normalised, into dst (length r·r·channels, channels last).
func (s *renderer) render(dst []float32, r int, p picture, v view, n *normaliser) {
	side := float64(r)
	if v.x1-v.x0 == side && v.y1-v.y0 == side && v.x0 == math.Trunc(v.x0) && v.y0 == math.Trunc(v.y0) {
		copyView(dst, r, p, int(v.x0), int(v.y0), v.flip, n)
	} else {
		s.resample(dst, r, p, v, n)
	}
	if v.colour != (colour{}) {
		v.colour.apply(dst, n)
	}
}

// copyView draws a view whose pixels are pixels of the image.
func copyView(dst []float32, r int, p picture, x0, y0 int, flip bool, n *normaliser) {
	channels := len(n.table)
	var pixel [3]uint8
	for i := range r {
		y := y0 + i
		for j := range r {
			x := x0 + j
			if flip {
				x = x0 + r - 1 - j
			}
			pixel = [3]uint8{}
			if y >= 0 && y < p.height && x >= 0 && x < p.width {
				at := (y*p.width + x) * p.channels
				switch {
				case p.channels == 1:
					v := p.pixels[at]
					pixel = [3]uint8{v, v, v}
				case channels == 3:
					pixel = [3]uint8(p.pixels[at : at+3])
				default:
					rgb := p.pixels[at : at+3]
					pixel[0] = uint8(lumaRed*float32(rgb[0]) + lumaGreen*float32(rgb[1]) + lumaBlue*float32(rgb[2]) + 0.5)
				}
			}
			out := dst[(i*r+j)*channels:]
			for c := range channels {
				out[c] = n.table[c][pixel[c]]
			}
		}
	}
}

// axis holds, per output pixel along one axis, the input pixels under a triangle filter and their weights. Where the image
// shrinks the filter grows with the step, so that every pixel counts.
type axis struct {
	first, count []int     // input pixels of output pixel i: first[i] … first[i]+count[i]-1
	weights      []float32 // theirs, from i·width
	width        int
}

// lay computes the axis for r output pixels over the input from x0 to x1 of n pixels. Weights of an output pixel add up to 1,
// except that those of pixels outside of the image, which are black, are left out. Pixels outside of both the image and the
// box do not count, so that the edge of an image does not darken.
func (a *axis) lay(x0, x1 float64, n, r int, flip bool) {
	step := (x1 - x0) / float64(r)
	radius := max(step, 1)
	low, high := min(0, int(math.Floor(x0))), max(n, int(math.Ceil(x1)))
	a.width = int(2*radius) + 2
	a.first, a.count = resize(a.first, r), resize(a.count, r)
	a.weights = resize(a.weights, r*a.width)
	for i := range r {
		at := i
		if flip {
			at = r - 1 - i
		}
		centre := x0 + (float64(i)+0.5)*step
		from := max(low, int(math.Floor(centre-radius)))
		to := min(high, int(math.Ceil(centre+radius)))
		weight := func(j int) float64 { return max(0, 1-math.Abs(float64(j)+0.5-centre)/radius) }
		sum := 0.0
		for j := from; j < to; j++ {
			sum += weight(j)
		}
		from, to = max(from, 0), min(to, n)
		a.first[at], a.count[at] = min(max(from, 0), n), max(0, to-from)
		for k := range a.count[at] {
			a.weights[at*a.width+k] = float32(weight(from+k) / sum)
		}
	}
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// resample draws any view: first along the rows of the image that are needed, then along the columns.
func (s *renderer) resample(dst []float32, r int, p picture, v view, n *normaliser) {
	s.columns.lay(v.x0, v.x1, p.width, r, v.flip)
	s.rows.lay(v.y0, v.y1, p.height, r, false)
	top, bottom := p.height, 0
	for i := range r {
		if s.rows.count[i] > 0 {
			top, bottom = min(top, s.rows.first[i]), max(bottom, s.rows.first[i]+s.rows.count[i])
		}
	}
	in := p.channels
	line := r * in
	s.lines = resize(s.lines, max(0, bottom-top)*line)
	for y := top; y < bottom; y++ {
		row := p.pixels[y*p.width*in : (y+1)*p.width*in]
		out := s.lines[(y-top)*line : (y-top+1)*line]
		for j := range r {
			first := s.columns.first[j]
			weights := s.columns.weights[j*s.columns.width:][:s.columns.count[j]]
			if in == 1 {
				sum := float32(0)
				for k, w := range weights {
					sum += w * float32(row[first+k])
				}
				out[j] = sum
				continue
			}
			var red, green, blue float32
			for k, w := range weights {
				pixel := row[(first+k)*3 : (first+k)*3+3]
				red += w * float32(pixel[0])
				green += w * float32(pixel[1])
				blue += w * float32(pixel[2])
			}
			out[j*3], out[j*3+1], out[j*3+2] = red, green, blue
		}
	}
	channels := len(n.table)
	for i := range r {
		first := s.rows.first[i] - top
		weights := s.rows.weights[i*s.rows.width:][:s.rows.count[i]]
		for j := range r {
			var pixel [3]float32
			for k, w := range weights {
				for c, value := range s.lines[(first+k)*line+j*in:][:in] {
					pixel[c] += w * value
				}
			}
			switch {
			case in == 1:
				pixel = [3]float32{pixel[0], pixel[0], pixel[0]}
			case channels == 1:
				pixel[0] = lumaRed*pixel[0] + lumaGreen*pixel[1] + lumaBlue*pixel[2]
			}
			out := dst[(i*r+j)*channels:]
			for c := range channels {
				out[c] = pixel[c]*n.scale[c] + n.offset[c]
			}
		}
	}
}
