package lut

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"densenas/internal/exit"
)

// Merged is the union of tables, and what is to be known of it.
type Merged struct {
	Table *Table
	// Conflicts are entries of the same op, at the same place, that disagree, in the order of the merged table.
	Conflicts []Conflict
	// Warnings say what the sources had and the union has not, and where the sources' devices differed in speed.
	Warnings []string
}

// Conflict is an op that two tables have measured differently: the intervals do not overlap, or one is unknown and the
// medians are not the same.
type Conflict struct {
	Kept, Left             Entry
	KeptSource, LeftSource int // which tables they are out of, in their order
}

// Ratio is the median that was kept over the one that was left out.
func (c Conflict) Ratio() float64 { return c.Kept.MedianMS / c.Left.MedianMS }

// steadySentinels is how far apart the medians of two tables' sentinels may be before it is said that the devices, or
// their states, were of unequal speed.
const steadySentinels = 0.03

// Merge unites tables that were measured on the same device, or equal ones, in the same way: see [Differences], which are
// bad input that lists them all. It takes two tables or more and changes none of them.
//
// Where several tables have an op at the same place, one entry is kept: an unflagged one before a flagged one, then one
// with an interval before one without, then the narrower interval relative to its median, then the one with more rounds,
// then that of the earlier table. The time of the empty call is chosen by the same rule, and so may be in conflict.
//
// Resolutions, notes and warnings are united, and the notes say which tables the union is of. Fields of device and policy
// that differ without consequence are those of the first table, or 0 in the policy. Sentinels of the same op are combined:
// their rounds add up, the median is the mean of their medians weighted by rounds, and the drift the widest of all,
// relative to that median. With other sentinels, or none in one table, the union has none. It is never verified, because
// its entries are not those that were held against whole networks.
func Merge(tables ...*Table) (*Merged, error) {
	if len(tables) < 2 {
		return nil, exit.BadInput("%d tables to merge, expected two or more", len(tables))
	}
	first := tables[0]
	var refused []string
	for i, t := range tables[1:] {
		for _, d := range Differences(first, t) {
			refused = append(refused, fmt.Sprintf("%s in %s, %s in %s (%s)", d.A, first.name(0), d.B, t.name(i+1), d.Field))
		}
	}
	if len(refused) > 0 {
		return nil, exit.BadInput("the tables were measured otherwise and cannot be merged: %s", strings.Join(refused, "; "))
	}
	m := &Merged{Table: &Table{Device: first.Device, Runtime: first.Runtime, Threads: first.Threads, Processors: first.Processors, Batch: first.Batch,
		DType: first.DType, Layout: first.Layout, Caches: first.Caches}}
	m.settings(tables)
	m.entries(tables)
	m.call(tables)
	m.sentinel(tables)
	for i, t := range tables {
		if t.Verified() {
			m.warn("%s: its verification is left out, as it is one of other entries; verify the merged table", t.name(i))
		}
	}
	if err := m.Table.Check(); err != nil {
		return nil, exit.BadInput("the merged table cannot be: %w; merge fewer tables", err)
	}
	return m, nil
}

// name is the file, for messages.
func (t *Table) name(i int) string { return cmp.Or(t.path, fmt.Sprintf("table %d", i+1)) }

func (m *Merged) warn(format string, a ...any) {
	m.Warnings = append(m.Warnings, fmt.Sprintf(format, a...))
}

// settings unites what is not an entry, a call or a sentinel.
func (m *Merged) settings(tables []*Table) {
	out := m.Table
	if p := tables[0].Policy; p != nil {
		same := *p
		for _, t := range tables[1:] {
			if t.Policy != nil {
				same.keepEqual(*t.Policy)
			}
		}
		out.Policy = &same
	}
	for i, t := range tables {
		out.Resolutions = append(out.Resolutions, t.Resolutions...)
		// The name alone: where the file lay is nobody's business.
		note := fmt.Sprintf("merged from %.200s of %d entries, identity %s", filepath.Base(t.name(i)), len(t.Entries), t.Identity())
		out.Notes = append(out.Notes, printableText(note))
	}
	for _, t := range tables {
		out.Notes = append(out.Notes, t.Notes...)
		out.Warnings = append(out.Warnings, t.Warnings...)
	}
	slices.Sort(out.Resolutions)
	out.Resolutions = slices.Compact(out.Resolutions)
	out.Notes, out.Warnings = distinct(out.Notes), distinct(out.Warnings)
	for _, list := range []struct {
		what  string
		texts *[]string
	}{{"notes", &out.Notes}, {"warnings", &out.Warnings}} {
		if more := len(*list.texts) - maxNotes; more > 0 {
			*list.texts = (*list.texts)[:maxNotes]
			m.warn("%d %s are left out, as a table has at most %d", more, list.what, maxNotes)
		}
	}
}

