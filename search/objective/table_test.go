package objective

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// measured is a table with an entry per op, a random time of 1 to 2 ms each and a call of half a millisecond.
func measured(r *rand.Rand, s *space.Space) *lut.Table {
	table := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{s.Resolution}, DType: "f32", Layout: "nhwc",
		CallMS: 0.5, CallLowMS: 0.5, CallHighMS: 0.5}
	for _, c := range s.Ops() {
		table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 1 + r.Float64()})
	}
	return table
}

func TestFromTableLooksEveryPlaceUp(t *testing.T) {
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	table := measured(rand.New(rand.NewPCG(1, 0)), s)
	ms := map[string]float64{}
	for _, e := range table.Entries {
		ms[e.Key] = e.MedianMS - table.CallMS
	}
	c, err := FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string, got float64, ops ...space.Op) {
		want := 0.0
		for _, op := range ops {
			want += ms[op.Key()]
		}
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s takes %g ms, the table says %g", what, got, want)
		}
	}
	same("stem", c.StemAndFirst, s.StemOp(), s.FirstOp())
	same("classifier", c.Classifier, s.ClassifierOp())
	for b := 1; b <= len(s.Blocks); b++ {
		for _, i := range s.Incoming(b) {
			for k, op := range s.HeadOps(i) {
				if b == len(s.Blocks) {
					same(op.Key(), c.Final[i.Incoming], op)
				} else {
					same(op.Key(), c.Head[b][i.Incoming][k], op)
				}
			}
		}
		if b == len(s.Blocks) {
			continue
		}
		if len(c.Stack[b]) != s.Blocks[b].Layers {
			t.Errorf("block %d has %d stacked layers, want %d", b, len(c.Stack[b]), s.Blocks[b].Layers)
		}
		for _, layer := range c.Stack[b] {
			for k, op := range s.StackOps(b) {
				same(op.Key(), layer[k], op)
			}
		}
	}
	if c.Call != table.CallMS {
		t.Errorf("a call takes %g ms, the table says %g", c.Call, table.CallMS)
	}
}

func TestFromTableTakesPlaces(t *testing.T) {
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	table := measured(rand.New(rand.NewPCG(2, 0)), s)
	op, layer, connection := s.StackOps(5)[0], lut.Layer(5, 1), lut.Connection(len(s.Blocks), 1)
	table.Entries = append(table.Entries, lut.Entry{Key: op.Key(), Position: &layer, MedianMS: 10.5},
		lut.Entry{Key: s.FinalOp(s.Incoming(len(s.Blocks))[1]).Key(), Position: &connection, MedianMS: 20.5})
	c, err := FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	if c.Stack[5][1][0] != 10 || c.Stack[5][0][0] > 2 || c.Final[1] != 20 || c.Final[0] > 2 {
		t.Errorf("at its place %g ms, in the layer before %g; on its connection %g, on the other %g", c.Stack[5][1][0], c.Stack[5][0][0], c.Final[1], c.Final[0])
	}
	// A space of one's own is predicted without places.
	own := *s
	own.Name = "own"
	if c, err = FromTable(&own, table); err != nil || c.Stack[5][1][0] > 2 {
		t.Errorf("another space takes the entry at a place too: %g, %v", c.Stack[5][1][0], err)
	}
}

func TestFromTableNamesMissingKeys(t *testing.T) {
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	table := measured(rand.New(rand.NewPCG(3, 0)), s)
	missing := table.Entries[7].Key
	table.Entries = append(table.Entries[:7], table.Entries[8:]...)
	_, err = FromTable(s, table)
	var want lut.MissingError
	if !errors.As(err, &want) || exit.Code(err) != 2 || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "--space tiny --resolution 32") {
		t.Errorf("a missing key gave %v", err)
	}
}
