package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"densenas/internal/testdata"
)

func TestExportCSV(t *testing.T) {
	folder := t.TempDir()
	table := sampleTable(t)
	path := stored(t, folder, "a.lut.json", table)
	stdout, stderr := profilerRun(t, "export", path)
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || stderr != "" || len(rows) != 1+len(table.Entries) {
		t.Fatalf("%d rows, %v, stderr %q", len(rows), err, stderr)
	}
	for i, e := range table.Entries {
		if ms, err := strconv.ParseFloat(rows[i+1][4], 64); err != nil || ms != e.MedianMS || rows[i+1][0] != e.Key {
			t.Errorf("row %q of %+v", rows[i+1], e)
		}
	}
	out := filepath.Join(folder, "a.csv")
	if printed, _ := profilerRun(t, "export", path, "--format", "csv", "-o", out); printed != "" {
		t.Errorf("printed %q", printed)
	}
	if data, err := os.ReadFile(out); err != nil || string(data) != stdout {
		t.Errorf("the file differs from what is printed, %v", err)
	}
}

// The published table goes through the project's form and back.
func TestExportOfAPublishedTableIsImportedAlike(t *testing.T) {
	published := testdata.Shared(t, "luts/titanxp-mbv2-b32.densenas.txt")
	folder := t.TempDir()
	first, text, second := filepath.Join(folder, "a.lut.json"), filepath.Join(folder, "a.txt"), filepath.Join(folder, "b.lut.json")
	profilerRun(t, "import", "--space", "mbv2", published, "-o", first)
	profilerRun(t, "export", first, "--format", "densenas", "--space", "mbv2", "-o", text)
	profilerRun(t, "import", "--space", "mbv2", text, "-o", second)
	if a, b := read(t, first), read(t, second); a.Identity() != b.Identity() {
		t.Errorf("%d entries, identity %s; again %d, %s", len(a.Entries), a.Identity(), len(b.Entries), b.Identity())
	}
	printed, _ := profilerRun(t, "export", first, "--format", "densenas", "--space", "mbv2")
	if data, err := os.ReadFile(text); err != nil || string(data) != printed {
		t.Errorf("the file differs from what is printed, %v", err)
	}
}

func TestExportTakesTheTablesResolution(t *testing.T) {
	folder := t.TempDir()
	table := sampleTable(t)
	table.Resolutions = []int{48}
	path := stored(t, folder, "a.lut.json", table)
	refused(t, folder, []string{"keys missing", "--resolution 48"}, "export", path, "--format", "densenas", "--space", "tiny")
	if out, _ := profilerRun(t, "export", path, "--format", "densenas", "--space", "tiny", "--resolution", "32"); !strings.HasPrefix(out, "[") {
		t.Errorf("printed %q", out)
	}
	table.Resolutions = []int{48, 64}
	path = stored(t, folder, "a.lut.json", table)
	refused(t, folder, []string{"[48 64]", "--resolution"}, "export", path, "--format", "densenas", "--space", "tiny")
}

func TestExportRefuses(t *testing.T) {
	folder := t.TempDir()
	path := stored(t, folder, "a.lut.json", sampleTable(t))
	refused(t, folder, []string{"onnx", "csv"}, "export", path, "--format", "onnx")
	refused(t, folder, []string{"--space"}, "export", path, "--format", "densenas")
	refused(t, folder, []string{"--space", "densenas alone"}, "export", path, "--space", "tiny")
	refused(t, folder, []string{"keys missing", "--space mbv2"}, "export", path, "--format", "densenas", "--space", "mbv2", "--resolution", "96")
	refused(t, folder, []string{"would overwrite the input"}, "export", path, "-o", path)
	journal := write(t, folder, "a.samples.jsonl", "")
	refused(t, folder, []string{"would overwrite the input " + journal}, "export", path, "-o", journal)
	refused(t, folder, []string{"--resolution"}, "export", path, "--format", "densenas", "--space", "tiny", "--resolution", "-1")
	refused(t, folder, []string{"nowhere"}, "export", path, "--format", "densenas", "--space", "nowhere")
	refused(t, folder, []string{"argument is missing"}, "export")
}
