package lut

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"densenas/supernet/space"
)

// measured is an entry of 10 % either way.
func measured(key string, ms float64) Entry {
	return Entry{Key: key, MedianMS: ms, LowMS: 0.9 * ms, HighMS: 1.1 * ms, P10MS: ms, P90MS: ms, MinMS: ms, Count: 10, Rounds: 10}
}

func TestLintFindsInversions(t *testing.T) {
	here, there := Layer(1, 0), Layer(1, 1)
	placed := func(e Entry, at *Position) Entry {
		e.Position = at
		return e
	}
	for _, c := range []struct {
		name            string
		smaller, larger Entry
		want            Dimension // empty: none
	}{
		{"resolution", measured("mbconv_k3_t6_i16_o24_s2_r56", 2), measured("mbconv_k3_t6_i16_o24_s2_r112", 1), byResolution},
		{"input width", measured("mbconv_k3_t6_i16_o24_s2_r56", 2), measured("mbconv_k3_t6_i32_o24_s2_r56", 1), byInputWidth},
		{"output width", measured("mbconv_k3_t6_i16_o24_s2_r56", 2), measured("mbconv_k3_t6_i16_o32_s2_r56", 1), byOutputWidth},
		{"width of a skip", measured("skip_i16_o16_s1_r56", 2), measured("skip_i24_o24_s1_r56", 1), byWidth},
		{"width with a shortcut", measured("mbconv_k3_t6_i16_o16_s1_r56", 2), measured("mbconv_k3_t6_i24_o24_s1_r56", 1), byWidth},
		{"kernel", measured("mbconv_k3_t6_i16_o24_s2_r56", 2), measured("mbconv_k7_t6_i16_o24_s2_r56", 1), byKernel},
		{"expansion", measured("mbconv_k3_t3_i16_o24_s2_r56", 2), measured("mbconv_k3_t6_i16_o24_s2_r56", 1), byExpansion},
		{"final", measured("final_i64_o128_r7", 2), measured("final_i64_o256_r7", 1), byOutputWidth},
		{"classifier", measured("classifier_i128_o10_r7", 2), measured("classifier_i128_o1000_r7", 1), byOutputWidth},
		{"stem and first", measured("stem_k3_i3_o16_s2_r96+mbconv_k3_t1_i16_o16_s1_r48", 2), measured("stem_k3_i3_o16_s2_r224+mbconv_k3_t1_i16_o16_s1_r112", 1), byResolution},
		{"the same place", placed(measured("skip_i16_o16_s1_r56", 2), &here), placed(measured("skip_i24_o24_s1_r56", 1), &here), byWidth},
		{"other places", placed(measured("skip_i16_o16_s1_r56", 2), &here), placed(measured("skip_i24_o24_s1_r56", 1), &there), ""},
		{"as expected", measured("skip_i16_o16_s1_r56", 1), measured("skip_i24_o24_s1_r56", 2), ""},
		{"within the intervals", measured("skip_i16_o16_s1_r56", 1.2), measured("skip_i24_o24_s1_r56", 1), ""},
		{"two dimensions", measured("mbconv_k3_t3_i16_o24_s2_r56", 2), measured("mbconv_k5_t6_i16_o24_s2_r56", 1), ""},
		{"another stride", measured("mbconv_k3_t3_i16_o24_s2_r56", 2), measured("mbconv_k3_t3_i16_o24_s1_r56", 1), ""},
		{"one adds its input", measured("mbconv_k3_t3_i16_o16_s1_r56", 2), measured("mbconv_k3_t3_i16_o24_s1_r56", 1), ""},
		{"unknown interval", Entry{Key: "skip_i16_o16_s1_r56", MedianMS: 2}, measured("skip_i24_o24_s1_r56", 1), ""},
	} {
		for _, entries := range [][]Entry{{c.smaller, c.larger}, {c.larger, c.smaller}} {
			r := Lint(&Table{Entries: entries})
			if c.want == "" {
				if r.Inverted != 0 {
					t.Errorf("%s: %+v", c.name, r.Inversions)
				}
				continue
			}
			if len(r.Inversions) != 1 || r.Inverted != 1 {
				t.Fatalf("%s: %d found", c.name, len(r.Inversions))
			}
			if got := r.Inversions[0]; got.Dimension != c.want || got.Smaller.Key != c.smaller.Key || got.Larger.Key != c.larger.Key || got.Ratio() != 2 {
				t.Errorf("%s: %s, %s and %s", c.name, got.Dimension, got.Smaller.Key, got.Larger.Key)
			}
		}
	}
}

