package main

import (
	"math"
	"testing"
)

func TestShare(t *testing.T) {
	for text, want := range map[string]float64{"5%": 0.05, "0.05": 0.05, " 2.5 %": 0.025, "0": 0, "1": 1, "200%": 2, "1e-3": 0.001} {
		var s share
		if err := s.Set(text); err != nil || math.Abs(s.value-want) > 1e-15 || !s.set {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "%", "5", "-1%", "-0.05", "5 percent", "NaN", "inf%", "5%%", "1e9%", "nan%"} {
		var s share
		if err := s.Set(text); err == nil || s.set {
			t.Errorf("%q is accepted as %+v", text, s)
		}
	}
	if s := (share{0.05, true}); s.String() != "5%" {
		t.Errorf("5 %% is shown as %s", s.String())
	}
}

func FuzzShare(f *testing.F) {
	for _, text := range []string{"5%", "0.05", "1e-300%", "0x1p-2", "-0", "%%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s share
		if err := s.Set(text); err != nil {
			return
		}
		if !(s.value >= 0 && s.value <= maxShare) {
			t.Fatalf("%q is %g", text, s.value)
		}
		var again share
		if err := again.Set(s.String()); err != nil || math.Abs(again.value-s.value) > 1e-9*s.value {
			t.Fatalf("%q is shown as %q, which reads %g, %v", text, s.String(), again.value, err)
		}
	})
}
