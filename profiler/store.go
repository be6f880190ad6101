package profiler

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// saveEvery is how old the table on the disk may be while a run goes on; its journal is never.
const saveEvery = 10 * time.Second

// Store is where a run puts what it measures: a journal, which has it all, and a table, which follows from the journal. Entries
// of a table that came without a journal stay as they are.
type Store struct {
	Job   Job
	Table *lut.Table

	settings Settings
	path     string
	header   JournalHeader
	journal  *appender
	written  time.Time // when the table was
	changed  bool
	tidy     bool // what killed runs left is removed
}

// Open prepares to go on with the table at path and its journal, or to begin both; nothing is written before there is a
// measurement. What was measured otherwise, and a table that disagrees with its journal, is bad input that says how. shard may
// be a part of the plan: the sentinel is that of the plan.
func (s Settings) Open(path string, plan, shard Plan) (*Store, error) {
	sentinel, ok := SentinelOf(plan.Items)
	if !ok {
		return nil, exit.BadInput("nothing to measure: the plan is empty")
	}
	table, err := s.Continue(path)
	if err != nil {
		return nil, err
	}
	a, journal, err := openAppender(JournalPath(path))
	if err != nil {
		return nil, err
	}
	st := &Store{settings: s, path: path, header: s.header(sentinel.Key(), plan), journal: a, Table: table, written: time.Now()}
	st.Job = Job{Sentinel: sentinel, Log: &Log{}}
	if table == nil {
		st.Table = s.NewTable()
	}
	if journal != nil {
		st.removeTemporaries()
		if err := st.resume(journal, table); err != nil {
			a.close()
			return nil, err
		}
	}
	have := map[string]bool{} // without samples
	if table != nil {
		for i := range table.Entries {
			key := table.Entries[i].Key
			have[key] = st.Job.Log.entries[key] == nil
		}
	}
	for _, item := range shard.Items {
		if !have[item.Op.Key()] {
			st.Job.Items = append(st.Job.Items, item)
		}
	}
	return st, nil
}

// resume goes on from a journal, after checking it against the settings and the table, which may be nil.
func (st *Store) resume(j *Journal, table *lut.Table) error {
	path := st.journal.path
	differences := st.settings.Differences(j.table())
	differences = append(differences, policyDifferences(j.Policy, st.settings.Policy.Journal())...)
	if len(differences) > 0 {
		slices.Sort(differences)
		return exit.BadInput("%s: measured otherwise, with %s; write to another file, or remove this one and its table", path, strings.Join(slices.Compact(differences), "; "))
	}
	sentinel, err := space.ParseKey(j.Sentinel)
	if err != nil {
		return err
	}
	log, err := j.Log()
	if err != nil {
		return err
	}
	st.header, st.Job.Sentinel, st.Job.Log = j.JournalHeader, sentinel, log
	if table != nil {
		for i := range table.Entries {
			if e := &table.Entries[i]; e.Position == nil && log.disagrees(e) {
				return exit.BadInput("%s: has another %s than %s; remove the one that is wrong", st.path, e.Key, path)
			}
		}
	}
	if len(log.order) > 0 {
		before := st.Table.Identity()
		st.settings.Fill(st.Table, log, j.Sentinel)
		if st.changed = table == nil || st.Table.Identity() != before; st.changed {
			st.Table.Verification = nil // of other entries
		}
	}
	return nil
}

// disagrees says whether an entry follows from none of the visits to its operation.
func (l *Log) disagrees(e *lut.Entry) bool {
	summaries := l.medians[e.Key]
	return len(summaries) > 0 && !slices.ContainsFunc(summaries, func(s Summary) bool { return s.describes(e) })
}

func policyDifferences(got, want JournalPolicy) []string {
	var list []string
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"policy.precision", got.Precision, want.Precision},
		{"first rounds", got.MinRounds, want.MinRounds},
		{"most rounds", got.MaxRounds, want.MaxRounds},
		{"ms per lap", got.MinLapMS, want.MinLapMS},
		{"laps", got.MaxLaps, want.MaxLaps},
		{"ms per round", got.RoundMS, want.RoundMS},
		{"warm-up", fmt.Sprintf("%g-%g ms", got.SettleMS, got.WarmUpMS), fmt.Sprintf("%g-%g ms", want.SettleMS, want.WarmUpMS)},
		{"ms of span", got.SpanMS, want.SpanMS},
		{"limit", fmt.Sprintf("%g ms", got.OpLimitMS), fmt.Sprintf("%g ms", want.OpLimitMS)},
		{"group", got.Group, want.Group},
		{"ms per pass", got.PassMS, want.PassMS},
		{"sentinel's deviation", got.OffShare, want.OffShare},
		{"discarded rounds", got.MaxDiscarded, want.MaxDiscarded},
		{"back-off in ms", got.BackOffMS, want.BackOffMS},
		{"caches", got.Caches, want.Caches},
		{"seed", got.Seed, want.Seed},
	} {
		if field.got != field.want {
			list = append(list, fmt.Sprintf("%s %v instead of %v", field.name, field.got, field.want))
		}
	}
	return list
}

// Remaining are the operations of the job that have not been measured.
func (st *Store) Remaining() []space.Op { return st.Job.remaining() }

// Note adds a note to the table, unless it has it.
func (st *Store) Note(text string) {
	if !slices.Contains(st.Table.Notes, text) {
		st.Table.Notes = append(st.Table.Notes, text)
		st.changed = true
	}
}

// Warn adds warnings of the device's state to the table, those alone that it lacks.
func (st *Store) Warn(warnings []string) {
	for _, text := range warnings {
		if !slices.Contains(st.Table.Warnings, text) {
			st.Table.Warnings = append(st.Table.Warnings, text)
		}
	}
}

// Save puts visits into the journal, synced, and every ten seconds or so all into the table: an Observer's Save.
func (st *Store) Save(records ...Record) error {
	if err := st.journal.append(st.header, records...); err != nil {
		return err
	}
	st.removeTemporaries()
	st.changed = true
	st.Table.Policy.TotalLimitMS = milliseconds(st.settings.Policy.Total) // a run that goes on may have another
	// It was held against whole networks with other entries.
	st.Table.Verification = nil
	if time.Since(st.written) < saveEvery {
		return nil
	}
	return st.Write()
}

// removeTemporaries removes, once, what killed runs left. Only the run that holds the journal may: no other one is writing.
func (st *Store) removeTemporaries() {
	if !st.tidy {
		st.tidy = true
		removeTemporary(st.path)
		removeTemporary(st.journal.path)
	}
}

// removeTemporary removes the files that were to become the one at path.
func removeTemporary(path string) {
	folder, name := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(folder, "."))
	if err != nil {
		return // they do no harm
	}
	for _, e := range entries {
		if middle, ok := strings.CutPrefix(e.Name(), "."+name+"."); ok && e.Type().IsRegular() && len(middle) == len(rand.Text())+len(".tmp") && strings.HasSuffix(middle, ".tmp") {
			os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// Write writes the table, if it changed and has an entry.
func (st *Store) Write() error {
	if len(st.Job.Log.order) > 0 && st.changed {
		st.settings.Fill(st.Table, st.Job.Log, st.header.Sentinel)
	}
	if !st.changed || len(st.Table.Entries) == 0 {
		return nil
	}
	if err := st.Table.Write(st.path); err != nil {
		return err
	}
	st.changed, st.written = false, time.Now()
	return nil
}

// Close writes what is not written yet, and lets others write.
func (st *Store) Close() error {
	err := st.Write()
	return errors.Join(err, st.journal.close())
}
