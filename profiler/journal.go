package profiler

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/supernet/space"
)

// Kind and SchemaVersion of a journal, *.samples.jsonl.
const (
	JournalKind          = "densenas.samples"
	JournalSchemaVersion = 1
)

// Bounds of a journal, in bytes.
const (
	maxJournal     = 1 << 30
	maxJournalLine = 16 << 20
)

// JournalPath is the place of the journal of a table: a.samples.jsonl beside a.lut.json.
func JournalPath(table string) string {
	return strings.TrimSuffix(table, ".lut.json") + ".samples.jsonl"
}

// Journal is a file of raw samples: a line that says how they were measured, and a line for each visit to an operation.
type Journal struct {
	JournalHeader
	Records []Record
	// Torn: the file ends in the middle of a line, as a killed run leaves it. What stands there is not among the records.
	Torn bool

	whole int64 // bytes of whole lines
}

// JournalHeader is the first line of a journal: what all samples have in common.
type JournalHeader struct {
	files.Header
	Unit        string        `json:"unit"` // ms
	Device      lut.Device    `json:"device"`
	Runtime     lut.Runtime   `json:"runtime"`
	Threads     int           `json:"threads"`
	Processors  []int         `json:"processors,omitempty"` // that all threads were bound to
	Batch       int           `json:"batch"`
	Resolutions []int         `json:"resolutions"`
	DType       string        `json:"dtype"`
	Layout      string        `json:"layout"`
	Policy      JournalPolicy `json:"policy"`
	Sentinel    string        `json:"sentinel"` // key of the operation
	// Plan is the SHA-256, in hexadecimal, of the sorted keys of the run that began the journal, a line each, and Operations
	// their number. A run with another plan may go on: what an operation takes does not depend on the others.
	Plan       string `json:"plan"`
	Operations int    `json:"operations"`
}

// JournalPolicy is the policy of all samples. The budget is not among it: it may differ in a run that goes on.
type JournalPolicy struct {
	Precision    float64 `json:"precision"`
	MinRounds    int     `json:"min_rounds"`
	MaxRounds    int     `json:"max_rounds"`
	MinLapMS     float64 `json:"min_lap_ms"`
	MaxLaps      int     `json:"max_laps"`
	RoundMS      float64 `json:"round_ms"`
	RefreshCalls int     `json:"refresh_calls,omitempty"`
	SettleMS     float64 `json:"settle_ms"`
	WarmUpMS     float64 `json:"warm_up_ms"`
	SpanMS       float64 `json:"span_ms,omitempty"`
	OpLimitMS    float64 `json:"op_limit_ms"`
	Group        int     `json:"group"`
	PassMS       float64 `json:"pass_ms,omitempty"`
	OffShare     float64 `json:"off_share"`
	MaxDiscarded int     `json:"max_discarded"`
	BackOffMS    float64 `json:"back_off_ms"`
	Caches       string  `json:"caches"`
	Seed         uint64  `json:"seed"`
}

// Journal is the policy as files of samples record it.
func (p Policy) Journal() JournalPolicy {
	return JournalPolicy{
		Precision: p.Precision, MinRounds: p.MinRounds, MaxRounds: p.MaxRounds, MinLapMS: milliseconds(p.MinLap), MaxLaps: p.MaxLaps,
		RoundMS: milliseconds(p.RoundTime), RefreshCalls: p.Refresh, SettleMS: milliseconds(p.Settle), WarmUpMS: milliseconds(p.WarmUp), SpanMS: milliseconds(p.Span), OpLimitMS: milliseconds(p.Limit),
		Group: p.Group, PassMS: milliseconds(p.PassTime), OffShare: p.Off, MaxDiscarded: p.MaxDiscarded, BackOffMS: milliseconds(p.BackOff), Caches: p.Caches, Seed: p.Seed,
	}
}

// header is the first line of a journal of a run under these settings.
func (s Settings) header(sentinel string, plan Plan) JournalHeader {
	t := s.NewTable()
	return JournalHeader{
		Header: files.Header{Kind: JournalKind, SchemaVersion: JournalSchemaVersion}, Unit: lut.Unit,
		Device: t.Device, Runtime: t.Runtime, Threads: t.Threads, Processors: t.Processors, Batch: t.Batch, Resolutions: t.Resolutions, DType: t.DType, Layout: t.Layout,
		Policy: s.Policy.Journal(), Sentinel: sentinel, Plan: plan.Digest(), Operations: len(plan.Items),
	}
}

// Digest is the SHA-256, in hexadecimal, of the sorted keys of a plan, a line each.
func (p Plan) Digest() string {
	keys := p.Keys()
	slices.Sort(keys)
	sum := sha256.Sum256([]byte(strings.Join(keys, "\n") + "\n"))
	return hex.EncodeToString(sum[:])
}

// table has the settings of the journal and no entries.
func (h *JournalHeader) table() *lut.Table {
	return &lut.Table{
		Device: h.Device, Runtime: h.Runtime, Threads: h.Threads, Processors: h.Processors, Batch: h.Batch, Resolutions: h.Resolutions, DType: h.DType, Layout: h.Layout,
		Caches: h.Policy.Caches, Policy: &lut.Policy{Precision: h.Policy.Precision},
	}
}

func (h *JournalHeader) check() error {
	if h.Unit != lut.Unit {
		return fmt.Errorf("unit is %.20q, expected %q", h.Unit, lut.Unit)
	}
	op, err := space.ParseKey(h.Sentinel)
	if err != nil {
		return fmt.Errorf("sentinel: %w", err)
	}
	if len(h.Plan) != 2*sha256.Size || strings.Trim(h.Plan, "0123456789abcdef") != "" {
		return fmt.Errorf("plan is %.80q, expected a SHA-256 in hexadecimal", h.Plan)
	}
	if h.Operations < 1 || h.Operations > lut.MaxEntries {
		return fmt.Errorf("operations is %d, allowed is 1 to %d", h.Operations, lut.MaxEntries)
	}
	// The rest has the bounds of a table.
	t := h.table()
	t.Entries = []lut.Entry{{Key: op.Key(), MedianMS: 1}}
	return t.Check()
}

