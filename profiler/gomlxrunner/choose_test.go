package gomlxrunner

import (
	"slices"
	"testing"

	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Where operations are written alike up to some number of channels, and otherwise above it, all are decided rightly, and few
// are timed.
func TestFewOfAFamilyAreTimed(t *testing.T) {
	const members = 33
	var ops []space.Op
	for i := range members {
		ops = append(ops, space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 3, In: 8 * (i + 1), Out: 16, Stride: 1, Resolution: 14})
	}
	for border := range members + 1 {
		r := &Runner{options: Options{Batch: 1}, chosen: map[convolution]op.Lowering{}}
		truth := func(o space.Op) op.Lowering {
			if slices.Index(ops, o) < border {
				return op.Grouped
			}
			return op.Taps
		}
		timed := 0
		for next := r.undecided(ops); len(next) > 0; next = r.undecided(ops) {
			for _, o := range next {
				r.chosen[convolutionOf(o, 1)] = truth(o)
				timed++
			}
		}
		for i, o := range ops {
			if got, ok := r.chosen[convolutionOf(o, 1)]; !ok || got != truth(o) {
				t.Errorf("border at %d: operation %d is decided %v as %v", border, i, ok, got)
			}
		}
		if most := 2 + 5; timed > most || (border == 0 || border == members) && timed != 2 { // 5 halvings of 32
			t.Errorf("border at %d: %d were timed", border, timed)
		}
	}
	one := &Runner{options: Options{Batch: 1}, chosen: map[convolution]op.Lowering{}}
	if next := one.undecided(ops[:1]); len(next) != 1 {
		t.Errorf("of a single operation %d are timed", len(next))
	}
}
