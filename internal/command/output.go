package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"densenas/internal/exit"
)

// CheckOutput refuses, as bad input, a file that cannot be written, before the work for it is done, and one that is an input
// of the same command, by whatever name. Inputs that are not there, or empty, are passed over.
func CheckOutput(path string, inputs ...string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return exit.BadInput("%s is not a file; name a file by -o", path)
	}
	for _, input := range inputs {
		if other, failed := os.Stat(input); err == nil && failed == nil && os.SameFile(info, other) {
			return exit.BadInput("-o %s would overwrite the input %s; name another file", path, input)
		}
	}
	if err := probe(filepath.Dir(path)); err != nil {
		return exit.BadInput("cannot write %s: %w; name a file in a folder that exists and can be written", path, err)
	}
	return nil
}

// CheckOutputFolder refuses, as bad input, a folder that can be neither written nor created. Nothing is created.
func CheckOutputFolder(path string) error {
	nearest := filepath.Clean(path)
	for {
		info, err := os.Stat(nearest)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a folder", nearest)
		}
		parent := filepath.Dir(nearest)
		if errors.Is(err, fs.ErrNotExist) && parent != nearest {
			nearest = parent
			continue
		}
		if err == nil {
			err = probe(nearest)
		}
		if err != nil {
			return exit.BadInput("-o: %w; name a folder that can be created", err)
		}
		return nil
	}
}

// probe writes a file into a folder and removes it.
func probe(folder string) error {
	f, err := os.CreateTemp(folder, ".densenas-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
