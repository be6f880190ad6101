package command

import (
	"os"
	"path/filepath"
	"testing"

	"densenas/internal/exit"
)

func TestCheckOutput(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "there")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{
		file: true, filepath.Join(folder, "new"): true,
		folder: false, filepath.Join(file, "below"): false, filepath.Join(folder, "none", "below"): false,
	} {
		if err := CheckOutput(path); ok != (err == nil) || !ok && exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d entries now, %v", len(entries), err)
	}
}

func TestLinePastesIntoAShell(t *testing.T) {
	got := Line([]string{"profiler", "run", "--only", "*_r7*", "-o", "it's.json", ""}...)
	if want := `profiler run --only '*_r7*' -o 'it'\''s.json' ''`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
