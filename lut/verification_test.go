package lut

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"densenas/supernet/space"
)

func verification() *Verification {
	accuracy := NewAccuracy([]float64{1, 2, 3.3}, []float64{1, 2.1, 3})
	return &Verification{
		Space: "tiny", Resolution: 32, Seed: 1,
		Fit:     Fit{Networks: 60, OffsetMS: 0.5, Terms: []Term{{"mbconv_*", 0.5}, {"*", 2}}, ResidualShare: 0.1},
		HeldOut: accuracy, Sum: accuracy, NoiseShare: 0.01,
		CallsBefore: 8, References: []Reference{{space.MobileNetV2(0.1, 32, 10).Keys(), 0.7}, {space.MobileNetV2(0.2, 32, 10).Keys(), 1.4}},
	}
}

func TestAccuracy(t *testing.T) {
	a := NewAccuracy([]float64{1.04, 1.8, 4.6, 4}, []float64{1, 2, 4, 4})
	if a.Networks != 4 || !near(a.MeanError, (0.04+0.1+0.15+0)/4) || !near(a.MedianError, 0.07) || !near(a.WorstError, 0.15) {
		t.Errorf("errors %+v", a)
	}
	if a.Within5.Share != 0.5 || a.Within10.Share != 0.75 {
		t.Errorf("shares %+v", a)
	}
	// Six pairs: five in order, one tied in what was measured.
	if want := 5 / math.Sqrt(6*5); !near(a.Tau, want) {
		t.Errorf("tau %g, want %g", a.Tau, want)
	}
	if err := a.check(); err != nil {
		t.Error(err)
	}
}

func TestRankCorrelations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	x, y := make([]float64, 50), make([]float64, 50)
	for i := range x {
		x[i] = float64(r.IntN(20))
		y[i] = -3 * x[i]
	}
	if tau, rho := KendallTau(x, x), Spearman(x, x); !near(tau, 1) || !near(rho, 1) {
		t.Errorf("with itself: %g, %g", tau, rho)
	}
	if tau, rho := KendallTau(x, y), Spearman(x, y); !near(tau, -1) || !near(rho, -1) {
		t.Errorf("with its opposite: %g, %g", tau, rho)
	}
	flat := make([]float64, 50)
	if tau, rho := KendallTau(x, flat), Spearman(x, flat); tau != 0 || rho != 0 {
		t.Errorf("with what does not vary: %g, %g", tau, rho)
	}
	// 1 - 6·Σd²/(n(n²-1)), without ties
	if rho := Spearman([]float64{1, 2, 3, 4}, []float64{2, 1, 4, 3}); !near(rho, 1-6*4.0/(4*15)) {
		t.Errorf("Spearman %g", rho)
	}
}

// A verified table predicts by its fit, layer by layer and as a whole, and its interval holds the fit's error.
func TestPredictionsUseTheFit(t *testing.T) {
	table, s := sample(t, "tiny")
	a := randomNetwork(s, rand.New(rand.NewPCG(3, 3)))
	table.Verification = verification()
	total, layers, err := table.Network(a)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.5
	for i, o := range a.Ops() {
		raw, _ := table.raw(o.Key(), nil)
		scale := 2.0
		if strings.HasPrefix(o.Key(), "mbconv_") {
			scale = 0.5
		}
		if one := scale * max(0, raw.MS-table.CallMS); !near(layers[i].MS, one) {
			t.Errorf("layer %d: %g ms, want %g", i, layers[i].MS, one)
		}
		want += layers[i].MS
	}
	if !near(total.MS, want) || total.LowMS > 0.9*want+1e-9 || total.HighMS < 1.1*want-1e-9 {
		t.Errorf("total %+v, want %g", total, want)
	}
	if p, err := table.Predict(a); err != nil || !p.Verified {
		t.Errorf("prediction %+v, %v", p, err)
	}
	// Of another resolution it knows nothing.
	table.Verification.Resolution = 64
	if p, err := table.Predict(a); err != nil || p.Verified {
		t.Errorf("prediction %+v, %v", p, err)
	}
	if fixed := table.Fixed(); fixed.MS != 0.5 {
		t.Errorf("fixed %+v", fixed)
	}
}

