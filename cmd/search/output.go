package main

import (
	"errors"
	"os"
	"path/filepath"

	"densenas/internal/exit"
)

// checkOutput refuses a file that cannot be written, before the work for it is done.
func checkOutput(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return exit.BadInput("%s is not a file; name a file by -o", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), ".search-*")
	if err != nil {
		return exit.BadInput("cannot write %s: %w; name a file in a folder that exists and can be written", path, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}
