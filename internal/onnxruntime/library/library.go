// Package library finds ONNX Runtime's shared library, which is loaded while a program runs. It loads nothing and links no
// runtime.
package library

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Variable is the environment variable that names the library's file, and replaces the search for it.
const Variable = "DENSENAS_ONNXRUNTIME"

// fileName matches the library's names; a group is the version.
var fileName = map[string]*regexp.Regexp{
	"darwin": regexp.MustCompile(`^libonnxruntime((?:\.\d+)*)\.dylib$`),
	"":       regexp.MustCompile(`^libonnxruntime\.so((?:\.\d+)*)$`),
}

// loaders are the folders of a distribution's own libraries, by processor.
var loaders = map[string]string{"amd64": "/usr/lib/x86_64-linux-gnu", "arm64": "/usr/lib/aarch64-linux-gnu"}

// Find looks for the library: the file that DENSENAS_ONNXRUNTIME names, where it is set; else in the user's own folder
// ([Folder]), in the absolute folders of LD_LIBRARY_PATH (DYLD_LIBRARY_PATH on macOS), and in the system's. In a folder a newer
// version precedes an older one, and a name without a version comes last.
func Find() (string, error) {
	if path, set := os.LookupEnv(Variable); set {
		if err := CheckFile(path); err != nil {
			return "", fmt.Errorf("%s: %w", Variable, err)
		}
		return path, nil
	}
	pattern, ok := fileName[runtime.GOOS]
	if !ok {
		pattern = fileName[""]
	}
	for _, folder := range folders() {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // most of the folders do not exist
		}
		best, bestVersion := "", []int(nil)
		for _, entry := range entries {
			match := pattern.FindStringSubmatch(entry.Name())
			path := filepath.Join(folder, entry.Name())
			if match == nil || CheckFile(path) != nil {
				continue
			}
			if version := parseVersion(match[1]); best == "" || slices.Compare(version, bestVersion) > 0 {
				best, bestVersion = path, version
			}
		}
		if best != "" {
			return best, nil
		}
	}
	return "", fmt.Errorf("no library of ONNX Runtime in %s or the system's folders", Folder(runtime.GOOS, runtime.GOARCH))
}

// parseVersion splits ".1.32.0" into numbers.
func parseVersion(text string) []int {
	var numbers []int
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "."), ".") {
		if number, err := strconv.Atoi(part); err == nil {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// Folder is the user's own folder for the library of a system and processor, as Go names them; empty where the user has no home
// folder.
func Folder(system, architecture string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	parts := []string{home, ".local", "lib"}
	if runtime.GOOS == "darwin" {
		parts = []string{home, "Library", "Application Support"}
	}
	return filepath.Join(append(parts, "densenas", system+"-"+architecture)...)
}

// folders lists where the library is looked for.
func folders() []string {
	var list []string
	if own := Folder(runtime.GOOS, runtime.GOARCH); own != "" {
		list = append(list, own)
	}
	variable := "LD_LIBRARY_PATH"
	if runtime.GOOS == "darwin" {
		variable = "DYLD_LIBRARY_PATH"
	}
	for _, folder := range filepath.SplitList(os.Getenv(variable)) {
		if filepath.IsAbs(folder) {
			list = append(list, folder)
		}
	}
	list = append(list, "/usr/local/lib")
	if folder := loaders[runtime.GOARCH]; folder != "" {
		list = append(list, folder)
	}
	return append(list, "/usr/lib64", "/usr/lib", "/opt/homebrew/lib")
}

// CheckFile says why path cannot be a library: it is no regular file, or empty.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", path)
	case info.Size() == 0:
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}
