package main

import (
	"os"
	"path/filepath"
	"testing"

	"densenas/internal/exit"
)

func TestCheckOutput(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "there")
	write(t, file, "old")
	for path, ok := range map[string]bool{
		file: true, filepath.Join(folder, "new"): true,
		folder: false, filepath.Join(file, "below"): false, filepath.Join(folder, "none", "below"): false,
	} {
		if err := checkOutput(path); ok != (err == nil) || !ok && exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: %v", path, err)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 || read(t, file) != "old" {
		t.Errorf("the folder has %d entries now, %v", len(entries), err)
	}
}
