package lut

import (
	"cmp"
	"slices"

	"densenas/supernet/space"
)

// Dimension is a size of an op that makes it do more work.
type Dimension string

// The dimensions. byWidth is that of an op which has as many channels going in as out and adds its input or is the identity:
// neither can change alone.
const (
	byResolution  Dimension = "resolution"
	byInputWidth  Dimension = "input width"
	byOutputWidth Dimension = "output width"
	byWidth       Dimension = "width"
	byKernel      Dimension = "kernel"
	byExpansion   Dimension = "expansion"
)

// Inversion is an op that does more work than another one, in one dimension and all else being equal, and measured faster:
// its interval is below the other's.
type Inversion struct {
	Dimension       Dimension
	Smaller, Larger *Entry
}

// Ratio is the smaller op's median over the larger one's: 1.2 says that it took 20 % longer.
func (i Inversion) Ratio() float64 { return i.Smaller.MedianMS / i.Larger.MedianMS }

// maxInversions bounds what is listed; all are counted.
const maxInversions = 1000

// Report is what Lint found.
type Report struct {
	Entries int
	// Inversions are the worst first, at most 1000; Inverted counts all.
	Inversions []Inversion
	Inverted   int
	// Flags counts entries by flag. Flagged are those with any.
	Flags   map[string]int
	Flagged int
	// WithoutInterval counts entries without an interval, which cannot be held against others.
	WithoutInterval int
	Verified        bool
	Warnings        int // of the profiler's doctor
}

// Lint looks for what is wrong with a table, from the table alone. Of each op it reports, in every dimension, at most the
// worst inversion with a smaller one. An inversion is no proof of a bad measurement: some kernels are made for certain
// widths, and a smaller one misses them.
func Lint(t *Table) *Report {
	r := &Report{Entries: len(t.Entries), Flags: map[string]int{}, Verified: t.Verified(), Warnings: len(t.Warnings)}
	groups := map[group][]sized{}
	for i := range t.Entries {
		e := &t.Entries[i]
		for _, flag := range e.Flags {
			r.Flags[flag]++
		}
		r.Flagged += min(len(e.Flags), 1)
		if !e.HasInterval() {
			r.WithoutInterval++
			continue
		}
		ops, err := e.Ops()
		if err != nil {
			continue // a table that Check refuses
		}
		for _, d := range []Dimension{byResolution, byInputWidth, byOutputWidth, byWidth, byKernel, byExpansion} {
			if rest, size, ok := d.without(ops); ok {
				g := group{dimension: d, of: rest, at: e.place()}
				g.at.key = ""
				groups[g] = append(groups[g], sized{e, size})
			}
		}
	}
	for g, members := range groups {
		r.Inversions = append(r.Inversions, inversions(g.dimension, members)...)
	}
	slices.SortFunc(r.Inversions, func(a, b Inversion) int {
		return cmp.Or(cmp.Compare(b.Ratio(), a.Ratio()), cmp.Compare(a.Larger.Name(), b.Larger.Name()), cmp.Compare(a.Dimension, b.Dimension))
	})
	r.Inverted = len(r.Inversions)
	r.Inversions = r.Inversions[:min(r.Inverted, maxInversions)]
	return r
}

// group is of ops that are equal but for one dimension, at the same place.
type group struct {
	dimension Dimension
	of        [2]space.Op // one, or stem and first block; 0 in the dimension
	at        place
}

// sized is an entry and its size in a dimension.
type sized struct {
	*Entry
	size int
}

// without takes a dimension out of ops; false where they have it not, or it cannot change alone. Stem and first block as one
// change in resolution alone.
func (d Dimension) without(ops []space.Op) (rest [2]space.Op, size int, ok bool) {
	copy(rest[:], ops)
	op := &rest[0]
	square := op.Kind == space.Skip || op.Shortcut()
	if d == byResolution {
		size, op.Resolution = op.Resolution, 0
		rest[1].Resolution = 0
		return rest, size, true
	}
	if len(ops) > 1 {
		return rest, 0, false
	}
	switch {
	case d == byWidth && square:
		size, op.In, op.Out = op.In, 0, 0
	case d == byInputWidth && !square:
		size, op.In = op.In, 0
	case d == byOutputWidth && !square:
		size, op.Out = op.Out, 0
	case d == byKernel:
		size, op.Kernel = op.Kernel, 0
	case d == byExpansion:
		size, op.Expansion = op.Expansion, 0
	}
	return rest, size, size > 0
}

// inversions holds each member against the smaller one that was slowest beyond its interval, which stands for all: a member
// that is faster than any smaller one is faster than that. So a group of n takes n·log n steps.
func inversions(d Dimension, members []sized) []Inversion {
	slices.SortFunc(members, func(a, b sized) int { return cmp.Or(cmp.Compare(a.size, b.size), cmp.Compare(a.Key, b.Key)) })
	var found []Inversion
	var slowest *Entry // of the strictly smaller ones
	for i := 0; i < len(members); {
		next := slowest
		k := i
		for ; k < len(members) && members[k].size == members[i].size; k++ {
			e := members[k].Entry
			if slowest != nil && e.HighMS < slowest.LowMS {
				found = append(found, Inversion{d, slowest, e})
			}
			if next == nil || e.LowMS > next.LowMS {
				next = e
			}
		}
		slowest, i = next, k
	}
	return found
}
