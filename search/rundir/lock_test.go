//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"densenas/internal/exit"
)

func TestLockIsHeldOnce(t *testing.T) {
	folder := t.TempDir()
	first, err := Acquire(folder)
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := Empty(folder); !empty || err != nil {
		t.Errorf("a folder with a lock alone: empty %t, %v", empty, err)
	}
	if _, err = Acquire(folder); exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), folder+" is being written by another process") {
		t.Errorf("a second lock: %v", err)
	}
	first.Release()
	if names, err := os.ReadDir(folder); err != nil || len(names) != 0 {
		t.Errorf("%v is left, %v", names, err)
	}
	// The file that a killed search leaves holds nobody up.
	if err := os.WriteFile(filepath.Join(folder, LockFile), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	again, err := Acquire(folder)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	if _, err := Acquire(filepath.Join(folder, "none")); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("no folder: %v", err)
	}
}

// However taking and giving back meet, there is one holder at a time.
func TestLockUnderContention(t *testing.T) {
	folder := t.TempDir()
	var holders, taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				l, err := Acquire(folder)
				if err != nil {
					if exit.Code(err) != exit.CodeBadInput {
						t.Error(err)
					}
					continue
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				taken.Add(1)
				holders.Add(-1)
				l.Release()
			}
		})
	}
	all.Wait()
	if taken.Load() == 0 {
		t.Error("nobody got the lock")
	}
}
