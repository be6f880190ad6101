package op

import (
	"fmt"

	"densenas/supernet/space"
)

// Extended returns parameters of large, of its training form without affine batch norm, with which it computes what small does with
// params. The kernel lies in the middle of a larger one, between zeros. Hidden channels that small lacks are drawn, and projected by zeros: they
// have no effect until training moves the projection. That is the widening of [Chen et al. (2016)], with channels that are drawn rather than
// doubled, because two of the same would stay the same.
//
// Both are MBConv, or both Basic, at one place, and large's candidate extends small's. Drawn are the parameters that large starts from
// otherwise. All are flat, in the order of [TrainingParameters].
//
// [Chen et al. (2016)]: https://arxiv.org/abs/1511.05641
func Extended(small, large space.Op, params, drawn [][]float32) ([][]float32, error) {
	from, to := TrainingParameters(small, false), TrainingParameters(large, false)
	if len(from) != len(to) || len(params) != len(from) || len(drawn) != len(to) {
		return nil, fmt.Errorf("%s does not extend %s", large.Key(), small.Key())
	}
	out := make([][]float32, len(to))
	for i := range to {
		if from[i].Name != to[i].Name || len(params[i]) != from[i].Size() || len(drawn[i]) != to[i].Size() {
			return nil, fmt.Errorf("%s of %s does not extend that of %s", to[i].Name, large.Key(), small.Key())
		}
		out[i] = extended(from[i], to[i], params[i], drawn[i])
	}
	return out, nil
}

func extended(from, to Weight, v, drawn []float32) []float32 {
	out := make([]float32, to.Size())
	switch to.Name {
	case "expand", "project":
		// Rows and columns beyond those that are there: drawn where a hidden channel begins, zero where it ends.
		if to.Name == "expand" {
			copy(out, drawn)
		}
		rows, columns, width := from.Dims[0], from.Dims[1], to.Dims[1]
		for r := range rows {
			copy(out[r*width:][:columns], v[r*columns:])
		}
	case "depthwise":
		k, channels, width := from.Dims[0], from.Dims[2], to.Dims[2]
		side := to.Dims[0]
		for y := range side {
			for x := range side {
				at := out[(y*side+x)*width:][:width]
				copy(at[channels:], drawn[(y*side+x)*width+channels:])
				if y, x := y-(side-k)/2, x-(side-k)/2; y >= 0 && y < k && x >= 0 && x < k {
					copy(at[:channels], v[(y*k+x)*channels:])
				}
			}
		}
	default:
		copy(out, v)
	}
	return out
}

// ExtendedStatistics are the running statistics that go with [Extended]: of the channels that small has its own, packed as by [Statistics],
// of others the [InitialStatistics].
func ExtendedStatistics(small, large space.Op, running []float32) []float32 {
	out := InitialStatistics(large)
	from, to := NormWidths(small), NormWidths(large)
	at := out
	for i := range to {
		for range 2 { // means, variances
			copy(at, running[:from[i]])
			at, running = at[to[i]:], running[from[i]:]
		}
	}
	return out
}
