package lut

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestCompareByIntervals(t *testing.T) {
	a, _ := sample(t, small)
	b, _ := sample(t, small)
	scale := func(e *Entry, by float64) {
		for _, x := range []*float64{&e.MedianMS, &e.LowMS, &e.HighMS, &e.P10MS, &e.P90MS, &e.MinMS, &e.MADMS} {
			*x *= by
		}
	}
	scale(&b.Entries[10], 1.5)
	scale(&b.Entries[11], 0.5)
	scale(&b.Entries[12], 1.001) // within the intervals
	b.Entries[13] = Entry{Key: b.Entries[13].Key, MedianMS: 1}
	b.Entries[14].Key = "skip_i7_o7_s1_r7"
	b.Threads = 1
	c := Compare(a, b, nil, nil, 1)
	if len(c.Changes) != len(a.Entries)-1 || len(c.OnlyA) != 1 || c.OnlyA[0].Key != a.Entries[14].Key || len(c.OnlyB) != 1 || c.OnlyB[0].Key != "skip_i7_o7_s1_r7" {
		t.Fatalf("%d changes, only %v and %v", len(c.Changes), c.OnlyA, c.OnlyB)
	}
	for i, want := range map[int]Verdict{0: Same, 10: Slower, 11: Faster, 12: Same, 13: Unknown} {
		got := c.Changes[i]
		if got.Verdict != want || got.P != -1 || !near(got.Ratio, b.Entries[i].MedianMS/a.Entries[i].MedianMS) || !(got.Low <= got.Ratio && got.Ratio <= got.High) {
			t.Errorf("%s: %+v, want %s", got, got, want)
		}
	}
	if len(c.Differences) != 1 || c.Differences[0].Field != "threads" || c.BySamples != 0 {
		t.Errorf("differences %v, %d by samples", c.Differences, c.BySamples)
	}
	entries, slower, faster, unknown := 0, 0, 0, 0
	for _, k := range c.Kinds {
		if k.Entries != k.Slower+k.Faster+k.Same+k.Unknown {
			t.Errorf("%+v does not add up", k)
		}
		entries, slower, faster, unknown = entries+k.Entries, slower+k.Slower, faster+k.Faster, unknown+k.Unknown
		sum, n := 0.0, 0.0
		for _, change := range c.Changes {
			if change.A.Kind() == k.Kind {
				sum, n = sum+math.Log(change.Ratio), n+1
			}
		}
		if !near(k.MeanRatio, math.Exp(sum/n)) {
			t.Errorf("%s: mean ratio %g, want %g", k.Kind, k.MeanRatio, math.Exp(sum/n))
		}
	}
	if entries != len(c.Changes) || slower != 1 || faster != 1 || unknown != 1 {
		t.Errorf("kinds %+v", c.Kinds)
	}
	if got := c.SlowerBy(0.4); len(got) != 1 || got[0].A != &a.Entries[10] {
		t.Errorf("slower by 40 %%: %v", got)
	}
	if got := c.SlowerBy(0.5); len(got) != 0 {
		t.Errorf("slower by more than 50 %%: %v", got)
	}
}

// Raw samples decide where both tables have them, whatever the intervals say.
func TestCompareBySamples(t *testing.T) {
	a, _ := sample(t, small)
	b, _ := sample(t, small)
	b.Entries[5].MedianMS *= 1.01
	b.Entries[6].MedianMS *= 0.99
	rng := rand.New(rand.NewPCG(1, 2))
	samples := func(t *Table) Samples {
		return func(e *Entry) []float64 {
			if e.Key == a.Entries[7].Key && t == b {
				return nil
			}
			xs := make([]float64, 30)
			for i := range xs {
				xs[i] = e.MedianMS * (1 + 0.002*rng.NormFloat64())
			}
			return xs
		}
	}
	c := Compare(a, b, samples(a), samples(b), 1)
	for i, change := range c.Changes {
		want := map[int]Verdict{5: Slower, 6: Faster}[i]
		if want == "" {
			want = Same
		}
		if change.Verdict != want || (change.P < 0) != (i == 7) {
			t.Errorf("%d: %+v, want %s", i, change, want)
		}
	}
	if c.BySamples != len(c.Changes)-1 {
		t.Errorf("%d of %d by samples", c.BySamples, len(c.Changes))
	}
}

