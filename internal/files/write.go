package files

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// WriteAtomic writes a file whole or not at all: write fills a temporary file in the same folder, which is synced and
// renamed to path; then the folder is synced. On an error the temporary file is removed and path is as it was.
func WriteAtomic(path string, write func(io.Writer) error) (err error) {
	f, err := createTemporary(path)
	if err != nil {
		return err
	}
	temporary := f.Name()
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(temporary)
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<16)
	if err = write(buffered); err != nil {
		return err
	}
	if err = buffered.Flush(); err != nil {
		return fmt.Errorf("%s: cannot write: %w", path, withoutPath(err))
	}
	if err = f.Sync(); err != nil {
		return fmt.Errorf("%s: cannot write: %w", path, withoutPath(err))
	}
	if err = f.Close(); err != nil {
		return fmt.Errorf("%s: cannot write: %w", path, withoutPath(err))
	}
	if err = os.Rename(temporary, path); err != nil {
		return fmt.Errorf("%s: cannot write: %w", path, withoutPath(err))
	}
	return SyncFolder(filepath.Dir(path))
}

// WriteBytes is [WriteAtomic] of what is whole already.
func WriteBytes(path string, data []byte) error {
	return WriteAtomic(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// WriteEncoded is [WriteBytes] of what encode returns. Its error is named with the file, which is not written.
func WriteEncoded(path string, encode func() ([]byte, error)) error {
	data, err := encode()
	if err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	return WriteBytes(path, data)
}

// CheckWritable returns the error that WriteAtomic would begin with: the folder is not there or cannot be written, or the name
// is too long. It leaves nothing behind.
func CheckWritable(path string) error {
	f, err := createTemporary(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// abandonedAfter is the age from which a temporary file is nobody's: no writer takes so long.
const abandonedAfter = time.Hour

// RemoveAbandoned removes, as far as it can, what processes that were killed while they wrote the file at path have left beside it.
func RemoveAbandoned(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		middle, begins := strings.CutPrefix(e.Name(), "."+filepath.Base(path)+".")
		middle, ends := strings.CutSuffix(middle, ".tmp")
		if !begins || !ends || len(middle) != len(rand.Text()) || !e.Type().IsRegular() {
			continue
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandonedAfter {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// createTemporary creates the file that is to become the one at path.
func createTemporary(path string) (*os.File, error) {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()+".tmp")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot write: %w", path, withoutPath(err))
	}
	return f, nil
}

// SyncFolder makes the names in a folder durable, after files were created or renamed in it.
func SyncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// withoutPath drops operation and path from an error of package os: the message names the path already.
func withoutPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	var linkError *os.LinkError
	if errors.As(err, &linkError) {
		return linkError.Err
	}
	return err
}
