package lut

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"densenas/internal/binomial"
	"densenas/supernet/space"
)

// Verification is what came of holding a table against whole networks, measured on the same device with the same runtime:
// one part of them fitted how the entries combine, the other was predicted.
type Verification struct {
	Space      string `json:"space"` // that the networks were drawn from
	Resolution int    `json:"resolution"`
	Seed       int64  `json:"seed"`
	Fit        Fit    `json:"fit"`
	// HeldOut is the error of the fit on networks that it has not seen, Sum that of the plain sum of entries on the same.
	HeldOut Accuracy `json:"held_out"`
	Sum     Accuracy `json:"plain_sum"`
	// NoiseShare is how uncertain the networks' own medians are: the mean absolute difference between the medians of the
	// even and of the odd rounds, relative, halved, as the median of all rounds is better than those of half of them.
	NoiseShare float64 `json:"noise_share"`
	// CallsBefore is how often each network was called before its laps in a turn, which decides what of its weights is in the caches: 1 to
	// MaxCallsBefore, 0 where it is not known.
	CallsBefore int `json:"calls_before,omitempty"`
	// References are networks that were measured, from the fastest to the slowest: who times one again learns how fast the device is against
	// then, for which the fit predicts. None in a table that was verified before there were any.
	References []Reference `json:"references,omitempty"`
}

// Reference is one of the networks that a table was held against.
type Reference struct {
	Operations string  `json:"operations"` // keys in the order of the network, by spaces: [space.ParseKeys]
	MedianMS   float64 `json:"median_ms"`  // as the verification found it
}

// Bounds of the references: who times one has its parameters in memory.
const (
	MaxCallsBefore         = 100
	MaxReferenceParameters = 1 << 26
	maxReferences          = 10
)

func (v *Verification) checkReferences() error {
	if len(v.References) > maxReferences {
		return fmt.Errorf("references has %d networks, allowed are at most %d", len(v.References), maxReferences)
	}
	if len(v.References) > 0 && v.CallsBefore == 0 {
		return errors.New("calls_before is missing, without which references are not comparable")
	}
	for i, r := range v.References {
		if err := v.checkReference(r); err != nil {
			return fmt.Errorf("references[%d]: %w", i, err)
		}
	}
	return nil
}

func (v *Verification) checkReference(r Reference) error {
	a, err := space.ParseKeys(r.Operations)
	if err != nil {
		return fmt.Errorf("operations: %w", err)
	}
	if a.Resolution != v.Resolution {
		return fmt.Errorf("operations are of a network at resolution %d, the verification is at %d", a.Resolution, v.Resolution)
	}
	if n := a.Parameters(); n > MaxReferenceParameters {
		return fmt.Errorf("operations have %d parameters, allowed are at most %d", n, MaxReferenceParameters)
	}
	const minMS = 1e-7 // a tenth of a nanosecond
	if !(r.MedianMS >= minMS && r.MedianMS <= maxMS) {
		return fmt.Errorf("median_ms is %g, allowed is %g to %g", r.MedianMS, minMS, maxMS)
	}
	return nil
}

// Nearest is the reference whose latency is nearest to one, in ms, by their ratio; nil where there is none.
func (v *Verification) Nearest(ms float64) *Reference {
	var nearest *Reference
	distance := func(r *Reference) float64 { return math.Abs(math.Log(r.MedianMS / ms)) }
	for i := range v.References {
		if r := &v.References[i]; nearest == nil || distance(r) < distance(nearest) {
			nearest = r
		}
	}
	return nearest
}

// Fit says how entries combine to a network's latency: offset + Σ (operation + scale · (entry − call)), the scale being that of the
// first term whose pattern matches the op's key.
type Fit struct {
	Networks int     `json:"networks"`  // that it was fitted on
	OffsetMS float64 `json:"offset_ms"` // of a network
	// OperationMS is what each op takes in a network beside its scaled entry, skips excepted: alone it finds its weights in the caches.
	OperationMS float64 `json:"operation_ms,omitempty"`
	Terms       []Term  `json:"terms"`
	// ResidualShare bounds how far 95 % of networks that the fit has not seen lie from their predictions, relative to those;
	// estimated by cross-validation within the networks that the fit was made on.
	ResidualShare float64 `json:"residual_share"`
}

