package main

import (
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"densenas/lut"
	"densenas/supernet/space"
)

// No network of the space is outside of the range, its ends are networks, and all formats say the same.
func TestRangeSpansTheSpace(t *testing.T) {
	params, table := tinyFiles(t)
	args := []string{"--space", "tiny", "--lut", table}
	out, err := execute(t, newRangeCommand(), append(args, "--format", "json")...)
	if err != nil {
		t.Fatal(err)
	}
	var got rangeResult
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Verified || !(got.FastestMS > 0 && got.FastestMS < got.SlowestMS) {
		t.Fatalf("%s: %v", out, err)
	}
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	measured, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	const digits = 1e-9 // sums of another order
	fastest, slowest := false, false
	r := rand.New(rand.NewPCG(1, 0))
	for i := range 600 {
		// Evenly, and with a preference for either end.
		a := s.Draw(r, func(o space.Op) float64 {
			estimate, err := measured.Op(o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if o.Kind == space.Skip {
				estimate.MS = 0 // left out of a network
			}
			weight := 1.0
			for range i % 3 * 40 {
				weight *= 1 + estimate.MS
			}
			if i%3 == 1 {
				return 1 / weight
			}
			return weight
		})
		p, err := measured.Predict(a)
		if err != nil {
			t.Fatal(err)
		}
		if p.LatencyMS < got.FastestMS-digits || p.LatencyMS > got.SlowestMS+digits {
			t.Fatalf("a network takes %g ms, the range is %g to %g", p.LatencyMS, got.FastestMS, got.SlowestMS)
		}
		fastest, slowest = fastest || p.LatencyMS < got.FastestMS+digits, slowest || p.LatencyMS > got.SlowestMS-digits
	}
	if !fastest || !slowest {
		t.Errorf("of 600 networks one is the fastest: %t, one is the slowest: %t", fastest, slowest)
	}

	// The fastest is what can be derived, and nothing below it.
	derive := func(ms float64) error {
		_, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "tiny", "--lut", table, "--max-latency", strconv.FormatFloat(1e6*ms, 'f', 0, 64)+"ns")
		return err
	}
	if err := derive(got.FastestMS + 1e-5); err != nil {
		t.Error(err)
	}
	if err := derive(got.FastestMS - 1e-5); err == nil {
		t.Error("an architecture is derived that is faster than the fastest")
	}

	asCSV, err := execute(t, newRangeCommand(), append(args, "--format", "csv")...)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(asCSV)).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][0] != "fastest" || rows[2][0] != "slowest" {
		t.Fatalf("%q: %v", asCSV, err)
	}
	text, err := execute(t, newRangeCommand(), args...)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{got.FastestMS, got.SlowestMS} {
		cell := rows[i+1][1]
		if ms, err := strconv.ParseFloat(cell, 64); err != nil || ms < 0.999*want || ms > 1.001*want || !strings.Contains(text, cell) {
			t.Errorf("%s ms in CSV, %g in JSON, as text\n%s", cell, want, text)
		}
	}
	if !strings.Contains(text, "unverified") {
		t.Errorf("the table is used without saying that it is unverified:\n%s", text)
	}
}

func TestRangeRefuses(t *testing.T) {
	_, table := tinyFiles(t)
	refused(t, []string{"range", "--space", "tiny"}, "give --space SPACE and --lut FILE")
	refused(t, []string{"range", "--lut", table}, "give --space SPACE and --lut FILE")
	refused(t, []string{"range", "--space", "large", "--lut", table}, `unknown space "large"`)
	refused(t, []string{"range", "--space", "tiny", "--lut", table + ".none"}, table+".none")
	refused(t, []string{"range", "--space", "tiny", "--lut", table, "--format", "xml"}, `unknown format "xml"`)
}
