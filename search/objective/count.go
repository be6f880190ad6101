package objective

import (
	"densenas/lut"
	"densenas/supernet/space"
)

// MultiplyAdds are the costs of a space in multiply-adds of one image. A skip has none. They are whole numbers, so their sums are
// exact.
func MultiplyAdds(s *space.Space) *Costs {
	return count(s, "multiply-adds", space.Op.MultiplyAdds)
}

// Parameters are the costs of a space in weights, with batch norm's scale and offset. A skip has none. They are whole numbers, so
// their sums are exact.
func Parameters(s *space.Space) *Costs { return count(s, "parameters", space.Op.Parameters) }

func count(s *space.Space, unit string, of func(space.Op) int64) *Costs {
	number := func(op space.Op, _ *lut.Position) float64 { return float64(of(op)) }
	c := costsOf(s, unit, number)
	c.StemAndFirst = number(s.StemOp(), nil) + number(s.FirstOp(), nil)
	return c
}
