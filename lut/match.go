package lut

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"densenas/internal/exit"
)

// Settings are what a search wants a table to have been measured for.
type Settings struct {
	Resolution int // side of the network's input
	Batch      int
	DType      string // empty: f32
	Caches     string // Warm or Cold; empty: Warm
}

// CheckMatch refuses, as bad input, a table that was measured for another resolution, batch, precision or state of the caches.
// The messages name the flags of a search that name the table's.
func (t *Table) CheckMatch(want Settings) error {
	name := t.path
	if name == "" {
		name = "table"
	}
	if !slices.Contains(t.Resolutions, want.Resolution) {
		have := make([]string, len(t.Resolutions))
		for i, r := range t.Resolutions {
			have[i] = fmt.Sprint(r)
		}
		flags := "--lut-resolution " + strings.Join(have, " or --lut-resolution ")
		return exit.BadInput("%s: measured for resolution %s, but %d is wanted; name a table for %d, or optimise for the table's with %s",
			name, strings.Join(have, ", "), want.Resolution, want.Resolution, flags)
	}
	if t.Batch != want.Batch {
		return exit.BadInput("%s: measured at batch %d, but %d is wanted; name a table at batch %d, or optimise for the table's with --lut-batch %d",
			name, t.Batch, want.Batch, want.Batch, t.Batch)
	}
	if dtype := cmp.Or(want.DType, F32); t.DType != dtype {
		return exit.BadInput("%s: measured with %s, but %s is wanted; name a table of %s, or optimise for the table's with --lut-dtype %s",
			name, t.DType, dtype, dtype, t.DType)
	}
	// An imported table does not say it.
	if caches := cmp.Or(want.Caches, Warm); t.Caches != "" && t.Caches != caches {
		return exit.BadInput("%s: measured with %s caches, but %s ones are wanted; name another table, or optimise for the table's with --lut-caches %s",
			name, t.Caches, caches, t.Caches)
	}
	return nil
}
