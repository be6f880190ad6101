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
	at := func(place lut.Position) *lut.Position { return &place }
	if !slices.Contains(space.Names(), s.Name) {
		at = func(lut.Position) *lut.Position { return nil }
	}
	n := len(s.Blocks)
	c := &Costs{Space: s, Head: make([][][]float64, n), Stack: make([][][]float64, n), Call: table.Fixed().MS}
	for b := 1; b < n; b++ {
		for _, i := range s.Incoming(b) {
			c.Head[b] = append(c.Head[b], l.row(s.HeadOps(i), at(lut.Connection(b, i.Incoming))))
		}
		for layer := range s.Blocks[b].Layers {
			c.Stack[b] = append(c.Stack[b], l.row(s.StackOps(b), at(lut.Layer(b, layer))))
		}
	}
	for _, i := range s.Incoming(n) {
		c.Final = append(c.Final, l.row([]space.Op{s.FinalOp(i)}, at(lut.Connection(n, i.Incoming)))...)
	}
	c.Classifier = l.row([]space.Op{s.ClassifierOp()}, nil)[0]
	stem, err := table.Stem(s.StemOp(), s.FirstOp())
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

func (l *lookup) row(ops []space.Op, at *lut.Position) []float64 {
	row := make([]float64, len(ops))
	for i, op := range ops {
		estimate, err := l.table.Op(op, at)
		if err != nil && l.err == nil {
			l.err = err
		}
		row[i] = estimate.MS
	}
	return row
}
