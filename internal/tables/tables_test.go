package tables

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func example() []Table {
	return []Table{{
		Title:      "Ops of a network",
		Header:     []string{"op", "width", "latency ms", "share"},
		Rows:       [][]string{{"mbconv_k3_t6_i16_o24_s2_r112", "24", "1.250", "8.1 %"}, {"skip|odd <b>", "1984", "0.013", "0.1 %"}, {"", "7", "±", ""}},
		Footer:     []string{"total", "", "1.263", "100 %"},
		Notes:      []string{"unverified: no whole network was measured", "second note"},
		RightAlign: []bool{false, true, true, true},
	}, {
		Header: []string{"epoch", "loss"},
		Rows:   [][]string{{"1", "2.30"}},
	}}
}

func TestWriteGolden(t *testing.T) {
	for _, f := range []Format{Text, CSV, JSON, Markdown} {
		var out bytes.Buffer
		if err := Write(&out, f, example(), map[string]any{"op": "a<b", "latency_ms": 1.25}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "example."+string(f))
		if *update {
			if err := os.WriteFile(path, out.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s: output differs from %s (go test -update writes it):\n%s", f, path, out.String())
		}
	}
}

func TestCSVReadsBack(t *testing.T) {
	in := Table{Header: []string{"a", "b"}, Rows: [][]string{{`quote " comma ,`, "ä"}, {"", "x"}}, Title: "no", Notes: []string{"no"}, Footer: []string{"no", "no"}}
	var out bytes.Buffer
	if err := Write(&out, CSV, []Table{in}, nil); err != nil {
		t.Fatal(err)
	}
	got, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[1][0] != in.Rows[0][0] || got[1][1] != "ä" || got[2][1] != "x" {
		t.Errorf("read back %q", got)
	}
}

// Columns of a text table line up, whatever the cells, and no line ends in spaces.
func TestTextLinesUp(t *testing.T) {
	in := Table{Header: []string{"name", "n"}, Rows: [][]string{{"ä€", "1"}, {strings.Repeat("long ", 40), "200"}}, RightAlign: []bool{false, true}}
	var out bytes.Buffer
	if err := Write(&out, Text, []Table{in}, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want header, rule and two rows:\n%s", len(lines), out.String())
	}
	width := len([]rune(lines[3]))
	for _, line := range lines {
		if line != strings.TrimRight(line, " ") {
			t.Errorf("line %q ends in spaces", line)
		}
		if line == lines[1] { // the rule
			continue
		}
		if n := len([]rune(line)); n != width {
			t.Errorf("line %q has %d runes, the last has %d", line, n, width)
		}
	}
}

func TestTerminalIsSafe(t *testing.T) {
	for _, f := range []Format{Text, CSV, Markdown} {
		var out bytes.Buffer
		evil := "a\x1b[2J\nb\u202e\r"
		if err := Write(&out, f, []Table{{Title: evil, Header: []string{evil}, Rows: [][]string{{evil}}, Notes: []string{evil}}}, nil); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\r\u202e") {
			t.Errorf("%s: a control character passed: %q", f, out.String())
		}
	}
}

func TestFormatFlag(t *testing.T) {
	var f Format
	if f.String() != "table" {
		t.Errorf("default %q", f.String())
	}
	if err := f.Set("markdown"); err != nil || f != Markdown {
		t.Errorf("set to %q, error %v", f, err)
	}
	if err := f.Set("xml"); err == nil || f != Markdown {
		t.Errorf("set to %q, error %v", f, err)
	}
	if err := Write(&bytes.Buffer{}, "xml", nil, nil); err == nil {
		t.Error("an unknown format was written")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteErrorIsReturned(t *testing.T) {
	for _, f := range []Format{Text, CSV, JSON, Markdown} {
		if err := Write(fullDisk{}, f, example(), 1); err == nil {
			t.Errorf("%s: the error is lost", f)
		}
	}
}
