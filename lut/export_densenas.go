package lut

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"densenas/supernet/space"
)

// shortestMS is written for an op that takes no longer than an empty call: the form has no place for a time of 0.
const shortestMS = 1e-6

// ExportDenseNAS writes a table in the form of the published implementation, which [ImportDenseNAS] reads and describes, for
// all ops of a space. A table that lacks one is a MissingError, which is bad input.
//
// The form knows sums alone, so what it says adds up to the latency of a network as of [Table.Network]: times are without
// the empty call and, in a verified table, by the scale of the fit; what a network takes once, the call or the fit's offset,
// is in the first number, of stem and first block. Stacked layers beyond the space's are written where the table has them, so
// that an imported table comes out with the times that it came from.
func ExportDenseNAS(w io.Writer, t *Table, s *space.Space) error {
	var ops []space.Op
	for _, c := range s.Ops() {
		ops = append(ops, c.Op)
	}
	if err := t.Require(ops, fmt.Sprintf("--space %s --resolution %d", s.Name, s.Resolution)); err != nil {
		return err
	}
	x := exporter{table: t, space: s}
	if err := x.write(); err != nil {
		return err
	}
	_, err := w.Write(x.text.Bytes())
	return err
}

// exporter writes the nested list into text.
type exporter struct {
	table *Table
	space *space.Space
	text  bytes.Buffer
}

func (x *exporter) write() error {
	t, s := x.table, x.space
	stem, err := t.Entry(s.EntryOps()...)
	if err != nil {
		return err
	}
	x.text.WriteByte('[')
	x.number(stem.MS + t.Fixed().MS)
	x.text.WriteString(",\n [")
	layers := x.layers()
	for block := 1; block < len(s.Blocks); block++ {
		if block > 1 {
			x.text.WriteString(",\n  ")
		}
		x.text.WriteString("[[")
		for i, c := range s.Incoming(block) {
			x.comma(i)
			if err := x.row(s.HeadOps(c), Connection(block, i)); err != nil {
				return err
			}
		}
		x.text.WriteString("], [")
		for layer := range layers[block] {
			x.comma(layer)
			var ops []space.Op
			for _, candidate := range s.StackCandidates {
				ops = append(ops, stackOp(s, block, candidate))
			}
			if err := x.row(ops, Layer(block, layer)); err != nil {
				return err
			}
		}
		x.text.WriteString("]]")
	}
	x.text.WriteString("],\n [")
	for i, c := range s.Incoming(len(s.Blocks)) {
		x.comma(i)
		at := Connection(len(s.Blocks), i)
		if err := x.op(s.FinalOp(c), &at); err != nil {
			return err
		}
	}
	x.text.WriteString("], ")
	if err := x.op(s.ClassifierOp(), nil); err != nil {
		return err
	}
	x.text.WriteString("]\n")
	return nil
}

// layers is the number of stacked layers of each block: the space's, or more where the table has entries at all the ops of
// the layers that follow.
func (x *exporter) layers() []int {
	s := x.space
	at := map[place]bool{}
	for i := range x.table.Entries {
		at[x.table.Entries[i].place()] = true
	}
	has := func(block, layer int) bool {
		p := Layer(block, layer)
		for _, candidate := range s.StackCandidates {
			e := Entry{Key: stackOp(s, block, candidate).Key(), Position: &p}
			if !at[e.place()] {
				return false
			}
		}
		return true
	}
	layers := make([]int, len(s.Blocks))
	for block := range s.Blocks {
		layers[block] = s.Blocks[block].Layers
		for layers[block] < space.MaxLayers && has(block, layers[block]) {
			layers[block]++
		}
	}
	return layers
}

// row writes the list of a place's candidates.
func (x *exporter) row(ops []space.Op, at Position) error {
	x.text.WriteByte('[')
	for i, op := range ops {
		x.comma(i)
		if err := x.op(op, &at); err != nil {
			return err
		}
	}
	x.text.WriteByte(']')
	return nil
}

func (x *exporter) op(op space.Op, at *Position) error {
	estimate, err := x.table.Op(op, at)
	if err != nil {
		return err
	}
	x.number(estimate.MS)
	return nil
}

func (x *exporter) number(ms float64) {
	x.text.WriteString(strconv.FormatFloat(max(ms, shortestMS), 'g', -1, 64))
}

// comma comes before all elements but the first.
func (x *exporter) comma(i int) {
	if i > 0 {
		x.text.WriteString(", ")
	}
}
