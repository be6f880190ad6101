package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"densenas/internal/exit"
	"densenas/lut"
)

var update = flag.Bool("update", false, "write the golden files")

// report runs the program in the folder of the test files.
func report(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errors bytes.Buffer
	err = run(context.Background(), args, &out, &errors)
	return out.String(), errors.String(), err
}

// TestGolden holds what is printed against testdata/golden; -update writes it.
func TestGolden(t *testing.T) {
	golden, err := filepath.Abs("testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata")
	for name, args := range map[string][]string{
		"lut":           {"lut", "cpu.lut.json"},
		"lut-imported":  {"lut", "imported.lut.json"},
		"lut-verified":  {"lut", "verified.lut.json"},
		"arch":          {"arch", "net.arch.json"},
		"arch-lut":      {"arch", "net.arch.json", "--lut", "cpu.lut.json"},
		"arch-luts":     {"arch", "net.arch.json", "--lut", "cpu.lut.json", "--lut", "imported.lut.json"},
		"arch-verified": {"arch", "net.arch.json", "--lut", "verified.lut.json"},
		"arch-mixed":    {"arch", "net.arch.json", "--lut", "cpu.lut.json", "--lut", "verified.lut.json"},
		"arch-text":     {"arch", "net.txt", "--resolution", "96", "--classes", "100"},
		"run":           {"run", "run"},
		"run-started":   {"run", "started"},
	} {
		for _, format := range []string{"table", "csv", "json", "markdown"} {
			stdout, stderr, err := report(t, append(args, "--format", format)...)
			if err != nil || stderr != "" {
				t.Errorf("%s as %s: stderr %q, error %v", name, format, stderr, err)
				continue
			}
			path := filepath.Join(golden, name+"."+format)
			if *update {
				if err := os.WriteFile(path, []byte(stdout), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if stdout != string(want) {
				t.Errorf("%s as %s differs from its golden file (go test -update writes it):\n%s", name, format, stdout)
			}
			check(t, name, format, stdout)
		}
	}
}

// check is what holds for every output.
func check(t *testing.T, name, format, stdout string) {
	t.Helper()
	switch format {
	case "json":
		if !json.Valid([]byte(stdout)) {
			t.Errorf("%s: not JSON", name)
		}
	case "csv":
		if rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll(); err != nil || len(rows) < 2 {
			t.Errorf("%s: %d rows of CSV, error %v", name, len(rows), err)
		}
	case "table":
		for line := range strings.Lines(stdout) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && name != "arch-luts" && name != "arch-mixed" || n > 100 {
				t.Errorf("%s: a line of %d columns: %s", name, n, line)
			}
		}
	}
	if strings.HasSuffix(name, "-verified") {
		said := map[string]string{"table": "verified", "markdown": "verified", "csv": "key", "json": `"verified": true`}[format]
		if name == "arch-verified" && format == "csv" {
			said = "true"
		}
		// What the architecture's own file predicts is by an unverified table.
		if n := strings.Count(stdout, "unverified"); !strings.Contains(stdout, said) || n > strings.Count(stdout, "the file predicts") {
			t.Errorf("%s as %s: the table is used without saying that it is verified, or as if it were not", name, format)
		}
		return
	}
	said := map[string]string{"table": "unverified", "markdown": "unverified", "csv": "verified", "json": `"verified": false`}[format]
	if name != "arch-text" && (format != "csv" || strings.HasPrefix(name, "arch-lut")) && !strings.Contains(stdout, said) {
		t.Errorf("%s as %s: the table is used without saying that it is unverified", name, format)
	}
}

// The JSON of an architecture adds up: the total is the sum of its layers and a call.
func TestArchAddsUp(t *testing.T) {
	t.Chdir("testdata")
	stdout, _, err := report(t, "arch", "net.arch.json", "--lut", "cpu.lut.json", "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	type numbers struct {
		MultiplyAdds int64    `json:"multiply_adds"`
		Parameters   int64    `json:"parameters"`
		LatencyMS    float64  `json:"latency_ms"`
		LowMS        *float64 `json:"low_ms"`
		HighMS       *float64 `json:"high_ms"`
		Share        float64  `json:"share"`
	}
	var got struct {
		Tables []struct {
			CallMS   float64 `json:"call_ms"`
			Verified *bool   `json:"verified"`
		} `json:"tables"`
		Layers []numbers `json:"layers"`
		Total  numbers   `json:"total"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Layers) < 5 || len(got.Tables) != 1 || got.Tables[0].Verified == nil || *got.Tables[0].Verified {
		t.Fatalf("%d layers, tables %+v", len(got.Layers), got.Tables)
	}
	var sum numbers
	sum.LatencyMS, sum.Share = got.Tables[0].CallMS, got.Tables[0].CallMS/got.Total.LatencyMS
	for _, l := range got.Layers {
		sum.MultiplyAdds += l.MultiplyAdds
		sum.Parameters += l.Parameters
		sum.LatencyMS += l.LatencyMS
		sum.Share += l.Share
		if l.LowMS == nil || l.HighMS == nil || *l.LowMS > l.LatencyMS || l.LatencyMS > *l.HighMS {
			t.Errorf("latency %g with interval %v to %v", l.LatencyMS, l.LowMS, l.HighMS)
		}
	}
	if sum.MultiplyAdds != got.Total.MultiplyAdds || sum.Parameters != got.Total.Parameters || math.Abs(sum.LatencyMS-got.Total.LatencyMS) > 1e-9 ||
		math.Abs(sum.Share-1) > 1e-9 {
		t.Errorf("layers and call sum to %+v, total is %+v", sum, got.Total)
	}
}

// Every table's latency stands in CSV as in JSON.
func TestFormatsAgree(t *testing.T) {
	t.Chdir("testdata")
	args := []string{"arch", "net.arch.json", "--lut", "cpu.lut.json", "--lut", "imported.lut.json", "--format"}
	asJSON, _, err := report(t, append(args, "json")...)
	if err != nil {
		t.Fatal(err)
	}
	asCSV, _, err := report(t, append(args, "csv")...)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Layers []struct {
			Key     string `json:"key"`
			ByTable []struct {
				LatencyMS float64 `json:"latency_ms"`
			} `json:"by_table"`
		} `json:"layers"`
	}
	if err := json.Unmarshal([]byte(asJSON), &got); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(asCSV)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	if len(rows) != len(got.Layers)+2 {
		t.Fatalf("%d rows, want header, %d layers and total", len(rows), len(got.Layers))
	}
	for i, l := range got.Layers {
		if rows[i+1][column["key"]] != l.Key || len(l.ByTable) != 2 {
			t.Fatalf("row %v, layer %+v", rows[i+1], l)
		}
		for j, name := range []string{"latency_ms_a", "latency_ms_b"} {
			if x, err := strconv.ParseFloat(rows[i+1][column[name]], 64); err != nil || x != l.ByTable[j].LatencyMS {
				t.Errorf("%s: %s is %s in CSV, %g in JSON", l.Key, name, rows[i+1][column[name]], l.ByTable[j].LatencyMS)
			}
		}
	}
}

// The notes of a run say what the configuration says of its table.
func TestRunSaysWhetherTheTableIsVerified(t *testing.T) {
	for verified, want := range map[bool]string{true: "by a.lut.json, verified", false: "by a.lut.json, unverified"} {
		if got := (&runReport{Table: "some/a.lut.json", Verified: verified}).latency(); !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBadInputIsOneLine(t *testing.T) {
	t.Chdir("testdata")
	truncated := filepath.Join(t.TempDir(), "truncated.lut.json")
	data, err := os.ReadFile("cpu.lut.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(truncated, data[:len(data)/2], 0o666); err != nil {
		t.Fatal(err)
	}
	spaced := filepath.Join(t.TempDir(), "a net.arch.json")
	if data, err = os.ReadFile("net.arch.json"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(spaced, data, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"missing keys of a file with a space", []string{"arch", spaced, "--lut", "cpu.lut.json", "--resolution", "64"},
			"; measure them with: profiler run --arch '" + spaced + "' --resolution 64 "},
		{"missing classifier", []string{"arch", "net.arch.json", "--lut", "cpu.lut.json", "--classes", "7"},
			"cpu.lut.json: has no classifier_i128_o7_r4 for --classes 7; leave --classes out, or name the table of a network with 7 classes"},
		{"unknown command", []string{"luts"}, "unknown command \"luts\"; see `report --help`"},
		{"unknown flag", []string{"lut", "--fast"}, "unknown flag: --fast; see `report lut --help`"},
		{"no argument", []string{"arch"}, "an argument is missing: report arch FILE [flags]"},
		{"two arguments", []string{"run", "a", "b"}, `unexpected argument "b"; see `},
		{"unknown format", []string{"lut", "cpu.lut.json", "--format", "xml"}, `invalid argument "xml" for "--format" flag: unknown format "xml", known are table, csv, json and markdown`},
		{"absent table", []string{"lut", "absent.lut.json"}, "absent.lut.json: no such file or directory"},
		{"truncated table", []string{"lut", truncated}, "the file ends in the middle, it is truncated"},
		{"architecture as table", []string{"lut", "net.arch.json"}, `net.arch.json: is of kind "densenas.arch", expected densenas.lut; name the right file`},
		{"table as architecture", []string{"arch", "cpu.lut.json"}, `cpu.lut.json: is of kind "densenas.lut", expected densenas.arch; name the right file`},
		{"resolution", []string{"arch", "net.arch.json", "--resolution", "-1"}, "--resolution is -1, allowed is 1 to 1024"},
		{"classes", []string{"arch", "net.arch.json", "--classes", "70000"}, "--classes is 70000, allowed is 1 to 65536"},
		{"missing keys", []string{"arch", "net.arch.json", "--lut", "cpu.lut.json", "--resolution", "64"},
			"cpu.lut.json: 8 of 8 keys missing, first: stem_k3_i1_o8_s2_r64, mbconv_k3_t1_i8_o8_s1_r32, mbconv_k3_t6_i8_o16_s2_r32, …; measure them with: profiler run --arch net.arch.json --resolution 64 --backend xla --threads 2 -o FILE.lut.json"},
		{"file as run", []string{"run", "net.arch.json"}, "net.arch.json is not a run folder, it has no config.yaml; name the -o of search run"},
		{"folder without a run", []string{"run", "golden"}, "golden is not a run folder, it has no config.yaml; name the -o of search run"},
	} {
		stdout, stderr, err := report(t, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(exit.OneLine(err.Error()), "\n") {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
		if exit.Code(err) != exit.CodeBadInput || stdout != "" || stderr != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", c.name, exit.Code(err), stdout, stderr)
		}
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"lut", "--help"}, {"arch", "--help"}, {"run", "--help"}, {}} {
		stdout, _, err := report(t, args...)
		if err != nil || !strings.Contains(stdout, "Usage:") || len(args) == 2 && !strings.Contains(stdout, "Examples:") {
			t.Errorf("%v: error %v, printed\n%s", args, err, stdout)
		}
	}
}

// What only reads files links no runtime, so that it is small and runs anywhere.
func TestNoRuntimeIsLinked(t *testing.T) {
	packages := []string{"densenas/cmd/report", "densenas/lut", "densenas/supernet/space", "densenas/search/rundir"}
	out, err := exec.Command("go", append([]string{"list", "-deps"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for dependency := range strings.Lines(string(out)) {
		dependency = strings.TrimSpace(dependency)
		found[dependency] = true
		if strings.HasPrefix(dependency, "github.com/gomlx/") || dependency == "densenas/internal/backends" {
			t.Errorf("%s is linked", dependency)
		}
	}
	for _, p := range packages {
		if !found[p] {
			t.Errorf("%s is not among the dependencies: the test looks at the wrong thing", p)
		}
	}
}

func TestOneThreadIsSingular(t *testing.T) {
	settings := lutSettings(&lut.Table{Device: lut.Device{Cores: 1}, Runtime: lut.Runtime{Name: "go"}, Threads: 1, Batch: 1}, strings.Repeat("0", 64))
	text := fmt.Sprint(settings.Rows)
	if !strings.Contains(text, "1 thread]") || !strings.Contains(text, "1 core]") {
		t.Errorf("the settings are %s", text)
	}
}
