package objective

import (
	"fmt"
	"slices"

	"densenas/lut"
	"densenas/supernet/space"
)

// FromTable looks up all that a space can choose. Entries that the table has for places are taken where the space is a
// built-in one, as in the table's prediction of a whole network. A table that lacks ops of the space is a lut.MissingError,
// which is bad input.
func FromTable(s *space.Space, table *lut.Table) (*Costs, error) {
	var ops []space.Op
	for _, c := range s.Ops() {
		ops = append(ops, c.Op)
	}
	if err := table.Require(ops, fmt.Sprintf("--space %s --resolution %d", s.Name, s.Resolution)); err != nil {
		return nil, err
	}
	l := lookup{table: table}
	c := costsOf(s, "ms", l.of)
	c.Call = table.Fixed().MS
	stem, err := table.Entry(s.EntryOps()...)
	if err == nil {
		err = l.err
	}
	c.StemAndFirst = stem.MS
	return c, err
}

// lookup reads a table and keeps the first error.
type lookup struct {
	table *lut.Table
	err   error
}

func (l *lookup) of(op space.Op, at *lut.Position) float64 {
	estimate, err := l.table.Op(op, at)
	if err != nil && l.err == nil {
		l.err = err
	}
	return estimate.MS
}

// costsOf asks for the cost of everything that a space can choose but stem and first block, each at its place where the space is
// a built-in one.
func costsOf(s *space.Space, unit string, of func(op space.Op, at *lut.Position) float64) *Costs {
	at := func(place lut.Position) *lut.Position { return &place }
	if !slices.Contains(space.Names(), s.Name) {
		at = func(lut.Position) *lut.Position { return nil }
	}
	row := func(ops []space.Op, at *lut.Position) []float64 {
		row := make([]float64, len(ops))
		for i, op := range ops {
			row[i] = of(op, at)
		}
		return row
	}
	n := len(s.Blocks)
	c := &Costs{Space: s, Unit: unit, Head: make([][][]float64, n), Stack: make([][][]float64, n)}
	for b := 1; b < n; b++ {
		for _, i := range s.Incoming(b) {
			c.Head[b] = append(c.Head[b], row(s.HeadOps(i), at(lut.Connection(b, i.Incoming))))
		}
		for layer := range s.Blocks[b].Layers {
			c.Stack[b] = append(c.Stack[b], row(s.StackOps(b), at(lut.Layer(b, layer))))
		}
	}
	for _, i := range s.Incoming(n) {
		c.Final = append(c.Final, of(s.FinalOp(i), at(lut.Connection(n, i.Incoming))))
	}
	c.Classifier = of(s.ClassifierOp(), nil)
	if s.Final.SuperNetworkOnly {
		for _, i := range s.Incoming(n) {
			c.Ends = append(c.Ends, of(s.EndOps(i)[0], nil))
		}
	}
	return c
}