// Term is a pattern as of path.Match, such as "*_r112" or "*", and a scale without a unit.
type Term struct {
	Pattern string  `json:"pattern"`
	Scale   float64 `json:"scale"`
}

// Accuracy describes predictions of networks' latencies; errors are relative to what was measured.
type Accuracy struct {
	Networks    int        `json:"networks"`
	MeanError   float64    `json:"mean_error_share"`   // mean absolute
	MedianError float64    `json:"median_error_share"` // median absolute
	WorstError  float64    `json:"worst_error_share"`
	Within5     Proportion `json:"within_5_percent"`
	Within10    Proportion `json:"within_10_percent"`
	Tau         float64    `json:"kendall_tau"` // tau-b
	Spearman    float64    `json:"spearman"`
}

// Proportion is a share of networks with its interval.
type Proportion = binomial.Proportion

// Bounds of a verification.
const (
	maxTerms    = 200
	maxNetworks = 1_000_000
	maxScale    = 100
)

func (v *Verification) check() error {
	if v == nil {
		return nil
	}
	if v.Resolution < 1 || v.Resolution > space.MaxResolution {
		return fmt.Errorf("resolution is %d, allowed is 1 to %d", v.Resolution, space.MaxResolution)
	}
	if err := checkText("space", v.Space); err != nil {
		return err
	}
	if !(v.NoiseShare >= 0 && v.NoiseShare <= maxScale) {
		return fmt.Errorf("noise_share is %g, allowed is 0 to %d", v.NoiseShare, maxScale)
	}
	if err := v.Fit.check(); err != nil {
		return fmt.Errorf("fit: %w", err)
	}
	if err := v.HeldOut.check(); err != nil {
		return fmt.Errorf("held_out: %w", err)
	}
	if err := v.Sum.check(); err != nil {
		return fmt.Errorf("plain_sum: %w", err)
	}
	if v.CallsBefore < 0 || v.CallsBefore > MaxCallsBefore {
		return fmt.Errorf("calls_before is %d, allowed is 1 to %d, or 0 where it is not known", v.CallsBefore, MaxCallsBefore)
	}
	return v.checkReferences()
}

func (f *Fit) check() error {
	if f.Networks < 1 || f.Networks > maxNetworks {
		return fmt.Errorf("networks is %d, allowed is 1 to %d", f.Networks, maxNetworks)
	}
	if !(f.OffsetMS >= 0 && f.OffsetMS <= maxMS) {
		return fmt.Errorf("offset_ms is %g, allowed is 0 to %g", f.OffsetMS, maxMS)
	}
	if !(f.OperationMS >= 0 && f.OperationMS <= maxMS) {
		return fmt.Errorf("operation_ms is %g, allowed is 0 to %g", f.OperationMS, maxMS)
	}
	if !(f.ResidualShare >= 0 && f.ResidualShare <= maxScale) {
		return fmt.Errorf("residual_share is %g, allowed is 0 to %d", f.ResidualShare, maxScale)
	}
	if len(f.Terms) < 1 || len(f.Terms) > maxTerms {
		return fmt.Errorf("%d terms, allowed are 1 to %d", len(f.Terms), maxTerms)
	}
	for i, term := range f.Terms {
		if len(term.Pattern) > 200 || strings.Count(term.Pattern, "*") > 4 {
			return fmt.Errorf("terms[%d]: pattern %.60q has more than 200 bytes or four stars", i, term.Pattern)
		}
		if _, err := path.Match(term.Pattern, ""); err != nil {
			return fmt.Errorf("terms[%d]: pattern %.60q: %w", i, term.Pattern, err)
		}
		if !(term.Scale >= 0 && term.Scale <= maxScale) {
			return fmt.Errorf("terms[%d]: scale is %g, allowed is 0 to %d", i, term.Scale, maxScale)
		}
	}
	if f.Terms[len(f.Terms)-1].Pattern != "*" {
		return errors.New(`the last term's pattern is not "*", so that some ops would have no scale`)
	}
	return nil
}

