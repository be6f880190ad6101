package files

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"densenas/internal/exit"
)

// Open opens a file for reading. An empty path, a missing file and a folder are bad input. A pipe that nobody writes to is
// empty: to open it the usual way would wait without end, and no signal that is caught would end that.
func Open(path string) (*os.File, error) {
	if path == "" {
		return nil, exit.BadInput("no file was named: the name is empty; name one")
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		way := "make it readable"
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			way = "name a file that exists"
		}
		return nil, exit.BadInput("%s: %w; %s", path, withoutPath(err), way)
	}
	if info, err := f.Stat(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, withoutPath(err))
	} else if info.IsDir() {
		f.Close()
		return nil, exit.BadInput("%s: is a folder; name a file", path)
	}
	return f, nil
}

// ReadOfFolder is [ReadBounded] of a file that every folder of a kind has: without it the folder is none of them, which is bad input. What
// is the kind, such as "a run folder", and command the one whose -o names such folders.
func ReadOfFolder(folder, name string, limit int64, what, command string) ([]byte, error) {
	data, err := ReadBounded(filepath.Join(folder, name), limit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, exit.BadInput("%s is not %s, it has no %s; name the -o of %s", cmp.Or(folder, `""`), what, name, command)
	}
	return data, err
}

// ReadBounded reads a whole file of at most limit bytes. What [Open] refuses and a larger file are bad input.
func ReadBounded(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if info.Size() > limit {
		return nil, tooLarge(path, limit)
	}
	// The size may be 0 for a pipe and may change while reading, so the bound is on what is read.
	var buffer bytes.Buffer
	buffer.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := io.Copy(&buffer, io.LimitReader(f, limit+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, withoutPath(err))
	}
	if int64(buffer.Len()) > limit {
		return nil, tooLarge(path, limit)
	}
	return buffer.Bytes(), nil
}

func tooLarge(path string, limit int64) error {
	return exit.BadInput("%s: larger than %s, the most that this kind of file may have; is it the right file?", path, size(limit))
}

// size writes a number of bytes in the largest binary unit that divides it.
func size(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if one := int64(1) << (30 - 10*i); n >= one && n%one == 0 {
			return fmt.Sprintf("%d %s", n/one, unit)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// LineColumn is the place of a byte in a text, both counted from 1; the column counts bytes.
func LineColumn(data []byte, offset int64) (line, column int) {
	before := data[:min(max(offset, 0), int64(len(data)))]
	return 1 + bytes.Count(before, []byte{'\n'}), len(before) - bytes.LastIndexByte(before, '\n')
}

// ErrorAt is a bad-input error "NAME:LINE:COLUMN: message" about the byte at offset.
func ErrorAt(name string, data []byte, offset int64, format string, a ...any) error {
	line, column := LineColumn(data, offset)
	return exit.BadInput("%s:%d:%d: %w", name, line, column, fmt.Errorf(format, a...))
}
