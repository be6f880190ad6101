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

// oldest is the first version whose interface is the one that programs are built for.
var oldest = []int{1, 24}

// loaders are the folders of a distribution's own libraries, by processor.
var loaders = map[string]string{"amd64": "/usr/lib/x86_64-linux-gnu", "arm64": "/usr/lib/aarch64-linux-gnu"}

// Find looks for the library: the file that DENSENAS_ONNXRUNTIME names, where it is set; else in the user's own folder
// ([Folder]), in the absolute folders of LD_LIBRARY_PATH (DYLD_LIBRARY_PATH on macOS), and in the system's. In a folder a newer
// version precedes an older one, and one that nobody knows comes last. Versions below 1.24 are passed over.
func Find() (string, error) {
	if path, set := os.LookupEnv(Variable); set {
		if err := CheckFile(path); err != nil {
			return "", fmt.Errorf("%s: %w", Variable, err)
		}
		return path, nil
	}
	for _, folder := range folders() {
		if path := newest(folder, runtime.GOOS); path != "" {
			return path, nil
		}
	}
	return "", fmt.Errorf("no library of ONNX Runtime from version 1.24 on in %s or the system's folders", Folder(runtime.GOOS, runtime.GOARCH))
}

// FindFor looks for the library of another system and processor, as Go names them, in the user's own folder for it, and gives an empty
// path where there is none. Its order is that of [Find].
func FindFor(system, architecture string) string {
	if folder := Folder(system, architecture); folder != "" {
		return newest(folder, system)
	}
	return ""
}

// newest is the path of a folder's newest library for a system; empty where it has none.
func newest(folder, system string) string {
	pattern, ok := fileName[system]
	if !ok {
		pattern = fileName[""]
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "" // most of the folders do not exist
	}
	best, bestVersion := "", []int(nil)
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if !pattern.MatchString(entry.Name()) || CheckFile(path) != nil {
			continue
		}
		version := versionOf(path, pattern)
		if version != nil && slices.Compare(version, oldest) < 0 {
			continue
		}
		if best == "" || slices.Compare(version, bestVersion) > 0 {
			best, bestVersion = path, version
		}
	}
	return best
}

// versionOf takes the version out of the name of a file, or of what it links to; nil where neither has one.
func versionOf(path string, pattern *regexp.Regexp) []int {
	for _, path := range []string{path, resolve(path)} {
		match := pattern.FindStringSubmatch(filepath.Base(path))
		if match == nil || match[1] == "" {
			continue
		}
		var numbers []int
		for part := range strings.SplitSeq(match[1][1:], ".") {
			number, err := strconv.Atoi(part)
			if err != nil {
				return nil // too large for a number
			}
			numbers = append(numbers, number)
		}
		return numbers
	}
	return nil
}

// resolve follows links.
func resolve(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
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
