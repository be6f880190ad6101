package space

import "testing"

func TestCandidateText(t *testing.T) {
	for text, want := range map[string]Candidate{"mbconv_k3_t6": {MBConv, 3, 6}, "mbconv_k7_t1": {MBConv, 7, 1}, "skip": {Kind: Skip}, "basic": {Kind: Basic}} {
		if got, err := ParseCandidate(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q reads as %+v (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "skip_connect", "basic_block", "basic_k3", "final", "conv", "mbconv", "mbconv_k3", "mbconv_k3_t", "mbconv_k4_t3", "mbconv_k3_t0", "mbconv_k3_t9",
		"mbconv_k03_t3", "mbconv_k3_t3 ", "mbconv_k3_t3_i8", "mbconv_k3_t99999999999999999999", "stem"} {
		if got, err := ParseCandidate(text); err == nil {
			t.Errorf("%q reads as %+v", text, got)
		}
	}
}

func TestBase(t *testing.T) {
	parse := func(texts ...string) (out []Candidate) {
		for _, text := range texts {
			c, err := ParseCandidate(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, c)
		}
		return out
	}
	for _, c := range []struct {
		candidates []Candidate
		want       int
	}{
		{parse("mbconv_k3_t3", "mbconv_k3_t6", "mbconv_k5_t3", "skip"), 0},
		{parse("skip", "mbconv_k7_t6", "mbconv_k5_t3"), 2},
		{parse("skip", "basic"), 1},
		{parse("skip"), 0},
		// Expansion 1 is extended by itself alone.
		{parse("mbconv_k3_t1", "mbconv_k5_t6", "mbconv_k3_t3"), 2},
		// Neither extends the other.
		{parse("mbconv_k3_t6", "mbconv_k5_t3"), 0},
	} {
		if got := Base(c.candidates); got != c.want {
			t.Errorf("the base of %v is %v, want %v", c.candidates, c.candidates[got], c.candidates[c.want])
		}
	}
}
