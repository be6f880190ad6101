package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/profiler"
)

// samplesOf gives the medians of the rounds that count, corrected by the sentinel or as observed, of each entry whose samples are in the journal beside the table; nil
// where there is no journal. An entry of which the journal says something else, because it was measured again, has none, and
// stderr says how many are so.
func samplesOf(t *lut.Table, correct bool, stderr io.Writer) (lut.Samples, error) {
	path := profiler.JournalPath(t.Path())
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	journal, err := profiler.ReadJournal(path)
	if err != nil {
		return nil, err
	}
	log, err := journal.Log()
	if err != nil {
		return nil, exit.BadInput("%s: %w", path, err)
	}
	known := map[string]profiler.Measurement{}
	for _, m := range log.Measurements() {
		known[m.Op.Key()] = m
	}
	samples := func(e *lut.Entry) []float64 {
		m, ok := known[e.Key]
		if !ok || e.Position != nil || !m.Describes(e) {
			return nil
		}
		return m.RoundMedians(correct)
	}
	stale := 0
	for i := range t.Entries {
		if e := &t.Entries[i]; samples(e) == nil && e.HasInterval() {
			stale++
		}
	}
	if stale > 0 {
		fmt.Fprintf(stderr, "warning: %s has not the samples of %d of %s of its table\n", path, stale, operations(len(t.Entries)))
	}
	return samples, nil
}
