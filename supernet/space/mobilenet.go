package space

// MobileNetV2 is the network of Sandler et al., CVPR 2018, table 2, with its widths multiplied and rounded to multiples of 8,
// not more than a tenth down; the final 1×1 convolution does not get narrower than 1280. It has a stem, 17 MBConv layers, a
// final convolution and a classifier. Published multipliers are 0.35 to 1.4; Check says whether others give a network in range.
func MobileNetV2(widthMultiplier float64, resolution, classes int) *Architecture {
	return MobileNetV2Halving(widthMultiplier, resolution, classes, MobileNetV2Halvings)
}

// MobileNetV2Halvings is how often MobileNetV2 halves the resolution.
const MobileNetV2Halvings = 5

// MobileNetV2Halving is MobileNetV2 for images that are smaller than those it was made for: only the last halvings of the resolution are
// kept, 0 to 5; the layers that halve it before have stride 1.
func MobileNetV2Halving(widthMultiplier float64, resolution, classes, halvings int) *Architecture {
	left := MobileNetV2Halvings
	strided := func(stride int) int {
		if stride == 2 {
			left--
			if left >= halvings {
				return 1
			}
		}
		return stride
	}
	width := func(w int) int {
		scaled := float64(w) * widthMultiplier
		rounded := max(8, int(scaled+4)/8*8)
		if float64(rounded) < 0.9*scaled {
			rounded += 8
		}
		return rounded
	}
	a := &Architecture{Name: "mobilenet_v2", Resolution: resolution, Channels: 3, Classes: classes}
	in := width(32)
	a.Layers = append(a.Layers, Layer{NoBlock, Op{Kind: Stem, Kernel: 3, In: a.Channels, Out: in, Stride: strided(2)}})
	for block, row := range []struct{ expansion, width, layers, stride int }{
		{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1},
	} {
		for i := range row.layers {
			stride := 1
			if i == 0 {
				stride = strided(row.stride)
			}
			out := width(row.width)
			a.Layers = append(a.Layers, Layer{block, Candidate{MBConv, 3, row.expansion}.at(in, out, stride, 0)})
			in = out
		}
	}
	last := max(1280, width(1280))
	a.Layers = append(a.Layers, Layer{NoBlock, Op{Kind: Final, In: in, Out: last}}, Layer{NoBlock, Op{Kind: Classifier, In: last, Out: classes}})
	a.resolve()
	return a
}
