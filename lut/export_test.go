package lut

import (
	"bytes"
	"encoding/csv"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"densenas/supernet/space"

	"golang.org/x/perf/benchfmt"
)

func TestExportCSVHasAllColumns(t *testing.T) {
	table, _ := sample(t, small)
	here, there := Connection(3, 1), Layer(2, 0)
	table.Entries[2].Position, table.Entries[3].Position = &here, &there
	table.Entries[4] = Entry{Key: table.Entries[4].Key, MedianMS: 0.1}
	table.Entries[5].Flags, table.Entries[5].Lowering = []string{"noisy", "throttled"}, "taps"
	var out bytes.Buffer
	if err := ExportCSV(&out, table); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 1+len(table.Entries) || !slices.Equal(rows[0], Columns()) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	column := func(name string) int { return slices.Index(Columns(), name) }
	for i, e := range table.Entries {
		row := rows[i+1]
		for name, want := range map[string]float64{"median_ms": e.MedianMS, "low_ms": e.LowMS, "high_ms": e.HighMS, "mad_ms": e.MADMS, "p10_ms": e.P10MS,
			"p90_ms": e.P90MS, "min_ms": e.MinMS, "count": float64(e.Count), "rounds": float64(e.Rounds)} {
			got := row[column(name)]
			if x, err := strconv.ParseFloat(got, 64); (err != nil || x != want) && (got != "" || e.HasInterval()) {
				t.Errorf("%s: %s is %q, want %g", e.Key, name, got, want)
			}
		}
		if n, _ := strconv.ParseInt(row[column("multiply_adds")], 10, 64); n != mustOps(t, e.Key).MultiplyAdds() {
			t.Errorf("%s: multiply_adds %d", e.Key, n)
		}
	}
	if got := rows[3][1:4]; !slices.Equal(got, []string{"3", "1", ""}) {
		t.Errorf("a connection is %q", got)
	}
	if got := rows[4][1:4]; !slices.Equal(got, []string{"2", "", "0"}) {
		t.Errorf("a layer is %q", got)
	}
	if got := rows[6]; got[column("flags")] != "noisy throttled" || got[column("lowering")] != "taps" {
		t.Errorf("row %q", got)
	}
}

// What is written is read back by the reader that benchstat uses.
func TestExportBenchmarks(t *testing.T) {
	table, _ := sample(t, small)
	place := Layer(2, 0)
	table.Entries[3].Position = &place
	table.Caches = Cold
	samples := map[string][]float64{table.Entries[0].Key: {1.5, 1.25}, table.Entries[3].Key: {0.000125}}
	var out bytes.Buffer
	n, err := ExportBenchmarks(&out, table, func(e *Entry) []float64 { return samples[e.Key] })
	if err != nil || n != 2 {
		t.Fatalf("%d entries, %v", n, err)
	}
	reader := benchfmt.NewReader(&out, "out")
	var got []string
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			seconds, ok := record.Value("sec/op")
			if !ok {
				t.Fatalf("units %+v", record.Values)
			}
			got = append(got, record.Name.String()+" "+strconv.FormatFloat(math.Round(1e12*seconds), 'g', -1, 64)+" ps")
			if record.GetConfig("device") != "Example CPU 9000" || record.GetConfig("caches") != "cold" || record.GetConfig("batch") != "1" {
				t.Errorf("configuration %+v", record.Config)
			}
		default:
			t.Fatalf("%+v", record)
		}
	}
	want := []string{"Op/" + table.Entries[0].Key + " 1.5e+09 ps", "Op/" + table.Entries[0].Key + " 1.25e+09 ps", "Op/" + table.Entries[3].Key + "/block=2/layer=0 125000 ps"}
	if !slices.Equal(got, want) {
		t.Errorf("read %q\nwant %q", got, want)
	}
}

func TestExportDenseNASComesBack(t *testing.T) {
	text, s := smallText(t)
	for _, number := range []string{"0.1", "2.130230027015763", "3e-05"} { // a few that differ
		text = strings.Replace(text, "[1, 1", "["+number+", 1", 1)
	}
	// A third stacked layer, which the space has not.
	text = strings.Replace(text, "[1, 1, 1], [1, 1, 1]]]", "[1, 1, 1], [1, 1, 1], [7, 8, 9]]]", 1)
	first, err := ImportDenseNAS(strings.NewReader(text), "t.txt", s)
	if err != nil {
		t.Fatal(err)
	}
	comesBack(t, first, s)
	if len(first.Notes) != 3 {
		t.Errorf("notes %q: no further layer was tested", first.Notes)
	}
}

func TestExportOfPublishedTablesComesBack(t *testing.T) {
	first, s, err := importShared(t, "titanxp-mbv2-b32.densenas.txt")
	if err != nil {
		t.Fatal(err)
	}
	comesBack(t, first, s)
}

// comesBack checks that an imported table, exported and imported again, has the same times at the same places.
func comesBack(t *testing.T, first *Table, s *space.Space) {
	t.Helper()
	var written, again bytes.Buffer
	if err := ExportDenseNAS(&written, first, s); err != nil {
		t.Fatal(err)
	}
	text := written.String()
	second, err := ImportDenseNAS(&written, "u.txt", s)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if a, b := keys(first), keys(second); !slices.Equal(a, b) {
		t.Fatalf("%d entries, again %d; written:\n%s", len(a), len(b), text)
	}
	if err := ExportDenseNAS(&again, second, s); err != nil || again.String() != text {
		t.Errorf("written otherwise the second time, %v", err)
	}
}

// The numbers that are written add up to what the table predicts of a network, with its calls, or by its fit.
func TestExportDenseNASAddsUp(t *testing.T) {
	for _, v := range []*Verification{nil, verification()} {
		table, s := sample(t, "tiny")
		table.Verification = v
		var out bytes.Buffer
		if err := ExportDenseNAS(&out, table, s); err != nil {
			t.Fatal(err)
		}
		exported, err := ImportDenseNAS(&out, "t.txt", s)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(8, 8))
		for range 20 {
			a := randomNetwork(s, rng)
			want, _, err := table.Network(a)
			if err != nil {
				t.Fatal(err)
			}
			if got, _, err := exported.Network(a); err != nil || !near(got.MS, want.MS) {
				t.Fatalf("verified %t: %g ms, the table says %g; %v", v != nil, got.MS, want.MS, err)
			}
		}
	}
}

func TestExportDenseNASRefuses(t *testing.T) {
	table, s := sample(t, "tiny")
	table.Entries = table.Entries[1:]
	var out bytes.Buffer
	err := ExportDenseNAS(&out, table, s)
	if missing := (MissingError{}); !errors.As(err, &missing) || !strings.Contains(err.Error(), "--space tiny") || out.Len() > 0 {
		t.Errorf("%v, wrote %q", err, out.String())
	}
}

// An op that takes no longer than a call is written as one that can be read again.
func TestExportDenseNASHasNoZeros(t *testing.T) {
	table, s := sample(t, "tiny")
	table.CallMS, table.CallHighMS = 1e6, 1e6
	var out bytes.Buffer
	if err := ExportDenseNAS(&out, table, s); err != nil {
		t.Fatal(err)
	}
	if _, err := ImportDenseNAS(&out, "t.txt", s); err != nil {
		t.Error(err)
	}
}
