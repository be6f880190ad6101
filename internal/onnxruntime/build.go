package onnxruntime

import (
	"fmt"
	"path/filepath"

	"densenas/internal/files"
)

// Build identifies a library that is here, loaded or not.
type Build struct {
	Path   string
	Digest string // SHA-256 of its file, in hexadecimal
}

// Identify says what [Open] would load, without loading it. It reads the whole file. Errors are those of [Find].
func Identify(path string) (Build, error) {
	path, err := Find(path)
	if err != nil {
		return Build{}, err
	}
	digest, err := files.Digest(path)
	if err != nil {
		return Build{}, fmt.Errorf("read ONNX Runtime's library: %w", err)
	}
	return Build{path, digest}, nil
}

// String is the build in one line: the file's name, and what it holds.
func (b Build) String() string {
	return fmt.Sprintf("%s, sha256 %.16s", filepath.Base(b.Path), b.Digest)
}
