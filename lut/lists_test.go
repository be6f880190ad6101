package lut

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
)

// hostile wraps what a stranger put in place of the entries.
func hostile(entries, more string) []byte {
	return []byte(`{"kind": "densenas.lut", "schema_version": 1, "unit": "ms", "device": {"model": "x"}, "runtime": {"name": "x"}, "batch": 1,
"resolutions": [32], "dtype": "f32", "layout": "nhwc", "call_ms": 0, "call_low_ms": 0, "call_high_ms": 0,` + more + `"entries": [` + entries + `]}`)
}

const plainEntry = `{"key":"skip_i8_o8_s1_r8","median_ms":1}`

// Files that ask for much memory are refused without it having been allocated, and in no time.
func TestHostileTablesCostLittle(t *testing.T) {
	const n = 1_000_000
	repeat := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	flagged := strings.Replace(plainEntry, "}", `,"flags":[`+repeat(`""`, 17)+`]}`, 1)
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"entries", "a list of more than 100000 elements", hostile(repeat(plainEntry, n/10+1), "")},
		{"empty entries", "a list of more than 100000 elements", hostile(repeat("{}", n), "")},
		{"notes", "a list of more than 100000 elements", hostile(plainEntry, `"notes": [`+repeat(`""`, n)+`],`)},
		{"resolutions", "a list of more than 100000 elements", bytes.Replace(hostile(plainEntry, ""), []byte("[32]"), []byte("["+repeat("1", n)+"]"), 1)},
		{"flags", "a list of more than 16 elements", hostile(repeat(flagged, 10_000), "")},
		{"nesting", "", hostile(strings.Repeat("[", n), "")},
		{"a long key", "bytes, allowed are at most 200", hostile(strings.Replace(plainEntry, "_i8", strings.Repeat("_", n+3), 1), "")},
		{"a foreign kind", `is of kind "x"`, bytes.Replace(hostile(repeat("{}", n), ""), []byte("densenas.lut"), []byte("x"), 1)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := parse("h.lut.json", c.data)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "h.lut.json:") {
			t.Errorf("%s: error %.300v", c.name, err)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > uint64(8*len(c.data)) || took > 20*time.Second {
			t.Errorf("%s: %d bytes were allocated for a file of %d, in %v", c.name, allocated, len(c.data), took)
		}
	}
}

// A table of the largest size is read, and predicts a long network, in reasonable time.
func TestLargestTable(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a table of 100,000 entries")
	}
	var b strings.Builder
	for i := range MaxEntries {
		if i > 0 {
			b.WriteByte(',')
		}
		width, resolution := 1+i%8000, 1+i/8000
		fmt.Fprintf(&b, `{"key":"skip_i%d_o%d_s1_r%d","median_ms":1}`+"\n", width, width, resolution)
	}
	data := hostile(b.String(), "")
	start := time.Now()
	table, err := parse("large.lut.json", data)
	if err != nil {
		t.Fatal(err)
	}
	read := time.Since(start)
	start = time.Now()
	sum := 0.0
	for i := 0; i < MaxEntries; i += 5 {
		estimate, err := table.Op(mustOps(t, table.Entries[i].Key), nil)
		if err != nil {
			t.Fatal(err)
		}
		sum += estimate.MS
	}
	asked := time.Since(start)
	if sum != MaxEntries/5 || read > time.Minute || asked > 10*time.Second {
		t.Errorf("sum %g; read in %v, asked for every fifth entry in %v", sum, read, asked)
	}
	t.Logf("%d bytes read in %v, asked for every fifth entry in %v", len(data), read, asked)
}
