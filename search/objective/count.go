package objective

import (
	"densenas/lut"
	"densenas/supernet/space"
)

// MultiplyAdds are the costs of a space in multiply-adds of one image. A skip has none of its own; the space may say that it
// costs a share of the layer's first candidate. The others are whole numbers, so the sums of architectures, which have no skips, are
// exact.
func MultiplyAdds(s *space.Space) *Costs {
	return count(s, "multiply-adds", space.Op.MultiplyAdds)
}

// Parameters are the costs of a space in weights, with batch norm's scale and offset. Skips are as in MultiplyAdds.
func Parameters(s *space.Space) *Costs { return count(s, "parameters", space.Op.Parameters) }

func count(s *space.Space, unit string, of func(space.Op) int64) *Costs {
	number := func(op space.Op, _ *lut.Position) float64 { return float64(of(op)) }
	c := costsOf(s, unit, number)
	for _, op := range s.EntryOps() {
		c.StemAndFirst += number(op, nil)
	}
	for _, block := range c.Stack {
		for _, layer := range block {
			for i, candidate := range s.StackCandidates {
				if candidate.Kind == space.Skip {
					layer[i] = s.SkipCost * layer[0]
				}
			}
		}
	}
	return c
}