// Of tables that differ by noise alone, changes are rarely called real, however many entries there are: the test of every
// entry by itself would call one in twenty so.
func TestCompareHoldsBackFalseDiscoveries(t *testing.T) {
	a, _ := sample(t, "mbv2")
	b, _ := sample(t, "mbv2")
	rng := rand.New(rand.NewPCG(3, 4))
	noise := func(e *Entry) []float64 {
		xs := make([]float64, 12)
		for i := range xs {
			xs[i] = e.MedianMS * (1 + 0.01*rng.NormFloat64())
		}
		return xs
	}
	for i := range b.Entries {
		b.Entries[i].MedianMS *= 1 + 1e-6*rng.NormFloat64()
	}
	c := Compare(a, b, noise, noise, 1)
	alone, called := 0, 0
	for _, change := range c.Changes {
		if change.P < 0.05 {
			alone++
		}
		if change.Verdict != Same {
			called++
		}
	}
	if called > 1 || alone < 5 {
		t.Errorf("%d of %d changes are called real, %d by themselves", called, len(c.Changes), alone)
	}
}

func TestMannWhitney(t *testing.T) {
	// The exact two-sided probability of complete separation of 4 and 4 is 2 of the 70 ways to choose.
	if p := MannWhitney([]float64{4, 1, 3, 2}, []float64{8, 7, 6, 5}); !near(p, 2.0/70) {
		t.Errorf("p %g, want %g", p, 2.0/70)
	}
	if p := MannWhitney([]float64{1, 1, 1}, []float64{1, 1}); p != 1 {
		t.Errorf("p %g of equal samples", p)
	}
}

func TestSentinelRatio(t *testing.T) {
	a, _ := sample(t, small)
	b, _ := sample(t, small)
	a.Sentinel = &Sentinel{Key: "skip_i8_o8_s1_r8", MedianMS: 2}
	if r := SentinelRatio(a, b); r != 0 {
		t.Errorf("ratio %g with one sentinel", r)
	}
	b.Sentinel = &Sentinel{Key: "skip_i8_o8_s1_r8", MedianMS: 3}
	if r := SentinelRatio(a, b); r != 1.5 {
		t.Errorf("ratio %g", r)
	}
	if l := SentinelLuck(a, b); l != 0 {
		t.Errorf("luck %g without entries of the sentinel's operation", l)
	}
	key := a.Entries[0].Key
	a.Sentinel.Key, b.Sentinel.Key = key, key
	for i := range b.Entries {
		b.Entries[i].MedianMS *= 1.2
	}
	if l := SentinelLuck(a, b); !near(l, 1.5/1.2) {
		t.Errorf("luck %g, want %g", l, 1.5/1.2)
	}
}

// A device that is slower as a whole is no change of the ops, once its sentinel's ratio is taken out.
func TestCompareTakesOutDrift(t *testing.T) {
	a, _ := sample(t, small)
	b, _ := sample(t, small)
	for i := range b.Entries {
		b.Entries[i] = *b.Entries[i].scaled(1.5)
	}
	a.Sentinel, b.Sentinel = &Sentinel{Key: "skip_i8_o8_s1_r8", MedianMS: 2}, &Sentinel{Key: "skip_i8_o8_s1_r8", MedianMS: 3}
	a.Entries[20].Flags, b.Entries[21].Flags = []string{"noisy"}, []string{"noisy"}
	samples := func(e *Entry) []float64 {
		return []float64{0.9 * e.MedianMS, 0.95 * e.MedianMS, 1.05 * e.MedianMS, e.MedianMS}
	}
	for _, s := range []Samples{nil, samples} {
		c := Compare(a, b, s, s, 1)
		if len(c.SlowerBy(0.4)) < len(c.Changes)/2 || !near(c.Agreement.MedianChange, 0.5) || c.Agreement.Overlaps > 0.5 {
			t.Errorf("as measured %d of %d are slower, %+v", len(c.SlowerBy(0.4)), len(c.Changes), c.Agreement)
		}
		c = Compare(a, b, s, s, 1/SentinelRatio(a, b))
		// Three entries are flagged: one of every sample, and these two.
		if len(c.SlowerBy(0)) != 0 || c.Agreement.Entries != len(a.Entries)-3 || c.Agreement.MedianChange > 1e-12 || c.Agreement.Overlaps != 1 ||
			c.Agreement.WithIntervals != c.Agreement.Entries {
			t.Errorf("corrected %v are slower, %+v", c.SlowerBy(0), c.Agreement)
		}
	}
	if b.Entries[0].MedianMS != 1.5*a.Entries[0].MedianMS {
		t.Error("the table was changed")
	}
}
