package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"densenas/internal/backends/plugin"
	"densenas/internal/exit"
)

func TestFindPrintsThePath(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(plugin.PathsVariable, folder)
	var out bytes.Buffer
	if err := run(context.Background(), []string{"find", "cpu"}, &out, nil); err == nil || out.Len() > 0 {
		t.Errorf("without a plugin: %q, %v", out.String(), err)
	}
	path := filepath.Join(folder, "pjrt_c_api_cpu_v0.1_plugin.so")
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), []string{"find", "cpu"}, &out, nil); err != nil || out.String() != path+"\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"find"}, {"find", "tpu"}, {"remove", "cpu"}} {
		if err := run(context.Background(), args, nil, nil); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%q: %v", strings.Join(args, " "), err)
		}
	}
}

func TestLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		if err := limited(t.Context(), time.Minute, func() error { <-hang; return nil }); err == nil {
			t.Error("a download that hangs was not given up")
		}
		broken := errors.New("broken")
		if err := limited(t.Context(), time.Minute, func() error { return broken }); !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
}
