package rundir

import (
	"fmt"
	"math"
)

// What a warning is about.
const (
	// WarnSkips: nearly all stacked layers are skipped.
	WarnSkips = "skip_share"
	// WarnEntropy: alpha or beta is decided before the first half of the architecture steps is over.
	WarnEntropy = "entropy"
	// WarnHeldOut: the accuracy on held-out images has fallen.
	WarnHeldOut = "held_out_accuracy"
)

// The limits beyond which an epoch is warned of.
const (
	mostSkips     = 0.8  // share of skips
	leastEntropy  = 0.1  // of the largest possible
	leastFall     = 0.05 // of the accuracy, from the best epoch; and …
	leastFallSDs  = 3    // … as many standard deviations of the difference of two accuracies
	entropyBefore = 0.5  // share of the epochs that train the architecture
)

// Warning says what of an epoch is beyond its limit.
type Warning struct {
	Kind  string  `json:"kind"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
}

// String is one line for people.
func (w Warning) String() string {
	switch w.Kind {
	case WarnSkips:
		return fmt.Sprintf("collapse: %.0f %% skips, above %.0f; lower architecture_rate", 100*w.Value, 100*w.Limit)
	case WarnEntropy:
		return fmt.Sprintf("collapse: entropy %.2f, below %.2f; lower architecture_rate", w.Value, w.Limit)
	case WarnHeldOut:
		return fmt.Sprintf("held-out accuracy fell to %.1f %%, below %.1f; lower rate", 100*w.Value, 100*w.Limit)
	}
	return fmt.Sprintf("%s is %g, the limit is %g", w.Kind, w.Value, w.Limit)
}

// Warnings are those of a record behind the records before it. heldOut is how many images its held-out accuracy is of.
func Warnings(c *Config, before []Record, r Record, heldOut int) []Warning {
	var found []Warning
	if r.SkipShare > mostSkips {
		found = append(found, Warning{WarnSkips, r.SkipShare, mostSkips})
	}
	half := float64(c.ArchitectureEpoch) + entropyBefore*float64(c.Epochs-c.ArchitectureEpoch)
	if entropy := min(r.EntropyAlpha, r.EntropyBeta); float64(r.Epoch+1) <= half && entropy < leastEntropy && r.Phase == PhaseArchitecture {
		found = append(found, Warning{WarnEntropy, entropy, leastEntropy})
	}
	if r.HeldOutAccuracy != nil && heldOut > 0 {
		best := 0.0
		for _, e := range before {
			if e.HeldOutAccuracy != nil {
				best = max(best, *e.HeldOutAccuracy)
			}
		}
		fall := max(leastFall, leastFallSDs*math.Sqrt(2*best*(1-best)/float64(heldOut)))
		if *r.HeldOutAccuracy < best-fall {
			found = append(found, Warning{WarnHeldOut, *r.HeldOutAccuracy, best - fall})
		}
	}
	return found
}

// checkWarnings checks those of a record that was read.
func (r *Record) checkWarnings() error {
	if len(r.Warnings) > 8 {
		return fmt.Errorf("warnings has %d, allowed are at most 8", len(r.Warnings))
	}
	for i, w := range r.Warnings {
		if len(w.Kind) > 100 || !(math.Abs(w.Value) <= 1e12) || !(math.Abs(w.Limit) <= 1e12) {
			return fmt.Errorf("warnings[%d] has a kind that is too long, or numbers out of range", i)
		}
	}
	return nil
}