// An op is reported exactly if it is faster, beyond both intervals, than some op that is smaller in one dimension alone; held
// against all pairs.
func TestLintIsAsAllPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		table := &Table{}
		seen := map[string]bool{}
		for range 60 {
			op := space.Op{Kind: space.MBConv, Kernel: 3 + 2*rng.IntN(3), Expansion: 3 + 3*rng.IntN(2), In: 8 + 8*rng.IntN(4), Out: 48, Stride: 1, Resolution: 7 << rng.IntN(3)}
			if !seen[op.Key()] {
				seen[op.Key()] = true
				table.Entries = append(table.Entries, measured(op.Key(), 1+rng.Float64()))
			}
		}
		type finding struct {
			d   Dimension
			key string
		}
		want := map[finding]bool{}
		for i := range table.Entries {
			for k := range table.Entries {
				a, b := &table.Entries[i], &table.Entries[k]
				x, y := mustOps(t, a.Key), mustOps(t, b.Key)
				for _, f := range []struct {
					d    Dimension
					x, y *int
				}{{byResolution, &x.Resolution, &y.Resolution}, {byInputWidth, &x.In, &y.In}, {byKernel, &x.Kernel, &y.Kernel}, {byExpansion, &x.Expansion, &y.Expansion}} {
					before := *f.y
					if *f.x >= *f.y {
						continue
					}
					if *f.y = *f.x; x == y && b.HighMS < a.LowMS {
						want[finding{f.d, b.Key}] = true
					}
					*f.y = before
				}
			}
		}
		r := Lint(table)
		for _, i := range r.Inversions {
			if !want[finding{i.Dimension, i.Larger.Key}] || i.Larger.HighMS >= i.Smaller.LowMS {
				t.Errorf("%s of %s is none", i.Dimension, i.Larger.Key)
			}
		}
		if len(r.Inversions) != len(want) || len(want) == 0 {
			t.Errorf("%d found, all pairs give %d", len(r.Inversions), len(want))
		}
	}
}

func TestLintCounts(t *testing.T) {
	table, _ := sample(t, small)
	table.Entries[1].Flags = []string{"noisy", "throttled"}
	table.Entries[2] = Entry{Key: table.Entries[2].Key, MedianMS: 1}
	table.Warnings = []string{"governor powersave"}
	r := Lint(table)
	if r.Entries != len(table.Entries) || r.Flagged != 2 || r.Flags["noisy"] != 2 || r.Flags["throttled"] != 1 || r.WithoutInterval != 1 || r.Verified || r.Warnings != 1 {
		t.Errorf("%+v", r)
	}
	table.Verification = verification()
	if !Lint(table).Verified {
		t.Error("a verified table is called unverified")
	}
}

// The worst that a stranger's table can ask for: the largest number of entries, all inverted.
func TestLintOfTheLargestTable(t *testing.T) {
	table := &Table{}
	for i := range MaxEntries {
		width, resolution := 1+i%8000, 1+i/8000
		table.Entries = append(table.Entries, measured(fmt.Sprintf("skip_i%d_o%d_s1_r%d", width, width, resolution), 1e6/float64(1+i%8000)))
	}
	start := time.Now()
	r := Lint(table)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	if len(r.Inversions) != maxInversions || r.Inverted < MaxEntries/2 {
		t.Errorf("%d listed of %d", len(r.Inversions), r.Inverted)
	}
}
