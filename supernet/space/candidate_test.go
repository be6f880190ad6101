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
