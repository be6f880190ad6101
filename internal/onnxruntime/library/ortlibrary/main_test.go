package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime/library"
)

func TestFindPrintsThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "library")
	t.Setenv(library.Variable, path)
	var out bytes.Buffer
	if err := run(context.Background(), []string{"find"}, &out, nil); err == nil || out.Len() > 0 {
		t.Errorf("without a library: %q, %v", out.String(), err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), []string{"find"}, &out, nil); err != nil || out.String() != path+"\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestFolder(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"folder", "linux/arm64"}, &out, nil); err != nil || !strings.HasSuffix(out.String(), "linux-arm64\n") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"find", "it"}, {"folder"}, {"folder", "linux"}, {"folder", "../x"}, {"folder", "linux/"}, {"remove"}} {
		if err := run(context.Background(), args, nil, nil); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%q: %v", strings.Join(args, " "), err)
		}
	}
}