// scale is the factor for the entry of a key.
func (f *Fit) scale(key string) float64 {
	for _, term := range f.Terms {
		if matches, err := path.Match(term.Pattern, key); err == nil && matches {
			return term.Scale
		}
	}
	return 1
}

func (a *Accuracy) check() error {
	if a.Networks < 1 || a.Networks > maxNetworks {
		return fmt.Errorf("networks is %d, allowed is 1 to %d", a.Networks, maxNetworks)
	}
	for _, f := range []struct {
		field          string
		value, low, up float64
	}{{"mean_error_share", a.MeanError, 0, maxMS}, {"median_error_share", a.MedianError, 0, maxMS}, {"worst_error_share", a.WorstError, 0, maxMS},
		{"kendall_tau", a.Tau, -1, 1}, {"spearman", a.Spearman, -1, 1}} {
		if !(f.value >= f.low && f.value <= f.up) {
			return fmt.Errorf("%s is %g, allowed is %g to %g", f.field, f.value, f.low, f.up)
		}
	}
	for _, p := range []struct {
		field string
		Proportion
	}{{"within_5_percent", a.Within5}, {"within_10_percent", a.Within10}} {
		if !(0 <= p.Low && p.Low <= p.Share && p.Share <= p.High && p.High <= 1) {
			return fmt.Errorf("%s is %g with interval %g to %g, allowed is 0 to 1 in order", p.field, p.Share, p.Low, p.High)
		}
	}
	return nil
}

// NewAccuracy compares predictions with what was measured, both in ms, positive and in the same order.
func NewAccuracy(predicted, measured []float64) Accuracy {
	n := len(measured)
	a := Accuracy{Networks: n}
	errs := make([]float64, n)
	within5, within10 := 0, 0
	for i := range measured {
		errs[i] = math.Abs(predicted[i]/measured[i] - 1)
		a.MeanError += errs[i] / float64(n)
		if errs[i] <= 0.05 {
			within5++
		}
		if errs[i] <= 0.1 {
			within10++
		}
	}
	slices.Sort(errs)
	a.MedianError, a.WorstError = (errs[(n-1)/2]+errs[n/2])/2, errs[n-1]
	a.Within5, a.Within10 = binomial.Of(within5, n), binomial.Of(within10, n)
	a.Tau, a.Spearman = KendallTau(predicted, measured), Spearman(predicted, measured)
	return a
}

// KendallTau is tau-b, the share of pairs in the same order less those in the opposite one, corrected for ties; 0 where one
// side does not vary.
func KendallTau(x, y []float64) float64 {
	var s, inX, inY float64 // concordant less discordant pairs; pairs that differ in x, in y
	for i := range x {
		for k := range i {
			dx, dy := compare(x[i], x[k]), compare(y[i], y[k])
			s += dx * dy
			inX += dx * dx
			inY += dy * dy
		}
	}
	if inX == 0 || inY == 0 {
		return 0
	}
	return max(-1, min(1, s/math.Sqrt(inX*inY)))
}

func compare(a, b float64) float64 {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Spearman is the correlation of ranks, ties sharing their mean rank; 0 where one side does not vary.
func Spearman(x, y []float64) float64 {
	a, b := ranks(x), ranks(y)
	mean := float64(len(x)+1) / 2
	var xx, yy, xy float64
	for i := range a {
		xx += (a[i] - mean) * (a[i] - mean)
		yy += (b[i] - mean) * (b[i] - mean)
		xy += (a[i] - mean) * (b[i] - mean)
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return max(-1, min(1, xy/math.Sqrt(xx*yy)))
}

func ranks(v []float64) []float64 {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int { return int(compare(v[i], v[k])) })
	r := make([]float64, len(v))
	for i := 0; i < len(order); {
		k := i + 1
		for k < len(order) && v[order[k]] == v[order[i]] {
			k++
		}
		for at := i; at < k; at++ {
			r[order[at]] = float64(i+k+1) / 2
		}
		i = k
	}
	return r
}
