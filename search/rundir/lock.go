package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"densenas/internal/exit"
)

// errLocked says that another process holds a lock.
var errLocked = errors.New("locked")

// LockedError says that another process is writing a folder or file.
type LockedError struct{ What string }

func (e LockedError) Error() string {
	return fmt.Sprintf("%s is being written by another process; wait for its end, stop it, or write elsewhere", e.What)
}

// Lock is the right to write a run folder, or a file. Where the system has no flock, it is given to all.
type Lock struct{ file *os.File }

// Acquire takes the lock of a run folder, which must exist, until Release or the end of the process. A folder that another
// search is writing is bad input.
func Acquire(folder string) (*Lock, error) { return acquire(filepath.Join(folder, LockFile), folder) }

// AcquireFile is Acquire for a single file, whether it is there or not; its folder must exist.
func AcquireFile(path string) (*Lock, error) { return acquire(path+".lock", path) }

func acquire(path, what string) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, exit.BadInput("%w; make the folder one that can be written", err)
		}
		if err := tryLock(f); err != nil {
			f.Close()
			if errors.Is(err, errLocked) {
				return nil, exit.AsBadInput(LockedError{what})
			}
			return nil, err
		}
		// Its holder may have removed the file between opening and locking; then the lock is of no file that others see.
		locked, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(locked, there) {
			return &Lock{f}, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Close()
			return nil, err
		}
		f.Close()
	}
}

// Release gives the lock back and removes its file. A nil lock is none.
func (l *Lock) Release() {
	if l == nil {
		return
	}
	// Removed while it is held: later, the file would be another's.
	os.Remove(l.file.Name())
	l.file.Close()
}

// Empty says whether a folder holds nothing but, maybe, the lock of a search that was killed.
func Empty(folder string) (bool, error) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if e.Name() != LockFile {
			return false, err
		}
	}
	return true, err
}
