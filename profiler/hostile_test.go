package profiler

import (
	"encoding/json"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
)

// What a stranger's journal or file of networks makes the program hold while it reads it, and before it refuses it, is bounded by the size
// of the file: lists of numbers take eight bytes for two, and grow by copying.
func TestHostileSamplesCostLittle(t *testing.T) {
	header := settings().header("skip_i8_o8_s1_r8", tiny(t))
	head, err := json.Marshal(&header)
	if err != nil {
		t.Fatal(err)
	}
	const n = 300_000
	repeat := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	record := func(rounds, call string) []byte {
		return []byte(string(head) + "\n" + `{"key":"skip_i8_o8_s1_r8","visit":1,"compile_ms":0,"elapsed_ms":0,"outliers":0,"rounds":[` + rounds + `],"call_rounds":[` + call + `]}` + "\n")
	}
	policy, err := json.Marshal(soon().Journal())
	if err != nil {
		t.Fatal(err)
	}
	networks := func(list string) []byte {
		return []byte(`{"kind":"densenas.networks","schema_version":1,"table":"a","space":"b","resolution":1,"drawn":20,"policy":` + string(policy) + `,"networks":[` + list + `]}`)
	}
	journal := func(data []byte) error { _, err := parseJournal("hostile", data); return err }
	const round = `{"round":1,"laps_ms":[1]}`
	for _, c := range []struct {
		name string
		data []byte
		read func([]byte) error
		want string
	}{
		{"rounds", record(repeat(round, n), ""), journal, "allowed are at most"},
		{"empty rounds", record(repeat("{}", n), ""), journal, "missing"},
		{"rounds of the empty call", record(round, repeat(`{"round":1,"laps_ms":[],"discarded":true}`, n)), journal, "ascending order"},
		{"laps", record(`{"round":1,"laps_ms":[`+repeat("1", 10*n)+`]}`, ""), journal, "allowed are 1 to 100"},
		{"lines", append([]byte(string(head)+"\n"), strings.Repeat(strings.SplitAfter(string(record(round, "")), "\n")[1], n/10)...), journal, "line 3: skip_i8_o8_s1_r8: stands there twice"},
		{"a header alone", append([]byte(`{"kind":"densenas.samples","schema_version":1,"resolutions":[`+repeat("1", 10*n)+`]}`), '\n'), journal, "missing"},
		{"networks", networks(repeat(`{"medians_ms":[]}`, n)), func(data []byte) error { _, err := parseNetworks("hostile", data); return err }, "allowed are 20 to"},
		{"rounds of a network", networks(`{"medians_ms":[` + repeat("1", 10*n) + `]}`), func(data []byte) error { _, err := parseNetworks("hostile", data); return err }, "allowed are 6 to"},
	} {
		peak, err := held(func() error { return c.read(c.data) })
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %.300v, want %q", c.name, err, c.want)
		}
		if most := uint64(16*len(c.data) + 1<<20); peak > most {
			t.Errorf("%s: %d bytes were held for a file of %d", c.name, peak, len(c.data))
		}
	}

	// And one that is good: the files of a run.
	path := filepath.Join(t.TempDir(), "a.lut.json")
	begin(t, path, tiny(t), 30)
	data := readFile(t, JournalPath(path))
	if peak, err := held(func() error { return journal(data) }); err != nil || peak > uint64(16*len(data)+1<<20) {
		t.Errorf("a good journal of %d bytes: %d bytes were held, %v", len(data), peak, err)
	}
	data = readFile(t, path)
	if peak, err := held(func() error { _, err := lut.Read(path); return err }); err != nil || peak > uint64(16*len(data)+1<<20) {
		t.Errorf("a good table of %d bytes: %d bytes were held, %v", len(data), peak, err)
	}
}

// held is the growth of the heap while f runs, at its largest, as far as the memory that f asks of the system shows it.
func held(f func() error) (uint64, error) {
	var before, after runtime.MemStats
	runtime.GC()
	debug.FreeOSMemory()
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	runtime.ReadMemStats(&before)
	err := f()
	runtime.ReadMemStats(&after)
	return max(after.HeapSys-after.HeapReleased, before.HeapSys-before.HeapReleased) - (before.HeapSys - before.HeapReleased), err
}
