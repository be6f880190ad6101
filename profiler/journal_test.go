package profiler

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// begin measures the first n operations of a space into a new table.
func begin(t *testing.T, path string, plan Plan, n int) {
	t.Helper()
	into(t, path, plan, Plan{Items: plan.Items[:n], Resolutions: plan.Resolutions}, settings())
}

// into measures what a table lacks of a part of a plan, and returns the keys that were measured.
func into(t *testing.T, path string, plan, part Plan, s Settings) (keys []string) {
	t.Helper()
	store, err := s.Open(path, plan, part)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := fake(0, 0.02)
	for i, item := range plan.Items {
		r.base[item.Op] = time.Duration(i+1) * 100 * time.Microsecond
	}
	save := func(all ...Record) error {
		for _, r := range all {
			keys = append(keys, r.Key)
		}
		return store.Save(all...)
	}
	if err := Profile(t.Context(), r, store.Job, s.Policy, Observer{Save: save, pause: r.pause, now: r.clock}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return keys
}

func tiny(t *testing.T) Plan {
	t.Helper()
	return NewPlan([]*space.Space{loadSpace(t, "tiny")}, nil)
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestJournalPath(t *testing.T) {
	for table, want := range map[string]string{"a/b.lut.json": "a/b.samples.jsonl", "b.json": "b.json.samples.jsonl", "b": "b.samples.jsonl"} {
		if got := JournalPath(table); got != want {
			t.Errorf("of %s: %s, want %s", table, got, want)
		}
	}
}

func TestTableFollowsFromItsJournal(t *testing.T) {
	plan := tiny(t)
	path := filepath.Join(t.TempDir(), "a.lut.json")
	into(t, path, plan, plan, settings())
	table, err := lut.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Entries) != len(plan.Items) || table.Sentinel == nil || table.Sentinel.Rounds < soon().MinRounds || table.Caches != lut.Warm {
		t.Fatalf("%d entries, sentinel %+v", len(table.Entries), table.Sentinel)
	}
	journal, err := ReadJournal(JournalPath(path))
	if err != nil {
		t.Fatal(err)
	}
	if journal.Torn || len(journal.Records) != len(plan.Items) || journal.Plan != plan.Digest() || journal.Sentinel != table.Sentinel.Key {
		t.Fatalf("%d records, %+v", len(journal.Records), journal.JournalHeader)
	}
	log, err := journal.Log()
	if err != nil {
		t.Fatal(err)
	}
	again := settings().NewTable()
	settings().Fill(again, log, journal.Sentinel)
	if again.Identity() != table.Identity() {
		t.Error("the table from the journal is another one")
	}
	// Without its table, the journal is enough.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if keys := into(t, path, plan, plan, settings()); len(keys) > 0 {
		t.Errorf("%d measured again", len(keys))
	}
	if restored, err := lut.Read(path); err != nil || restored.Identity() != table.Identity() {
		t.Errorf("restored as another table, %v", err)
	}
}

// Wherever a journal is cut off within a line, as by a crash, the run goes on behind the last whole line.
func TestTornJournalIsContinued(t *testing.T) {
	plan := tiny(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "a.lut.json")
	begin(t, path, plan, 3)
	whole := readFile(t, JournalPath(path))
	lines := bytes.SplitAfter(whole, []byte("\n"))
	two := len(lines[0]) + len(lines[1]) + len(lines[2])
	for _, cut := range []int{1, 2, len(lines[3]) / 2, len(lines[3]) - 2, len(lines[3]) - 1} {
		torn := append(slices.Clone(whole[:two]), lines[3][:cut]...)
		if err := os.WriteFile(JournalPath(path), torn, 0o644); err != nil {
			t.Fatal(err)
		}
		os.Remove(path)
		if j, err := ReadJournal(JournalPath(path)); err != nil || !j.Torn || len(j.Records) != 2 {
			t.Fatalf("cut after %d bytes: %v", cut, err)
		}
		if keys := into(t, path, plan, plan, settings()); len(keys) != len(plan.Items)-2 {
			t.Errorf("cut after %d bytes: %d measured", cut, len(keys))
		}
		if after := readFile(t, JournalPath(path)); !bytes.HasPrefix(after, whole[:two]) || bytes.Count(after, []byte("\n")) != len(plan.Items)+1 {
			t.Errorf("cut after %d bytes: whole lines changed", cut)
		}
		if table, err := lut.Read(path); err != nil || len(table.Entries) != len(plan.Items) {
			t.Errorf("cut after %d bytes: %v", cut, err)
		}
	}
}

func TestAnotherPlanGoesOn(t *testing.T) {
	plan := tiny(t)
	skips, err := plan.Only("skip_*")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.lut.json")
	into(t, path, skips, skips, settings())
	if keys := into(t, path, plan, plan, settings()); len(keys) != len(plan.Items)-len(skips.Items) {
		t.Errorf("%d measured", len(keys))
	}
	j, err := ReadJournal(JournalPath(path))
	if err != nil || j.Plan != skips.Digest() || !strings.HasPrefix(j.Sentinel, "skip_") {
		t.Errorf("%+v, %v", j, err)
	}
}

