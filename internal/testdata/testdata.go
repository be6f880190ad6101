// Package testdata finds the reference data that some tests are held against: golden cases, published tables and images.
//
// They lie outside the repository, in a folder named shared beside the repository's root. A test that needs them asks for one
// by its path there and is skipped, with a message, on a machine that lacks it.
package testdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Shared returns the path of a file or folder of the shared folder, given relative to it with slashes, and skips the test
// where it is absent.
func Shared(t testing.TB, name string) string {
	t.Helper()
	root, ok := moduleRoot()
	if !ok {
		t.Skipf("no go.mod above the working directory, so no shared folder to take %s from", name)
	}
	path := filepath.Join(filepath.Dir(root), "shared", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("reference data shared/%s is not beside the repository", name)
	}
	return path
}

// moduleRoot walks up from the working directory, which go test sets to the package's folder, to the folder with go.mod.
func moduleRoot() (string, bool) {
	dir, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
