package rundir

import (
	"slices"
	"strings"
	"testing"
)

func TestWarnings(t *testing.T) {
	accuracy := func(x float64) *float64 { return &x }
	good := Record{Epoch: 3, Phase: PhaseArchitecture, EntropyAlpha: 0.9, EntropyBeta: 0.8, SkipShare: 0.3, HeldOutAccuracy: accuracy(0.6)}
	before := []Record{{Epoch: 1}, {Epoch: 2, HeldOutAccuracy: accuracy(0.62)}}
	for name, c := range map[string]struct {
		change func(r *Record, images *int)
		want   []string
	}{
		"nothing":                       {func(*Record, *int) {}, nil},
		"skips":                         {func(r *Record, _ *int) { r.SkipShare = 0.85 }, []string{WarnSkips}},
		"alpha decided early":           {func(r *Record, _ *int) { r.EntropyAlpha = 0.05 }, []string{WarnEntropy}},
		"beta decided early":            {func(r *Record, _ *int) { r.EntropyBeta = 0.05 }, []string{WarnEntropy}},
		"decided late, as it should":    {func(r *Record, _ *int) { r.EntropyBeta, r.Epoch = 0.05, 8 }, nil},
		"before the architecture":       {func(r *Record, _ *int) { r.EntropyBeta, r.Phase = 0.05, PhaseWeights }, nil},
		"a fall":                        {func(r *Record, _ *int) { r.HeldOutAccuracy = accuracy(0.5) }, []string{WarnHeldOut}},
		"a fall of few images":          {func(r *Record, n *int) { r.HeldOutAccuracy, *n = accuracy(0.5), 100 }, nil},
		"a fall of few points":          {func(r *Record, n *int) { r.HeldOutAccuracy, *n = accuracy(0.59), 1e6 }, nil},
		"no held-out images":            {func(r *Record, _ *int) { r.HeldOutAccuracy = nil }, nil},
		"skips and a fall in one epoch": {func(r *Record, _ *int) { r.SkipShare, r.HeldOutAccuracy = 0.9, accuracy(0.1) }, []string{WarnSkips, WarnHeldOut}},
	} {
		r, images := good, 5000
		c.change(&r, &images)
		var kinds []string
		for _, w := range Warnings(&Config{Epochs: 10, ArchitectureEpoch: 2}, before, r, images) {
			kinds = append(kinds, w.Kind)
			if text := w.String(); strings.HasPrefix(text, w.Kind) || !strings.Contains(text, "lower") {
				t.Errorf("%s: says %q", name, text)
			}
		}
		if !slices.Equal(kinds, c.want) {
			t.Errorf("%s: %v, want %v", name, kinds, c.want)
		}
	}
}
