package command

import (
	"os"
	"path/filepath"
	"strings"
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
		// Too long with what the temporary file has behind it.
		filepath.Join(folder, strings.Repeat("n", 250)): false,
	} {
		if err := CheckOutput(path, "", filepath.Join(folder, "new"), folder); ok != (err == nil) || !ok && exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d entries now, %v", len(entries), err)
	}
}

func TestCheckOutputRefusesInputs(t *testing.T) {
	folder := t.TempDir()
	file, link := filepath.Join(folder, "there"), filepath.Join(folder, "link")
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(file, link); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{file, link, folder + "/./there"} {
		if err := CheckOutput(path, "none", file); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "would overwrite the input "+file) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestCheckOutputFolder(t *testing.T) {
	folder := t.TempDir()
	file, link := filepath.Join(folder, "there"), filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{
		folder: true, filepath.Join(folder, "new"): true, filepath.Join(folder, "a", "b", "new"): true,
		file: false, filepath.Join(file, "below", "it"): false, link: false,
	} {
		if err := CheckOutputFolder(path); ok != (err == nil) || !ok && (exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "-o: ")) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d entries now, %v", len(entries), err)
	}
}
