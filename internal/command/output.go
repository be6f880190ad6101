package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"densenas/internal/exit"
	"densenas/internal/files"
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
	if err := files.CheckWritable(path); err != nil {
		return exit.BadInput("%w; name a file in a folder that exists and can be written", err)
	}
	return nil
}

// CheckOutputFolder refuses, as bad input, a folder that can be neither written nor created. Nothing is created.
func CheckOutputFolder(path string) error {
	nearest := filepath.Clean(path)
	for {
		info, err := os.Stat(nearest)
		if _, failed := os.Lstat(nearest); errors.Is(err, fs.ErrNotExist) && failed == nil {
			err = fmt.Errorf("%s is a link to what does not exist", nearest)
		}
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a folder", nearest)
		}
		parent := filepath.Dir(nearest)
		if errors.Is(err, fs.ErrNotExist) && parent != nearest {
			nearest = parent
			continue
		}
		if err == nil {
			if failed := files.CheckWritable(filepath.Join(nearest, "any")); failed != nil {
				err = fmt.Errorf("cannot write into %s: %w", nearest, errors.Unwrap(failed))
			}
		}
		if err != nil {
			return exit.BadInput("-o: %w; name a folder that can be created", err)
		}
		return nil
	}
}
