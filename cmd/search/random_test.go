package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"densenas/lut"
	"densenas/supernet/space"
)

func TestRandomDrawsOfABand(t *testing.T) {
	_, table := tinyFiles(t)
	args := []string{"random", "--space", "tiny", "--lut", table, "--latency", "4ms..4.4ms", "-n", "12"}
	folder := filepath.Join(t.TempDir(), "random")
	if out, _ := succeed(t, append(args, "-o", folder)...); out != "" {
		t.Errorf("printed %q", out)
	}
	measured, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := succeed(t, append(args, "--format", "json")...)
	var results []struct {
		Architecture json.RawMessage `json:"architecture"`
	}
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) != 12 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	seen := map[string]bool{}
	for i := range 12 {
		file := filepath.Join(folder, fmt.Sprintf("%02d.arch.json", i+1))
		a, err := space.ReadArchitecture(file)
		if err != nil {
			t.Fatal(err)
		}
		total, _, err := measured.Network(a)
		if err != nil || total.MS < 4 || total.MS > 4.4 || a.Predicted.LatencyMS != total.MS {
			t.Errorf("%s: %+v, %+v, %v", file, total, a.Predicted, err)
		}
		printed, err := space.ParseArchitecture("printed", results[i].Architecture)
		if err != nil || fmt.Sprint(printed.Layers) != fmt.Sprint(a.Layers) {
			t.Errorf("%d: the same seed gives %v and %v, %v", i, a.Layers, printed, err)
		}
		seen[read(t, file)] = true
	}
	if len(seen) != 12 {
		t.Errorf("only %d differ", len(seen))
	}
	if other, _ := succeed(t, append(args, "--format", "json", "--seed", "2")...); other == out {
		t.Error("another seed gives the same")
	}
	if text, _ := succeed(t, args...); !strings.Contains(text, "unverified") {
		t.Errorf("%s", text)
	}
	for want, more := range map[string][]string{
		`--latency is "4ms"`:            {"--latency", "4ms"},
		`--latency is "5ms..4ms"`:       {"--latency", "5ms..4ms"},
		"-n is 0":                       {"-n", "0"},
		"exists already":                {"-o", folder},
		"no architecture of space tiny": {"--latency", "1us..2us"},
	} {
		refused(t, append(args, more...), want)
	}
}
