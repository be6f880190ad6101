package objective

import (
	"densenas/lut"
	"densenas/supernet/space"
)

// MultiplyAdds are the costs of a space in millions of multiply-adds of one image. A skip has none.
func MultiplyAdds(s *space.Space) *Costs {
	return count(s, "M multiply-adds", space.Op.MultiplyAdds)
}

// Parameters are the costs of a space in millions of weights, with batch norm's scale and offset. A skip has none.
func Parameters(s *space.Space) *Costs { return count(s, "M parameters", space.Op.Parameters) }

func count(s *space.Space, unit string, of func(space.Op) int64) *Costs {
	millions := func(op space.Op, _ *lut.Position) float64 { return float64(of(op)) / 1e6 }
	c := costsOf(s, unit, millions)
	c.StemAndFirst = millions(s.StemOp(), nil) + millions(s.FirstOp(), nil)
	return c
}
