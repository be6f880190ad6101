package library

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// file is what the library is called on this system.
func file(version string) string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime" + version + ".dylib"
	}
	return "libonnxruntime.so" + version
}

func write(t *testing.T, folder string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindOrder(t *testing.T) {
	home, listed := t.TempDir(), t.TempDir()
	for _, name := range []string{"HOME", "USERPROFILE"} {
		t.Setenv(name, home)
	}
	t.Setenv(Variable, "")
	os.Unsetenv(Variable)
	t.Setenv("LD_LIBRARY_PATH", "relative"+string(os.PathListSeparator)+listed)
	t.Setenv("DYLD_LIBRARY_PATH", listed)

	write(t, listed, file(""), "libonnxruntime_providers_shared.so", "onnxruntime.txt")
	if path, err := Find(); err != nil || path != filepath.Join(listed, file("")) {
		t.Errorf("in a listed folder: %q, %v", path, err)
	}
	write(t, listed, file(".1.9.0"), file(".1.32.0"), file(".1.32"), file(".99999999999999999999"))
	if path, err := Find(); err != nil || path != filepath.Join(listed, file(".1.32.0")) {
		t.Errorf("of several versions: %q, %v", path, err)
	}
	own := Folder(runtime.GOOS, runtime.GOARCH)
	if !strings.HasPrefix(own, home) {
		t.Fatalf("own folder %s is not in %s", own, home)
	}
	write(t, own, file(".1.23.9"))
	if err := os.Symlink(file(".1.23.9"), filepath.Join(own, file(""))); err != nil {
		t.Fatal(err)
	}
	if path, err := Find(); err != nil || path != filepath.Join(listed, file(".1.32.0")) {
		t.Errorf("with one of the user's that is too old: %q, %v", path, err)
	}
	write(t, own, file(".1.24.0"))
	if path, err := Find(); err != nil || path != filepath.Join(own, file(".1.24.0")) {
		t.Errorf("with one of the user's: %q, %v", path, err)
	}
	named := filepath.Join(home, "any.name")
	t.Setenv(Variable, named)
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), Variable) || !strings.Contains(err.Error(), named) {
		t.Errorf("a named file that is not there: %v", err)
	}
	write(t, home, "any.name")
	if path, err := Find(); err != nil || path != named {
		t.Errorf("a named file: %q, %v", path, err)
	}
}

func TestCheckFile(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, empty, filepath.Join(folder, "none")} {
		if err := CheckFile(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
