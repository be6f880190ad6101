package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/command"
	"densenas/internal/exit"
)

// profilerRun runs the program, and fails the test unless it succeeds.
func profilerRun(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	if err := run(t.Context(), args, &out, &errors); err != nil {
		t.Fatalf("%s: %v\n%s", command.Line(args...), err, errors.String())
	}
	return out.String(), errors.String()
}

// refused runs the program with bad input, and checks what it says and that nothing is left in the folder.
func refused(t *testing.T, folder string, want []string, args ...string) {
	t.Helper()
	before := list(t, folder)
	var out, errors bytes.Buffer
	err := run(t.Context(), args, &out, &errors)
	if exit.Code(err) != exit.CodeBadInput {
		t.Errorf("%s: %v, want bad input", command.Line(args...), err)
		return
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %q does not say %q", command.Line(args...), err, text)
		}
	}
	if strings.Contains(err.Error(), "\n") || out.Len() > 0 {
		t.Errorf("%s: more than one line: %q, %q", command.Line(args...), err, out.String())
	}
	if after := list(t, folder); after != before {
		t.Errorf("%s: left %q in a folder with %q", command.Line(args...), after, before)
	}
}

func list(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

func TestUsage(t *testing.T) {
	folder := t.TempDir()
	refused(t, folder, []string{"unknown command", "explode"}, "explode")
	refused(t, folder, []string{"--nonsense", "profiler run --help"}, "run", "--nonsense")
	refused(t, folder, []string{"argument is missing"}, "measure")
	refused(t, folder, []string{"table, csv, json"}, "plan", "--space", "tiny", "--format", "xml")
	refused(t, folder, []string{"unknown command", "nonsense"}, "help", "nonsense")
	if text, _ := profilerRun(t, "run", "--help"); !strings.Contains(text, "--device NAME ") {
		t.Errorf("the help does not say that --device takes a name:\n%s", text)
	} else if !strings.Contains(text, "--shard PART/PARTS ") || !strings.Contains(text, "--remote-binary FILE ") {
		t.Errorf("the help takes a command for a value of a flag:\n%s", text)
	}
	help, _ := profilerRun(t)
	for _, name := range []string{"plan", "run", "measure", "import", "device", "doctor", "merge", "diff", "lint", "export", "verify"} {
		if !strings.Contains(help, "\n  "+name) {
			t.Errorf("help does not list %s:\n%s", name, help)
		}
		if text, _ := profilerRun(t, name, "--help"); !strings.Contains(text, "Examples:\n  profiler "+name) {
			t.Errorf("help of %s has no example:\n%s", name, text)
		}
	}
}

func write(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
