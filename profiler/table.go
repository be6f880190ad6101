package profiler

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"densenas/internal/exit"
	"densenas/lut"
)

// Flags of entries.
const (
	// Noisy: the interval is wider than asked for.
	Noisy = "noisy"
	// Throttled: the device was far slower than over the rest of the run, as its sentinel shows.
	Throttled = "throttled"
)

// Settings are what all entries of a table have in common.
type Settings struct {
	Device      lut.Device
	Runtime     lut.Runtime
	Threads     int    // that the runtime may use; 0 on an accelerator
	Processors  []int  // that all threads are bound to, ascending; nil: those that the process was given
	Batch       int    // images per call
	Resolutions []int  // sides of the network inputs, ascending
	DType       string // "f32"
	Layout      string // "nhwc" (also where empty) or "nchw"
	Policy      Policy
}

// NewTable is a table of the settings without entries.
func (s Settings) NewTable() *lut.Table {
	return &lut.Table{
		Device: s.Device, Runtime: s.Runtime, Threads: s.Threads, Processors: s.Processors, Batch: s.Batch, Resolutions: s.Resolutions, DType: s.DType, Layout: cmp.Or(s.Layout, "nhwc"),
		Caches: s.Policy.Caches,
		Policy: &lut.Policy{
			Precision:    s.Policy.Precision,
			MinRounds:    s.Policy.MinRounds,
			MaxRounds:    s.Policy.MaxRounds,
			WarmUpMS:     milliseconds(s.Policy.Settle),
			MinLapMS:     milliseconds(s.Policy.MinLap),
			OpLimitMS:    milliseconds(s.Policy.Limit),
			TotalLimitMS: milliseconds(s.Policy.Total),
			Seed:         int64(s.Policy.Seed),
		},
	}
}

// Continue reads the table at path, to be continued under these settings; nil where there is no file. A table that was
// measured otherwise is bad input that says what differs.
func (s Settings) Continue(path string) (*lut.Table, error) {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	table, err := lut.Read(path)
	if err != nil {
		return nil, err
	}
	if differences := s.Differences(table); len(differences) > 0 {
		return nil, exit.BadInput("%s: measured otherwise, with %s; write to another file, or remove this one", path, strings.Join(differences, "; "))
	}
	return table, nil
}

// Differences lists how a table was measured otherwise, as "batch 32 instead of 1". An empty call that is not known yet is none.
func (s Settings) Differences(t *lut.Table) []string {
	want := s.NewTable()
	want.CallMS = t.CallMS
	differences := lut.Differences(t, want)
	if !slices.Equal(t.Resolutions, want.Resolutions) {
		differences = append(differences, lut.Difference{Field: "resolutions", A: fmt.Sprint(t.Resolutions), B: fmt.Sprint(want.Resolutions)})
	}
	var list []string
	for _, d := range differences {
		list = append(list, fmt.Sprintf("%s %s instead of %s", d.Field, d.A, d.B))
	}
	return list
}

// Fill puts what was measured into a table, in place of older entries of the same keys, with the empty call and the sentinel.
func (s Settings) Fill(t *lut.Table, l *Log, sentinel string) {
	if call := l.Call(); call.Rounds > 0 {
		t.CallMS, t.CallLowMS, t.CallHighMS = call.MedianMS, call.LowMS, call.HighMS
	}
	t.Sentinel = l.describeSentinel(sentinel)
	at := map[string]int{}
	for i := range t.Entries {
		if t.Entries[i].Position == nil {
			at[t.Entries[i].Key] = i
		}
	}
	for _, m := range l.Measurements() {
		entry := m.entry()
		if m.Noisy || (m.HighMS-m.LowMS)/2 > s.Policy.Precision*m.MedianMS {
			entry.Flags = append(entry.Flags, Noisy)
		}
		if m.Throttled || t.Sentinel != nil && m.slow(t.Sentinel.MedianMS) {
			entry.Flags = append(entry.Flags, Throttled)
		}
		if i, known := at[entry.Key]; known {
			t.Entries[i] = entry
		} else {
			t.Entries = append(t.Entries, entry)
		}
	}
}

// betweenRuns is by how much the medians of runs differ beyond what the rounds of one show, relative and at 95 %: an operation
// is compiled anew, and its data lie elsewhere.
const betweenRuns = 0.01

// entry describes an operation. Its interval is wider than that of the rounds by what runs differ.
func (m *Measurement) entry() lut.Entry {
	more := betweenRuns * m.MedianMS
	return lut.Entry{
		Key: m.Op.Key(), MedianMS: m.MedianMS, LowMS: max(m.MedianMS-math.Hypot(m.MedianMS-m.LowMS, more), 0), HighMS: m.MedianMS + math.Hypot(m.HighMS-m.MedianMS, more), MADMS: m.MADMS, P10MS: m.P10MS, P90MS: m.P90MS, MinMS: m.MinMS,
		Count: m.Count, Rounds: m.Summary.Rounds, MultiplyAdds: m.Op.MultiplyAdds(), Lowering: m.Lowering,
	}
}
