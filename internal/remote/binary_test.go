package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
)

func TestFindProgramTakesNothingButTheProfiler(t *testing.T) {
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		this:      "is the program \"densenas/internal/remote.test\", expected a profiler",
		text:      "not a program made by Go",
		"/no/one": "not a program made by Go",
		"":        "no profiler-linux-arm64 beside this program or in dist: build it by `make dist`",
	} {
		if _, err := findProgram(path, platform{"linux", "arm64"}, false); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}
