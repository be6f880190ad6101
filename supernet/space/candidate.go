package space

import (
	"fmt"
	"strings"
)

// Candidate is one operation that a layer can choose, before the layer's place gives it widths, stride and resolution: an
// MBConv with its kernel and expansion, a Basic or a Skip (both zero).
type Candidate struct {
	Kind              Kind
	Kernel, Expansion int
}

// String is the candidate as text: mbconv_k3_t6, basic or skip.
func (c Candidate) String() string {
	if c.Kind != MBConv {
		return string(c.Kind)
	}
	return fmt.Sprintf("%s_k%d_t%d", c.Kind, c.Kernel, c.Expansion)
}

// ParseCandidate reads what String writes, and only that.
func ParseCandidate(text string) (Candidate, error) {
	c := Candidate{Kind: Kind(text)}
	unknown := fmt.Errorf("unknown candidate %.40q, allowed are mbconv_kK_tT (such as mbconv_k3_t6), %s and %s", text, Basic, Skip)
	if strings.HasPrefix(text, string(MBConv)) {
		c.Kind = MBConv
		if _, err := fmt.Sscanf(text, "mbconv_k%d_t%d", &c.Kernel, &c.Expansion); err != nil {
			return Candidate{}, unknown
		}
		if err := checkKernel(c.Kernel, 3); err != nil {
			return Candidate{}, fmt.Errorf("candidate %.40q: %w", text, err)
		}
		if c.Expansion < 1 || c.Expansion > MaxExpansion {
			return Candidate{}, fmt.Errorf("candidate %.40q: expansion is %d, allowed is 1 to %d", text, c.Expansion, MaxExpansion)
		}
	}
	if c.Kind != MBConv && c.Kind != Basic && c.Kind != Skip || c.String() != text {
		return Candidate{}, unknown
	}
	return c, nil
}

// at places the candidate in a network.
func (c Candidate) at(in, out, stride, resolution int) Op {
	return Op{Kind: c.Kind, Kernel: c.Kernel, Expansion: c.Expansion, In: in, Out: out, Stride: stride, Resolution: resolution}
}

// Extends says whether the candidate can compute all that another computes, with as large or a larger kernel and as many or more hidden
// channels. Expansion 1 has no expanding convolution, so no other expansion extends it.
func (c Candidate) Extends(other Candidate) bool {
	return c.Kind == other.Kind && c.Kernel >= other.Kernel && c.Expansion >= other.Expansion && (c.Expansion > 1) == (other.Expansion > 1)
}

// Base is the index of the candidate that the most candidates extend, the first of equals; a Skip, which has no weights, only where there is
// nothing else. Of the built-in spaces it is mbconv_k3_t3, which all but the Skip extend, or the one that there is.
func Base(candidates []Candidate) int {
	base, most := 0, -1
	for i, c := range candidates {
		n := 0
		for _, other := range candidates {
			if c.Kind != Skip && other.Extends(c) {
				n++
			}
		}
		if n > most {
			base, most = i, n
		}
	}
	return base
}