// A table that came without a journal keeps its entries.
func TestTableWithoutJournalIsContinued(t *testing.T) {
	plan := tiny(t)
	path := filepath.Join(t.TempDir(), "a.lut.json")
	begin(t, path, plan, 5)
	before, err := lut.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(JournalPath(path)); err != nil {
		t.Fatal(err)
	}
	if keys := into(t, path, plan, plan, settings()); len(keys) != len(plan.Items)-5 {
		t.Errorf("%d measured", len(keys))
	}
	after, err := lut.Read(path)
	if err != nil || len(after.Entries) != len(plan.Items) {
		t.Fatal(err)
	}
	for i, e := range before.Entries {
		if after.Entries[i].Key != e.Key || after.Entries[i].MedianMS != e.MedianMS {
			t.Errorf("%s changed", e.Key)
		}
	}
}

func TestOtherJournalsAreNotContinued(t *testing.T) {
	plan := tiny(t)
	path := filepath.Join(t.TempDir(), "a.lut.json")
	begin(t, path, plan, 3)
	journal := readFile(t, JournalPath(path))
	table := readFile(t, path)
	for want, change := range map[string]func(*Settings){
		"device.model box instead of box2": func(s *Settings) { s.Device.Model = "box2" },
		`runtime.name go instead of xla`:   func(s *Settings) { s.Runtime.Name = "xla" },
		"batch 1 instead of 2":             func(s *Settings) { s.Batch = 2 },
		"limit 300 ms instead of":          func(s *Settings) { s.Policy.Limit++ },
		"seed 1 instead of 2":              func(s *Settings) { s.Policy.Seed = 2 },
		"first rounds 10 instead of":       func(s *Settings) { s.Policy.MinRounds = 7 },
		"precision 0.01 instead of 0":      func(s *Settings) { s.Policy.Precision = 0.02 },
	} {
		for _, alone := range []bool{false, true} {
			if alone {
				os.Remove(path)
			}
			s := settings()
			change(&s)
			if _, err := s.Open(path, plan, plan); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want bad input with %q", err, want)
			}
		}
		if err := os.WriteFile(path, table, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A budget may differ.
	s := settings()
	s.Policy.Total = 1
	store, err := s.Open(path, plan, plan)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(path, plan, plan); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "another run") {
		t.Errorf("two runs write one journal: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	other, err := lut.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	other.Entries[1].MedianMS *= 1.0000001
	other.Entries[1].HighMS *= 2
	if err := other.Write(path); err != nil {
		t.Fatal(err)
	}
	if _, err := settings().Open(path, plan, plan); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), other.Entries[1].Key) {
		t.Errorf("a table that disagrees: %v", err)
	}
	if !bytes.Equal(readFile(t, JournalPath(path)), journal) {
		t.Error("a refused run changed the journal")
	}
}

func TestJournalRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lut.json")
	begin(t, path, tiny(t), 2)
	good := string(readFile(t, JournalPath(path)))
	lines := strings.SplitAfter(good, "\n")
	head, first, second := lines[0], lines[1], lines[2]
	one := func(rounds string) string {
		return `{"key":"skip_i8_o8_s1_r8","visit":1,"compile_ms":0,"elapsed_ms":0,"outliers":0,"rounds":[` + rounds + `],"call_rounds":[]}` + "\n"
	}
	for name, c := range map[string][2]string{
		"empty":                 {"", "no whole line"},
		"no whole line":         {head[:len(head)-1], "no whole line"},
		"a table":               {`{"kind": "densenas.lut", "schema_version": 1}` + "\n", "densenas.lut"},
		"newer":                 {strings.Replace(good, `"schema_version":1`, `"schema_version":2`, 1), "newer"},
		"another unit":          {strings.Replace(good, `"unit":"ms"`, `"unit":"us"`, 1), "line 1: unit"},
		"no sentinel":           {strings.Replace(head, `"sentinel":"`, `"sentinel":"x`, 1), "line 1: sentinel"},
		"unknown field":         {head + strings.Replace(first, `"visit"`, `"vist"`, 1), "line 2"},
		"torn in the middle":    {head + first[:len(first)/2] + "\n" + second, "line 2"},
		"doubled":               {head + first + first, "line 3: " + keyOf(t, first) + ": stands there twice"},
		"a visit missing":       {head + strings.Replace(first, `"visit":1`, `"visit":2`, 1), "visit is 2"},
		"too many visits":       {head + strings.Replace(first, `"visit":1`, `"visit":1000`, 1), "at most 100"},
		"a bad key":             {head + strings.Replace(first, keyOf(t, first), "conv", 1), "line 2"},
		"a negative time":       {head + strings.Replace(first, `"laps_ms":[`, `"laps_ms":[-1,`, 1), "line 2: " + keyOf(t, first) + ": rounds[0]: laps_ms[0] is -1"},
		"a round without laps":  {head + `{"key":"skip_i8_o8_s1_r8","visit":1,"compile_ms":0,"elapsed_ms":0,"outliers":0,"rounds":[{"round":1,"laps_ms":[]}],"call_rounds":[]}` + "\n", "line 2"},
		"none that counts":      {head + `{"key":"skip_i8_o8_s1_r8","visit":1,"compile_ms":0,"elapsed_ms":0,"outliers":0,"rounds":[],"call_rounds":[]}` + "\n", "none that counts"},
		"a descending order":    {head + `{"key":"skip_i8_o8_s1_r8","visit":1,"compile_ms":0,"elapsed_ms":0,"outliers":0,"rounds":[{"round":2,"laps_ms":[1]},{"round":1,"laps_ms":[1]}],"call_rounds":[]}` + "\n", "ascending"},
		"next to no time":       {head + strings.Replace(first, `"laps_ms":[`, `"laps_ms":[5e-324,`, 1), "rounds[0]: laps_ms[0] is 5e-324"},
		"next to no sentinel":   {head + one(`{"round":2,"laps_ms":[1],"sentinel_ms":5e-324}`), "sentinel_ms is 5e-324"},
		"a label of no lap":     {head + one(`{"round":2,"laps_ms":[1],"outlier_laps":[1]}`), "outlier_laps[0] is 1"},
		"a doubled label":       {head + one(`{"round":2,"laps_ms":[1,1],"outlier_laps":[1,1]}`), "outlier_laps[1] is 1"},
		"a negative minimum":    {head + one(`{"round":2,"laps_ms":[1],"calls_ms":[1],"min_ms":-1}`), "min_ms is -1"},
		"longer than a table's": {head + one(`{"round":2,"laps_ms":[1e9],"sentinel_ms":1},{"round":3,"laps_ms":[1],"sentinel_ms":1},{"round":4,"laps_ms":[1],"sentinel_ms":1e9},{"round":5,"laps_ms":[1e9],"sentinel_ms":1e-7}`), "no table follows from it"},
		"infinite":              {head + `{"key":"skip_i8_o8_s1_r8","visit":1,"compile_ms":1e999,"elapsed_ms":0,"outliers":0,"rounds":[{"round":2,"laps_ms":[1]}],"call_rounds":[]}` + "\n", "line 2"},
	} {
		_, err := parseJournal("a.samples.jsonl", []byte(c[0]))
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), c[1]) || !strings.HasPrefix(err.Error(), "a.samples.jsonl: ") {
			t.Errorf("%s: %v, want bad input with %q", name, err, c[1])
		}
	}
}

func keyOf(t *testing.T, line string) string {
	t.Helper()
	var r Record
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatal(err)
	}
	return r.Key
}

func FuzzJournal(f *testing.F) {
	header := settings().header("skip_i8_o8_s1_r8", Plan{Items: []space.OpCount{{Op: space.Op{Kind: space.Skip, In: 8, Out: 8, Stride: 1, Resolution: 8}, Count: 1}}})
	head, err := json.Marshal(&header)
	if err != nil {
		f.Fatal(err)
	}
	const line = `{"key":"skip_i8_o8_s1_r8","visit":1,"lowering":"taps","compile_ms":3,"elapsed_ms":4,"outliers":0,"rounds":[{"round":1,"laps_ms":[1.5,2],"calls_ms":[1.2],"min_ms":1.1,"sentinel_ms":1}],"call_rounds":[{"round":1,"laps_ms":[],"discarded":true}]}`
	f.Add([]byte(string(head) + "\n" + line + "\n"))
	f.Add([]byte(string(head) + "\n" + line + "\n" + line[:40]))
	f.Add([]byte(string(head) + "\n" + line + "\n" + strings.Replace(strings.Replace(line, `"visit":1`, `"visit":2,"anew":true`, 1), `"round":1`, `"round":2`, 2) + "\n"))
	f.Add([]byte(string(head) + "\n" + strings.Replace(line, `"sentinel_ms":1`, `"sentinel_ms":1e-7`, 1) + "\n"))
	f.Add([]byte(string(head) + "\n" + strings.Replace(line, `[1.5,2]`, `[1000000000,1e-7]`, 1) + "\n"))
	f.Add([]byte("\n\n"))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := parseJournal("a", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput {
				t.Errorf("%v is no bad input", err)
			}
			return
		}
		log, err := j.Log()
		if err != nil {
			t.Fatal(err)
		}
		table := settings().NewTable()
		settings().Fill(table, log, j.Sentinel)
		if len(table.Entries) > 0 && table.Check() != nil {
			t.Errorf("a journal that can be read gives a table that cannot be: %v", table.Check())
		}
	})
}