// ReadJournal reads a journal strictly. A line that is cut off at the end of the file is left out; anything else that is wrong
// is bad input that names file, line and way out.
func ReadJournal(path string) (*Journal, error) {
	data, err := files.ReadBounded(path, maxJournal)
	if err != nil {
		return nil, err
	}
	return parseJournal(path, data)
}

func parseJournal(name string, data []byte) (*Journal, error) {
	j := &Journal{whole: int64(bytes.LastIndexByte(data, '\n') + 1)}
	tail := data[j.whole:]
	if j.Torn = len(tail) > 0; len(tail) > maxJournalLine {
		return nil, exit.BadInput("%s: ends in a line of more than %d bytes; is it the right file?", name, maxJournalLine)
	}
	if j.whole == 0 {
		return nil, exit.BadInput("%s: has no whole line, so it is not a %s file; is it the right file?", name, JournalKind)
	}
	number := 0
	log := &Log{}
	for line := range bytes.Lines(data[:j.whole]) {
		number++
		at := fmt.Sprintf("%s: line %d", name, number)
		if len(line) > maxJournalLine {
			return nil, exit.BadInput("%s: has more than %d bytes; is it the right file?", at, maxJournalLine)
		}
		if number == 1 {
			if err := files.DecodeJSONKind(at, line, JournalKind, JournalSchemaVersion, &j.JournalHeader); err != nil {
				return nil, err
			}
			if err := j.check(); err != nil {
				return nil, exit.BadInput("%s: %w", at, err)
			}
			continue
		}
		if len(j.Records) == maxVisits*lut.MaxEntries {
			return nil, exit.BadInput("%s: more than %d records; is it the right file?", at, len(j.Records))
		}
		var r Record
		if err := files.DecodeJSON(at, line, &r); err != nil {
			return nil, err
		}
		// At once: what does not fit is refused before more is read.
		if err := log.Add(r); err != nil {
			return nil, exit.BadInput("%s: %w", at, err)
		}
		j.Records = append(j.Records, r)
	}
	if len(log.Measurements()) > 0 {
		t := j.table()
		Settings{Policy: Policy{Precision: j.Policy.Precision}}.Fill(t, log, j.Sentinel)
		if err := t.Check(); err != nil {
			return nil, exit.BadInput("%s: no table follows from it: %w; remove it, and measure again", name, err)
		}
	}
	return j, nil
}

// Log puts the records together. They fit, if the journal was read.
func (j *Journal) Log() (*Log, error) {
	l := &Log{}
	for i := range j.Records {
		if err := l.Add(j.Records[i]); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
	}
	return l, nil
}

// appender writes a journal. Only one run at a time may.
type appender struct {
	path string
	file *os.File // nil: not created yet
	end  int64
}

// openAppender goes on with a journal after its last whole line; what was cut off there is removed before the first record is
// written. It creates none.
func openAppender(path string) (*appender, *Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return &appender{path: path}, nil, nil
	}
	if err != nil {
		return nil, nil, exit.BadInput("%s: cannot be written: %w; make it writable, or remove it", path, errors.Unwrap(err))
	}
	a := &appender{path: path, file: f}
	if info, statErr := f.Stat(); statErr != nil || !info.Mode().IsRegular() {
		a.close()
		return nil, nil, exit.BadInput("%s: is no regular file; remove it, or write to another table", path)
	}
	// Before it is read: another run may be writing it.
	err = lock(f)
	var j *Journal
	if err == nil {
		j, err = ReadJournal(path)
	}
	if err != nil {
		a.close()
		return nil, nil, err
	}
	a.end = j.whole
	return a, j, nil
}

// append adds records and syncs them, once; where there is no journal yet, it begins with the header.
func (a *appender) append(h JournalHeader, records ...Record) error {
	if a.file == nil {
		if err := a.create(h); err != nil {
			return err
		}
	}
	var lines []byte
	for i := range records {
		line, err := json.Marshal(&records[i])
		if err != nil {
			return fmt.Errorf("%s: not written: %w", a.path, err)
		}
		if len(line) >= maxJournalLine {
			return fmt.Errorf("%s: the samples of %s have %d bytes, more than a line may; ask for less by --precision or --limit", a.path, records[i].Key, len(line))
		}
		lines = append(append(lines, line...), '\n')
	}
	err := a.file.Truncate(a.end)
	if err == nil {
		_, err = a.file.WriteAt(lines, a.end)
	}
	if err == nil {
		err = a.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("%s: cannot be written: %w", a.path, err)
	}
	a.end += int64(len(lines))
	return nil
}

// create writes the header, whole or not at all.
func (a *appender) create(h JournalHeader) error {
	if _, err := os.Lstat(a.path); err == nil {
		return exit.BadInput("%s: another run has begun to write it; wait for its end, or stop it", a.path)
	}
	line, err := json.Marshal(&h)
	if err != nil {
		return fmt.Errorf("%s: not written: %w", a.path, err)
	}
	line = append(line, '\n')
	if err := files.WriteBytes(a.path, line); err != nil {
		return err
	}
	f, err := os.OpenFile(a.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%s: cannot be written: %w", filepath.Base(a.path), err)
	}
	if err := lock(f); err != nil {
		f.Close()
		return err
	}
	a.file, a.end = f, int64(len(line))
	return nil
}

func (a *appender) close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}
