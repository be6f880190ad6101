package lut

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// Verdict says what a change of an entry is.
type Verdict string

// The verdicts.
const (
	Same    Verdict = "same"    // no more than noise
	Slower  Verdict = "slower"  // really
	Faster  Verdict = "faster"  // really
	Unknown Verdict = "unknown" // one of the tables does not say how noisy the entry is
)

// FalseDiscoveries is the share of changes called real, by raw samples, that are noise at most, in the mean.
const FalseDiscoveries = 0.05

// Samples gives the raw samples of an entry in ms: the medians of its rounds, which are what is independent. None, or a nil
// Samples: they are not known.
type Samples func(*Entry) []float64

// Change is what became of an op that both tables have, at the same place.
type Change struct {
	A, B *Entry
	// Ratio is the median in B over that in A, and Low and High bound it: the ends of the entries' intervals against each
	// other. Without intervals they are the ratio itself.
	Ratio, Low, High float64
	Verdict          Verdict
	// P is the probability of samples that differ as much or more if nothing had changed, of the Mann-Whitney U test; -1
	// where the verdict is by intervals.
	P float64
}

// KindChanges sums up the changes of the ops of one kind.
type KindChanges struct {
	Kind                          string // as of [Entry.Kind]
	Entries                       int
	MeanRatio                     float64 // geometric
	Slower, Faster, Same, Unknown int
}

// Comparison holds one table, B, against another of the same ops, A.
type Comparison struct {
	Differences  []Difference  // of what must be the same for the times to be comparable
	Changes      []Change      // in the order of A
	Kinds        []KindChanges // in the order of A
	OnlyA, OnlyB []*Entry
	BySamples    int // changes that were judged by raw samples
	Agreement    Agreement
}

// Agreement says how well two tables agree on the ops that neither has flagged.
type Agreement struct {
	Entries      int
	MedianChange float64 // median of the absolute relative changes; 0 without entries
	// Overlaps is the share of the entries with an interval in both tables, of which there are WithIntervals, whose intervals
	// overlap; 0 without any.
	Overlaps      float64
	WithIntervals int
}

// Compare holds table b against table a. A change is real if the raw samples of both tables are known and tell them apart by
// the Mann-Whitney U test, where the many tests are corrected by the procedure of Benjamini and Hochberg so that at most 5 %
// of the changes called real are noise; else if the 95 % intervals of the medians do not overlap.
//
// The times of b are multiplied by scale first: 1 takes them as they are, 1 / [SentinelRatio] takes out what the sentinel says
// of the speed of device and state.
func Compare(a, b *Table, samplesA, samplesB Samples, scale float64) *Comparison {
	c := &Comparison{Differences: Differences(a, b)}
	inB := make(map[place]*Entry, len(b.Entries))
	for i := range b.Entries {
		inB[b.Entries[i].place()] = &b.Entries[i]
	}
	common := make(map[place]bool, len(a.Entries))
	for i := range a.Entries {
		at := a.Entries[i].place()
		if other := inB[at]; other != nil {
			common[at] = true
			c.Changes = append(c.Changes, newChange(&a.Entries[i], other, samplesA, samplesB, scale))
		} else {
			c.OnlyA = append(c.OnlyA, &a.Entries[i])
		}
	}
	for i := range b.Entries {
		if !common[b.Entries[i].place()] {
			c.OnlyB = append(c.OnlyB, &b.Entries[i])
		}
	}
	c.judge()
	c.sum()
	c.agree()
	return c
}

func newChange(a, b *Entry, samplesA, samplesB Samples, scale float64) Change {
	var x, y []float64
	if samplesA != nil && samplesB != nil {
		x, y = samplesA(a), samplesB(b)
	}
	if scale != 1 {
		b = b.scaled(scale)
		y = slices.Clone(y)
		for i := range y {
			y[i] *= scale
		}
	}
	c := Change{A: a, B: b, Ratio: b.MedianMS / a.MedianMS, P: -1}
	c.Low, c.High = c.Ratio, c.Ratio
	if a.HasInterval() && b.HasInterval() {
		c.Low, c.High = b.LowMS/a.HighMS, math.Inf(1)
		if a.LowMS > 0 {
			c.High = b.HighMS / a.LowMS
		}
	}
	if len(x) > 0 && len(y) > 0 {
		c.P = MannWhitney(x, y)
		return c
	}
	switch {
	case !a.HasInterval() || !b.HasInterval():
		c.Verdict = Unknown
	case !a.conflicts(b):
		c.Verdict = Same
	default:
		c.Verdict = direction(c.Ratio)
	}
	return c
}

// uncertainCorrection is how uncertain a correction by the sentinel is, relative to itself and at 95 %: operations do not all become
// slower by its factor.
const uncertainCorrection = 0.3

// Corrected brings the 95 % interval of a median, in ms, to where the sentinel takes by times as long. It is wider by what that correction
// is uncertain, in quadrature.
func Corrected(medianMS, lowMS, highMS, by float64) (low, high float64) {
	if by == 1 {
		return lowMS, highMS
	}
	more := uncertainCorrection * math.Log(by)
	low = by * medianMS / math.Exp(math.Hypot(more, math.Log(medianMS/lowMS)))
	high = by * medianMS * math.Exp(math.Hypot(more, math.Log(highMS/medianMS)))
	return low, high
}

