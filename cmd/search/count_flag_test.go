package main

import "testing"

func TestMillions(t *testing.T) {
	for text, want := range map[string]millions{"300M": 300, "2.5k": 0.0025, "1G": 1000, "4000000": 4, "1e6": 1, "0.5M": 0.5} {
		var m millions
		if err := m.Set(text); err != nil || m != want {
			t.Errorf("%s is %g, %v", text, m, err)
		}
		var again millions
		if err := again.Set(m.String()); err != nil || again != m {
			t.Errorf("%s is written as %s and read as %g, %v", text, m.String(), again, err)
		}
	}
	for _, text := range []string{"", "M", "0", "-3M", "NaN", "InfM", "3m", "3 M", "1e300G"} {
		var m millions
		if err := m.Set(text); err == nil {
			t.Errorf("%q is %g", text, m)
		}
	}
}
