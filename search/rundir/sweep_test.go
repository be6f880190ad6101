package rundir

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"densenas/internal/exit"

	"github.com/google/go-cmp/cmp"
)

func testSweep(t testing.TB) *Sweep {
	t.Helper()
	c, err := Default("tiny")
	if err != nil {
		t.Fatal(err)
	}
	return &Sweep{TargetsMS: []float64{10, 0.25}, Seeds: []uint64{1, 7}, Config: *c,
		Tables: []SweepTable{{"../a/phone.lut.json", "00"}, {"../b/Phone.lut.json", "11"}, {"./...lut.json", "22"}}}
}

func TestRunsHaveNamesOfTheirOwn(t *testing.T) {
	s := testSweep(t)
	runs := s.Runs()
	if len(runs) != 12 {
		t.Fatalf("%d runs", len(runs))
	}
	var names []string
	for _, run := range runs {
		if !filepath.IsLocal(run.Name) || strings.ContainsAny(run.Name, `/\`) {
			t.Errorf("%q is no name of a folder", run.Name)
		}
		names = append(names, run.Name)
	}
	want := []string{"phone-10ms-seed1", "phone-10ms-seed7", "phone-0.25ms-seed1", "phone-0.25ms-seed7", "Phone-2-10ms-seed1"}
	if diff := cmp.Diff(want, names[:5]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if last := runs[11]; last.Name != "table-0.25ms-seed7" || last.Table.Identity != "22" || last.TargetMS != 0.25 || last.Seed != 7 {
		t.Errorf("the last is %+v", last)
	}
}

// A plan can be moved with what it names: paths inside and beside its folder follow it, others stay.
func TestPathsFollowThePlan(t *testing.T) {
	from, to := filepath.FromSlash("/volume/sweep"), filepath.FromSlash("/mounted/sweep")
	s := testSweep(t)
	for path, want := range map[string]string{
		filepath.FromSlash("/volume/pictures"):     filepath.FromSlash("/mounted/pictures"),
		filepath.FromSlash("/volume/sweep/in.zip"): filepath.FromSlash("/mounted/sweep/in.zip"),
		"mnist":      "mnist",
		"tiny":       "tiny",
		"auto:thing": "auto:thing",
		"mnist:" + filepath.FromSlash("/volume/digits"): "mnist:" + filepath.FromSlash("/mounted/digits"),
	} {
		relative, err := Relative(from, path)
		if err != nil {
			t.Fatal(err)
		}
		s.Config.Data, s.Config.Space = relative, relative
		s.Tables = []SweepTable{{relative, "00"}}
		c, err := s.ConfigOf(to, s.Runs()[3])
		if err != nil {
			t.Fatal(err)
		}
		if c.Data != want || c.Space != want || c.LUT.Path != want || c.LUT.Identity != "00" || c.TargetLatencyMS != 0.25 || c.Seed != 7 {
			t.Errorf("%s as %s becomes %s, want %s: %+v", path, relative, c.Data, want, c)
		}
	}
}

func TestSweepIsReadAsWritten(t *testing.T) {
	folder := t.TempDir()
	s := testSweep(t)
	if err := s.Write(folder); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSweep(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Runs(), got.Runs()); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(s.Config, got.Config); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

func TestReadSweepRefuses(t *testing.T) {
	valid, err := testSweep(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, with string) string {
		if !strings.Contains(string(valid), old) {
			t.Fatalf("no %q in\n%s", old, valid)
		}
		return strings.Replace(string(valid), old, with, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"foreign", edit("kind: densenas.sweep", "kind: densenas.config"), "sweep.yaml: is of kind"},
		{"no targets", edit("- 10\n    - 0.25", "[]"), ""},
		{"target 0", edit("- 0.25", "- 0"), "sweep.yaml: targets_ms has 0, allowed is"},
		{"target twice", edit("- 0.25", "- 10"), "sweep.yaml: targets_ms has 10 twice"},
		{"seed twice", edit("- 7", "- 1"), "sweep.yaml: seeds has 1 twice"},
		{"table twice", edit("../b/Phone", "../a/phone"), `sweep.yaml: tables has "../a/phone.lut.json" twice`},
		{"no table", edit("../b/Phone.lut.json", `""`), "sweep.yaml: tables has an empty path"},
		{"missing in a table", edit("      identity: \"11\"\n", ""), "sweep.yaml: field tables[1].identity is missing"},
		{"missing in the configuration", edit("    momentum: 0.9\n", ""), "sweep.yaml: field config.momentum is missing"},
		{"out of range in the configuration", edit("momentum: 0.9", "momentum: 9"), "sweep.yaml: momentum is 9, allowed is"},
		{"other configuration", edit("    kind: densenas.config", "    kind: densenas.lut"), "sweep.yaml (config): is of kind"},
		{"too many", edit("seeds:\n", "seeds:\n"+strings.Repeat("    - 1\n", maxRuns+1)), "seeds has"},
	} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, SweepFile), []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSweep(folder); err == nil || exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := ReadSweep(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not the folder of a sweep") {
		t.Errorf("an empty folder gave %v", err)
	}
}

func FuzzSweep(f *testing.F) {
	data, err := testSweep(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("kind: densenas.sweep\nschema_version: 1\ntargets_ms: [1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSweep("s.yaml", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "s.yaml") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		names := map[string]bool{}
		for _, run := range s.Runs() {
			if names[run.Name] || !filepath.IsLocal(run.Name) || len(run.Name) > 200 {
				t.Fatalf("%q is no name of its own", run.Name)
			}
			names[run.Name] = true
		}
		written, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseSweep("again", written)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%+v was read again as %+v, error %v", s, again, err)
		}
	})
}
