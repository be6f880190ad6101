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
	"densenas/search/rundir"
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

// diskFailure is one way in which a disk, or the folder on it that holds checkpoints, fails, and how that is mended.
type diskFailure struct {
	breakIt, mend func(t *testing.T, disk, checkpoints string)
	message       string
	gone          bool // the checkpoints
}

var diskFailures = map[string]diskFailure{
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
		breakIt: func(t *testing.T, _, checkpoints string) { mountReadOnly(t, checkpoints) },
		mend: func(t *testing.T, _, checkpoints string) {
			if err := syscall.Unmount(checkpoints, 0); err != nil {
				t.Fatal(err)
			}
		},
		message: "read-only file system",
	},
	"missing": {
		breakIt: func(t *testing.T, _, checkpoints string) { rename(t, checkpoints, checkpoints+".away") },
		mend:    func(t *testing.T, _, checkpoints string) { rename(t, checkpoints+".away", checkpoints) },
		message: "no such file or directory",
		gone:    true,
	},
}

// A search on a disk that fills up, that becomes read-only, or whose folder of checkpoints goes away, ends with an error that says so. The last
// good checkpoint stays as it was, and the search continues from it once the cause is away, to the same end as one without.
func TestDiskFailsASearch(t *testing.T) {
	f := smallFiles(t)
	whole := filepath.Join(t.TempDir(), "whole")
	succeed(t, f.args(whole)...)
	want := outcome(t, whole)
	for name, c := range diskFailures {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, "4m")
			folder := filepath.Join(disk, "run")
			s := prepare(t, f.args(folder))
			var before string
			s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
				if n == smallWeightSteps+2 { // the first epoch is saved
					before = read(t, checkpointPath(folder))
					c.breakIt(t, disk, filepath.Dir(checkpointPath(folder)))
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
			c.mend(t, disk, filepath.Dir(checkpointPath(folder)))
			if read(t, checkpointPath(folder)) != before {
				t.Error("the checkpoint is another")
			}
			succeed(t, "resume", folder)
			same(t, "behind a disk that failed", outcome(t, folder), want)
		})
	}
}

// Likewise for a training, which has its checkpoint beside its output.
func TestDiskFailsATraining(t *testing.T) {
	f := smallFiles(t)
	folder, whole := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "whole.safetensors")
	succeed(t, f.args(folder, "--epochs", "1", "--architecture-epoch", "0")...)
	args := func(path string) []string {
		return []string{"train", "--arch", filepath.Join(folder, rundir.ArchitectureFile), "--data", f.data, "--epochs", "3", "--batch", "8", "--backend", "go", "-o", path}
	}
	succeed(t, args(whole)...)
	for name, c := range diskFailures {
		if c.gone {
			continue // then it begins anew
		}
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, "4m")
			path := filepath.Join(disk, "out", "w.safetensors")
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := stopAt(args(path), "backend: "); exit.Code(err) != exit.CodeInterrupted {
				t.Fatal(err)
			}
			checkpoint := filepath.Join(filepath.Dir(path), "w.checkpoint.safetensors")
			before := read(t, checkpoint)
			broken := false
			err := run(context.Background(), args(path), io.Discard, writerFunc(func(p []byte) (int, error) {
				if strings.Contains(string(p), "continuing from ") {
					c.breakIt(t, disk, filepath.Dir(path))
					broken = true
				}
				return len(p), nil
			}))
			if !broken || err == nil || exit.Code(err) != exit.CodeFailure || !strings.HasPrefix(err.Error(), checkpoint) || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), "continue from the last checkpoint with: search train ") {
				t.Errorf("code %d, %v", exit.Code(err), err)
			}
			if read(t, checkpoint) != before {
				t.Error("the checkpoint is another")
			}
			c.mend(t, disk, filepath.Dir(path))
			succeed(t, args(path)...)
			if read(t, path) != read(t, whole) {
				t.Error("the weights are not those of a training whose disk did not fail")
			}
			missing(t, checkpoint)
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
