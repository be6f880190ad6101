package study

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/exit"
)

// partFile writes a result of a part, as it is, and returns the folder of the study.
func partFile(t testing.TB, part, text string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.MkdirAll(PartFolder(folder, part), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(PartFolder(folder, part), ResultFile), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestResultIsReadAsWritten(t *testing.T) {
	folder := partFile(t, "train-a-seed1", "")
	want := &Result{Part: "train-a-seed1", Seconds: 12.5, Scores: []Score{{"train-a-seed1", 400, 250, 1.25}, {"b", 1, 0, 0}}}
	if err := WriteResult(folder, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResult(folder, "train-a-seed1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if s, there := got.Of("b"); !there || s.Images != 1 {
		t.Errorf("%+v, %t", s, there)
	}
	if _, there := got.Of("c"); there {
		t.Error("there is a score of c")
	}
	if r, err := ReadResult(folder, "test"); r != nil || err != nil {
		t.Errorf("a part that is not finished has %+v, %v", r, err)
	}
}

const partText = `{"kind": "densenas.study.part", "schema_version": 1, "part": "test", "seconds": 1, "scores": [{"name": "a", "images": 4, "correct": 1, "loss": 1}]}`

func TestResultRefuses(t *testing.T) {
	for _, c := range [][3]string{
		{`"part": "test"`, `"part": "inside"`, `is the result of part "inside"`},
		{`densenas.study.part`, `densenas.study`, "is of kind"},
		{`"seconds": 1`, `"seconds": -1`, "seconds is -1"},
		{`"seconds": 1`, `"second": 1`, "second"},
		{`"images": 4`, `"images": 0`, "scores[0]: images is 0"},
		{`"correct": 1`, `"correct": 5`, "scores[0]: correct is 5"},
		{`"name": "a"`, `"name": ""`, "scores[0]: name"},
	} {
		text := strings.Replace(partText, c[0], c[1], 1)
		folder := partFile(t, "test", text)
		if _, err := ReadResult(folder, "test"); err == nil || exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), ResultFile) || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v, want %q", text, err, c[2])
		}
	}
}

func FuzzResult(f *testing.F) {
	f.Add([]byte(partText))
	f.Add([]byte(`{"kind": "densenas.study.part", "schema_version": 1, "part": 1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseResult("r.json", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "r.json") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		path := filepath.Join(t.TempDir(), ResultFile)
		if err := writeJSON(path, r, r.check()); err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseResult("again", written)
		if err != nil || len(again.Scores) != len(r.Scores) || (len(r.Scores) > 0 && !reflect.DeepEqual(r, again)) {
			t.Fatalf("%+v was read again as %+v, error %v", r, again, err)
		}
	})
}
