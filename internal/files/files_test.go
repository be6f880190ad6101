package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
)

func TestWriteAtomic(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.json")
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	if err := WriteAtomic(path, text("one")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("out of ideas")
	err := WriteAtomic(path, func(w io.Writer) error {
		io.WriteString(w, strings.Repeat("x", 1<<20))
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the writer's", err)
	}
	onlyFile(t, folder, "a.json", "one")
	if err := WriteAtomic(path, text("two")); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, folder, "a.json", "two")

	err = WriteAtomic(filepath.Join(folder, "missing", "b"), text(""))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), filepath.Join(folder, "missing", "b")+": cannot write: ") {
		t.Errorf("error %v into a missing folder", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "d"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := WriteAtomic(filepath.Join(folder, "d"), text("")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if names, _ := os.ReadDir(folder); len(names) != 2 {
		t.Errorf("%d names in the folder, a temporary file is left", len(names))
	}
}

func onlyFile(t *testing.T, folder, name, content string) {
	t.Helper()
	names, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 1 || names[0].Name() != name {
		t.Errorf("folder holds %v, want only %s", names, name)
	}
	if data, _ := os.ReadFile(filepath.Join(folder, name)); string(data) != content {
		t.Errorf("%s holds %d bytes, want %q", name, len(data), content)
	}
}

func TestReadBounded(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a")
	if err := os.WriteFile(path, []byte("12345"), 0o666); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadBounded(path, 5); err != nil || string(data) != "12345" {
		t.Errorf("read %q, error %v", data, err)
	}
	for _, c := range []struct {
		path  string
		limit int64
		want  string
	}{
		{path, 4, path + ": larger than 4 bytes, the most that this kind of file may have; is it the right file?"},
		{folder, 5, folder + ": is a folder; name a file"},
		{path + "x", 5, path + "x: no such file or directory; name a file that exists"},
		{path + "/x", 5, path + "/x: not a directory; name a file that exists"},
		{"", 5, "no file was named: the name is empty; name one"},
	} {
		_, err := ReadBounded(c.path, c.limit)
		if err == nil || err.Error() != c.want || exit.Code(err) != exit.CodeBadInput {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	if _, err := ReadBounded("/dev/zero", 1<<20); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("an endless file: error %v", err)
	}
}

func TestLineColumn(t *testing.T) {
	data := []byte("ab\n\ncd")
	for _, c := range []struct {
		offset       int64
		line, column int
	}{{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 2, 1}, {4, 3, 1}, {6, 3, 3}, {99, 3, 3}, {-1, 1, 1}} {
		if line, column := LineColumn(data, c.offset); line != c.line || column != c.column {
			t.Errorf("offset %d is at %d:%d, want %d:%d", c.offset, line, column, c.line, c.column)
		}
	}
}

// What a killed writer left is removed, and nothing that another one is writing, or a person wrote.
func TestRemoveAbandoned(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "latest.bin")
	temporary := func(path string) string {
		f, err := createTemporary(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	abandoned, current, other, own := temporary(path), temporary(path), temporary(filepath.Join(folder, "other.bin")), filepath.Join(folder, ".latest.bin.mine.tmp")
	for _, name := range []string{path, own} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{abandoned, other, own, path} {
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-2*abandonedAfter)); err != nil {
			t.Fatal(err)
		}
	}
	RemoveAbandoned(path)
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", abandoned, err)
	}
	for _, name := range []string{path, own, other, current} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