// scaled is the entry at another speed of the device, see [Corrected].
func (e *Entry) scaled(by float64) *Entry {
	out := *e
	for _, ms := range []*float64{&out.MedianMS, &out.MADMS, &out.P10MS, &out.P90MS, &out.MinMS} {
		*ms *= by
	}
	if e.HasInterval() {
		out.LowMS, out.HighMS = Corrected(e.MedianMS, e.LowMS, e.HighMS, by)
	}
	return &out
}

func direction(ratio float64) Verdict {
	switch {
	case ratio > 1:
		return Slower
	case ratio < 1:
		return Faster
	}
	return Same
}

// MannWhitney is the two-sided p-value of the Mann-Whitney U test that two samples, neither empty, come from one
// distribution; exact for small samples.
func MannWhitney(a, b []float64) float64 {
	x := benchmath.NewSample(slices.Clone(a), &benchmath.DefaultThresholds)
	y := benchmath.NewSample(slices.Clone(b), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Compare(x, y).P
}

// judge decides the changes that were tested by samples: with the p-values in ascending order, all up to the last that is
// within its rank's share of FalseDiscoveries are real (Benjamini and Hochberg, 1995).
func (c *Comparison) judge() {
	var tested []int
	for i := range c.Changes {
		if c.Changes[i].P >= 0 {
			tested = append(tested, i)
			c.Changes[i].Verdict = Same
		}
	}
	c.BySamples = len(tested)
	slices.SortStableFunc(tested, func(i, k int) int { return int(compare(c.Changes[i].P, c.Changes[k].P)) })
	last := -1
	for rank, i := range tested {
		if c.Changes[i].P <= FalseDiscoveries*float64(rank+1)/float64(len(tested)) {
			last = rank
		}
	}
	for _, i := range tested[:last+1] {
		c.Changes[i].Verdict = direction(c.Changes[i].Ratio)
	}
}

// sum counts the verdicts by kind.
func (c *Comparison) sum() {
	places := map[string]int{}
	for _, change := range c.Changes {
		kind := change.A.Kind()
		i, known := places[kind]
		if !known {
			i = len(c.Kinds)
			places[kind] = i
			c.Kinds = append(c.Kinds, KindChanges{Kind: kind})
		}
		c.Kinds[i].add(change)
	}
	for i := range c.Kinds {
		c.Kinds[i].MeanRatio = math.Exp(c.Kinds[i].MeanRatio / float64(c.Kinds[i].Entries))
	}
}

// agree describes the ops that neither table has flagged.
func (c *Comparison) agree() {
	var changes []float64
	overlap := 0
	for _, change := range c.Changes {
		if len(change.A.Flags)+len(change.B.Flags) > 0 {
			continue
		}
		changes = append(changes, math.Abs(change.Ratio-1))
		if change.A.HasInterval() && change.B.HasInterval() {
			c.Agreement.WithIntervals++
			if !change.A.conflicts(change.B) {
				overlap++
			}
		}
	}
	slices.Sort(changes)
	if n := len(changes); n > 0 {
		c.Agreement.Entries, c.Agreement.MedianChange = n, (changes[(n-1)/2]+changes[n/2])/2
	}
	if n := c.Agreement.WithIntervals; n > 0 {
		c.Agreement.Overlaps = float64(overlap) / float64(n)
	}
}

// add counts a change; until all are there MeanRatio is the sum of the logarithms.
func (k *KindChanges) add(c Change) {
	k.Entries++
	k.MeanRatio += math.Log(c.Ratio)
	switch c.Verdict {
	case Slower:
		k.Slower++
	case Faster:
		k.Faster++
	case Same:
		k.Same++
	default:
		k.Unknown++
	}
}

// SlowerBy lists the changes that are really slower by more than a share: 0.05 is 5 %.
func (c *Comparison) SlowerBy(share float64) []Change {
	var list []Change
	for _, change := range c.Changes {
		if change.Verdict == Slower && change.Ratio > 1+share {
			list = append(list, change)
		}
	}
	return list
}

// SentinelRatio is how long the sentinel of b took relative to that of a, which tells how equal device and state were; 0
// where the tables do not have the same sentinel.
func SentinelRatio(a, b *Table) float64 {
	if a.Sentinel == nil || b.Sentinel == nil || a.Sentinel.Key != b.Sentinel.Key {
		return 0
	}
	return b.Sentinel.MedianMS / a.Sentinel.MedianMS
}

// SentinelLuck is how far [SentinelRatio] is from what the same operation's own entries say, another executable in the same runs: 1.1
// where the sentinel of b became slower by a tenth more. 0 where there is no saying.
func SentinelLuck(a, b *Table) float64 {
	ratio := SentinelRatio(a, b)
	if ratio == 0 {
		return 0
	}
	before, inA := a.raw(a.Sentinel.Key, nil)
	after, inB := b.raw(b.Sentinel.Key, nil)
	if !inA || !inB {
		return 0
	}
	return ratio / (after.MS / before.MS)
}

// String reads "mbconv_k3_t6_i16_o24_s2_r112: +5.1 %".
func (c Change) String() string { return fmt.Sprintf("%s: %+.1f %%", c.A.Name(), 100*(c.Ratio-1)) }
