package lut

import (
	"math/rand/v2"
	"testing"
)

// What a read table answers is what the same entries answer without an index, also after they were changed.
func TestIndexAnswersAsTheEntriesDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	built, _ := sample(t, small)
	for i := range 6 { // some keys at several places
		e := built.Entries[i+5]
		for layer := range 1 + rng.IntN(3) {
			place := Layer(2, layer)
			e.Position, e.MedianMS = &place, e.MedianMS+0.125
			built.Entries = append(built.Entries, e)
		}
	}
	data, err := built.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Table){
		"as read":          func(*Table) {},
		"median in place":  func(t *Table) { t.Entries[3].MedianMS += 0.0625 },
		"place in place":   func(t *Table) { place := Layer(2, 9); t.Entries[len(t.Entries)-1].Position = &place },
		"exchanged":        func(t *Table) { t.Entries[1], t.Entries[9] = t.Entries[9], t.Entries[1] },
		"one more":         func(t *Table) { t.Entries = append(t.Entries, Entry{Key: "skip_i7_o7_s1_r7", MedianMS: 3}) },
		"one less":         func(t *Table) { t.Entries = t.Entries[1:] },
		"the last is gone": func(t *Table) { t.Entries = t.Entries[:len(t.Entries)-1] },
		"a new key":        func(t *Table) { t.Entries[4].Key = "skip_i9_o9_s1_r9" },
		"none":             func(t *Table) { t.Entries = nil },
	} {
		table, err := parse("a.lut.json", data)
		if err != nil {
			t.Fatal(err)
		}
		if table.index == nil {
			t.Fatal("a table that was read has no index")
		}
		before := append([]Entry(nil), table.Entries...)
		change(table)
		plain := &Table{Entries: table.Entries}
		for _, e := range append(append(before, table.Entries...), Entry{Key: "skip_i5_o5_s1_r5"}) {
			for _, at := range []*Position{nil, e.Position} {
				got, gotFound := table.raw(e.Key, at)
				want, wantFound := plain.raw(e.Key, at)
				if got != want || gotFound != wantFound {
					t.Errorf("%s: %s: %+v, %t; without an index %+v, %t", name, e.Key, got, gotFound, want, wantFound)
				}
			}
		}
	}
}