// printableText replaces, in a file's name, what a table's texts may not hold.
func printableText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// keepEqual sets to zero, which is unknown, what another policy has otherwise.
func (p *Policy) keepEqual(other Policy) {
	for _, f := range []struct{ a, b *int }{{&p.MinRounds, &other.MinRounds}, {&p.MaxRounds, &other.MaxRounds}} {
		if *f.a != *f.b {
			*f.a = 0
		}
	}
	for _, f := range []struct{ a, b *float64 }{{&p.WarmUpMS, &other.WarmUpMS}, {&p.MinLapMS, &other.MinLapMS}, {&p.OpLimitMS, &other.OpLimitMS},
		{&p.TotalLimitMS, &other.TotalLimitMS}} {
		if *f.a != *f.b {
			*f.a = 0
		}
	}
	if p.Seed != other.Seed {
		p.Seed = 0
	}
}

// distinct keeps the first of equal texts.
func distinct(texts []string) []string {
	seen := make(map[string]bool, len(texts))
	return slices.DeleteFunc(texts, func(text string) bool {
		again := seen[text]
		seen[text] = true
		return again
	})
}

// candidate is an entry and the table that it is out of.
type candidate struct {
	*Entry
	source int
}

// entries unites the entries, in the order in which they stand in the tables.
func (m *Merged) entries(tables []*Table) {
	var order []place
	found := map[place][]candidate{}
	for source, t := range tables {
		for i := range t.Entries {
			at := t.Entries[i].place()
			if found[at] == nil {
				order = append(order, at)
			}
			found[at] = append(found[at], candidate{&t.Entries[i], source})
		}
	}
	for _, at := range order {
		m.Table.Entries = append(m.Table.Entries, *m.choose(found[at]).Entry)
	}
}

// choose takes the best of the entries of an op and lists those that disagree with it.
func (m *Merged) choose(all []candidate) candidate {
	best := slices.MinFunc(all, func(a, b candidate) int { return a.compare(b.Entry) }) // the first of equal ones
	for _, c := range all {
		if c.source != best.source && best.conflicts(c.Entry) {
			m.Conflicts = append(m.Conflicts, Conflict{Kept: *best.Entry, Left: *c.Entry, KeptSource: best.source, LeftSource: c.source})
		}
	}
	return best
}

// compare is below 0 where e is to be preferred to f.
func (e *Entry) compare(f *Entry) int {
	flagged := func(e *Entry) int { return min(len(e.Flags), 1) }
	unknown := func(e *Entry) int {
		if e.HasInterval() {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(flagged(e), flagged(f)),
		cmp.Compare(unknown(e), unknown(f)),
		cmp.Compare((e.HighMS-e.LowMS)/e.MedianMS, (f.HighMS-f.LowMS)/f.MedianMS),
		cmp.Compare(f.Rounds, e.Rounds),
	)
}

// conflicts says that two entries of an op cannot both be right.
func (e *Entry) conflicts(f *Entry) bool {
	if !e.HasInterval() || !f.HasInterval() {
		return e.MedianMS != f.MedianMS
	}
	return e.LowMS > f.HighMS || f.LowMS > e.HighMS
}

// EmptyCall stands in a conflict for the key of the empty call, which is no op.
const EmptyCall = "empty call"

// call takes the time of the empty call; all tables know it, or none does.
func (m *Merged) call(tables []*Table) {
	if tables[0].CallMS <= 0 {
		return
	}
	var calls []candidate
	for source, t := range tables {
		calls = append(calls, candidate{&Entry{Key: EmptyCall, MedianMS: t.CallMS, LowMS: t.CallLowMS, HighMS: t.CallHighMS, Count: 1}, source})
	}
	best := m.choose(calls)
	m.Table.CallMS, m.Table.CallLowMS, m.Table.CallHighMS = best.MedianMS, best.LowMS, best.HighMS
}

func (m *Merged) sentinel(tables []*Table) {
	first := tables[0].Sentinel
	sum := 0.0
	var out Sentinel
	for i, t := range tables {
		s := t.Sentinel
		if s == nil || first == nil || s.Key != first.Key {
			if slices.ContainsFunc(tables, func(t *Table) bool { return t.Sentinel != nil }) {
				m.warn("the tables do not have the same sentinel, so that the merged one has none")
			}
			return
		}
		if ratio := s.MedianMS / first.MedianMS; ratio > 1+steadySentinels || ratio < 1/(1+steadySentinels) {
			m.warn("%s: its sentinel took %.3g times as long as that of %s; the devices, or their states, were not of equal speed", t.name(i), ratio, tables[0].name(0))
		}
		out.Rounds += s.Rounds
		out.Dropped += s.Dropped
		sum += float64(s.Rounds) * s.MedianMS
	}
	out.Key, out.MedianMS = first.Key, sum/float64(out.Rounds)
	for i, t := range tables {
		s := t.Sentinel
		low, high := s.DriftP10*s.MedianMS/out.MedianMS, s.DriftP90*s.MedianMS/out.MedianMS
		if i == 0 {
			out.DriftP10, out.DriftP90 = low, high
		}
		out.DriftP10, out.DriftP90 = min(out.DriftP10, low), max(out.DriftP90, high)
	}
	m.Table.Sentinel = &out
}
