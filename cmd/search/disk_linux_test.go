package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"densenas/internal/exit"
)

// smallDisk mounts a file system of some kB that is its own, or skips the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	at := t.TempDir()
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no file system can be mounted here, so none fills up: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// A search on a disk that fills up, that becomes read-only, or whose folder of checkpoints goes away, ends with an error that says so. The last
// good checkpoint stays as it was, and the search continues from it once the cause is away, to the same end as one without.
func TestDiskFails(t *testing.T) {
	f := smallFiles(t)
	whole := filepath.Join(t.TempDir(), "whole")
	succeed(t, f.args(whole)...)
	want := outcome(t, whole)
	for name, c := range map[string]struct {
		breakIt, mend func(t *testing.T, disk, folder string)
		message       string
		gone          bool // the checkpoints
	}{
		"full": {
			breakIt: func(t *testing.T, disk, _ string) { fill(t, filepath.Join(disk, "filler")) },
			mend: func(t *testing.T, disk, _ string) {
				if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
					t.Fatal(err)
				}
			},
			message: "no space left on device",
		},
		"read-only": {
			breakIt: func(t *testing.T, _, folder string) { mountReadOnly(t, filepath.Dir(checkpointPath(folder))) },
			mend: func(t *testing.T, _, folder string) {
				if err := syscall.Unmount(filepath.Dir(checkpointPath(folder)), 0); err != nil {
					t.Fatal(err)
				}
			},
			message: "read-only file system",
		},
		"missing": {
			breakIt: func(t *testing.T, _, folder string) { rename(t, filepath.Dir(checkpointPath(folder)), folder+".away") },
			mend:    func(t *testing.T, _, folder string) { rename(t, folder+".away", filepath.Dir(checkpointPath(folder))) },
			message: "no such file or directory",
			gone:    true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, "4m")
			folder := filepath.Join(disk, "run")
			s := prepare(t, f.args(folder))
			var before string
			s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
				if n == smallWeightSteps+2 { // the first epoch is saved
					before = read(t, checkpointPath(folder))
					c.breakIt(t, disk, folder)
				}
				return nil
			}}
			err := s.execute(context.Background(), folder, io.Discard)
			s.close()
			if err == nil || exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), c.message) || !strings.HasSuffix(err.Error(), "continue from the last checkpoint with: search resume "+folder) {
				t.Errorf("code %d, %v", exit.Code(err), err)
			}
			if !c.gone && read(t, checkpointPath(folder)) != before {
				t.Error("the checkpoint is another")
			}
			c.mend(t, disk, folder)
			if read(t, checkpointPath(folder)) != before {
				t.Error("the checkpoint is another")
			}
			succeed(t, "resume", folder)
			same(t, "behind a disk that failed", outcome(t, folder), want)
		})
	}
}

// mountReadOnly mounts a folder over itself, so that nothing can be written there, whoever asks.
func mountReadOnly(t *testing.T, folder string) {
	t.Helper()
	if err := syscall.Mount(folder, folder, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", folder, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