func TestVerificationIsKept(t *testing.T) {
	table, _ := sample(t, "tiny")
	table.Verification = verification()
	data, err := table.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := parse("a.lut.json", data)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(table.Verification)
	b, _ := json.Marshal(back.Verification)
	if string(a) != string(b) || !back.Verified() {
		t.Errorf("%s\nread as\n%s", a, b)
	}
}

func TestNearestReference(t *testing.T) {
	v := verification()
	for ms, want := range map[float64]float64{0.01: 0.7, 0.9: 0.7, 1.01: 1.4, 5: 1.4} { // between 0.7 and 1.4 lies 0.99, by ratio
		if got := v.Nearest(ms); got == nil || got.MedianMS != want {
			t.Errorf("nearest to %g ms: %+v, want %g ms", ms, got, want)
		}
	}
	v.References = nil
	if got := v.Nearest(1); got != nil {
		t.Errorf("of none: %+v", got)
	}
}

func TestVerificationsThatCannotBe(t *testing.T) {
	for place, spoil := range map[string]func(*Verification){
		"resolution":                     func(v *Verification) { v.Resolution = 0 },
		"noise_share":                    func(v *Verification) { v.NoiseShare = -1 },
		"fit: networks":                  func(v *Verification) { v.Fit.Networks = 0 },
		"fit: offset_ms":                 func(v *Verification) { v.Fit.OffsetMS = -1 },
		"fit: terms[0]: pattern":         func(v *Verification) { v.Fit.Terms[0].Pattern = "[" },
		"fit: terms[1]: scale":           func(v *Verification) { v.Fit.Terms[1].Scale = -1 },
		"fit: the last term":             func(v *Verification) { v.Fit.Terms = v.Fit.Terms[:1] },
		"fit: 0 terms":                   func(v *Verification) { v.Fit.Terms = nil },
		"fit: residual_share":            func(v *Verification) { v.Fit.ResidualShare = 1e9 },
		"held_out: networks":             func(v *Verification) { v.HeldOut.Networks = 0 },
		"plain_sum: kendall_tau":         func(v *Verification) { v.Sum.Tau = 2 },
		"plain_sum: within_5_percent":    func(v *Verification) { v.Sum.Within5.Low = 1 },
		"references[1]: operations: ":    func(v *Verification) { v.References[1].Operations += " " },
		"references[0]: median_ms":       func(v *Verification) { v.References[0].MedianMS = 1e-300 },
		"references[1]: operations are":  func(v *Verification) { v.References[1].Operations = space.MobileNetV2(0.1, 64, 10).Keys() },
		"references[0]: operations have": func(v *Verification) { v.References[0].Operations = space.MobileNetV2(6, 32, 10).Keys() },
		"references has 22":              func(v *Verification) { v.References = append(v.References, make([]Reference, 20)...) },
		"calls_before is missing":        func(v *Verification) { v.CallsBefore = 0 },
		"calls_before":                   func(v *Verification) { v.CallsBefore = 1 << 30 },
	} {
		table, _ := sample(t, "tiny")
		table.Verification = verification()
		spoil(table.Verification)
		if err := table.Check(); err == nil || !strings.HasPrefix(err.Error(), "verification: "+place) {
			t.Errorf("%s: error %v", place, err)
		}
	}
}

func TestRanksOfWhatCannotBeCompared(t *testing.T) {
	if got := Spearman([]float64{1, math.NaN(), 3}, []float64{1, 2, 3}); math.IsNaN(got) || got < -1 || got > 1 {
		t.Errorf("correlation %g", got)
	}
}
