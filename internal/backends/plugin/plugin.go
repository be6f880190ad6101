// Package plugin finds the PJRT plugins of XLA, shared libraries that are loaded while a program runs, by the names and
// in the folders that go-xla uses. It loads nothing and links no runtime.
package plugin

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Accelerator is what a PJRT plugin computes on.
type Accelerator string

const (
	CPU  Accelerator = "cpu"
	CUDA Accelerator = "cuda"
)

// PathsVariable is the environment variable that replaces the folders that plugins are looked up in, separated as in
// PATH.
const PathsVariable = "PJRT_PLUGIN_LIBRARY_PATH"

// fileName matches the file names that go-xla takes for plugins; the first or second group is the plugin's name.
var fileName = regexp.MustCompile(`^(?:pjrt_c_api_(.+)_plugin|pjrt[-_]plugin[-_](.+))\.(?:so|dylib|dll)$`)

// Find looks for the plugin of an accelerator where go-xla looks, in its order: the folders of
// PJRT_PLUGIN_LIBRARY_PATH alone where that is set; else go-xla's folder of the user, /usr/local/lib/go-xla, and the
// folders of the system's loader. In a folder "cpu" precedes "cpu_v0.98", and a newer version an older one.
//
// Only names are looked at: go-xla's own search loads every candidate, and fails on a broken one.
func Find(accelerator Accelerator) (string, error) {
	for _, folder := range folders() {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue // most of the folders do not exist
		}
		best, bestVersion := "", []int(nil)
		for _, entry := range entries {
			match := fileName.FindStringSubmatch(entry.Name())
			if match == nil {
				continue
			}
			name, version, versioned := strings.Cut(cmp.Or(match[1], match[2]), "_v")
			path := filepath.Join(folder, entry.Name())
			if name != string(accelerator) || CheckFile(path) != nil {
				continue
			}
			if !versioned {
				return path, nil
			}
			if parsed := parseVersion(version); best == "" || slices.Compare(parsed, bestVersion) > 0 {
				best, bestVersion = path, parsed
			}
		}
		if best != "" {
			return best, nil
		}
	}
	where := "go-xla's plugin folder"
	if folder := Folder(); folder != "" {
		where = folder
	}
	if value, set := os.LookupEnv(PathsVariable); set {
		where = PathsVariable + "=" + value
	}
	return "", fmt.Errorf("no %s plugin for XLA in %s", strings.ToUpper(string(accelerator)), where)
}

// parseVersion splits "0.98.0" into numbers; what is no number counts as 0.
func parseVersion(text string) []int {
	var numbers []int
	for part := range strings.SplitSeq(text, ".") {
		number, _ := strconv.Atoi(part)
		numbers = append(numbers, number)
	}
	return numbers
}

// Folder is the user's own plugin folder of go-xla, where its installer puts plugins; empty where the user has
// no home folder.
func Folder() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "go-xla")
	case "windows":
		return filepath.Join(home, "AppData", "Local", "go-xla")
	default:
		return filepath.Join(home, ".local", "lib", "go-xla")
	}
}

// folders lists where plugins are looked up.
func folders() []string {
	if value, set := os.LookupEnv(PathsVariable); set {
		return slices.DeleteFunc(filepath.SplitList(value), func(folder string) bool { return folder == "" })
	}
	var list []string
	if own := Folder(); own != "" {
		list = append(list, own, filepath.Join(own, "nvidia"))
	}
	if runtime.GOOS == "windows" {
		return list
	}
	list = append(list, "/usr/local/lib/go-xla", "/usr/local/lib/go-xla/nvidia")
	for _, variable := range []string{"DYLD_LIBRARY_PATH", "LD_LIBRARY_PATH"} {
		if variable == "DYLD_LIBRARY_PATH" && runtime.GOOS != "darwin" {
			continue
		}
		for _, folder := range filepath.SplitList(os.Getenv(variable)) {
			if filepath.IsAbs(folder) {
				list = append(list, folder)
			}
		}
	}
	return append(list, loaderFolders("/etc/ld.so.conf")...)
}

// maxLoaderFiles bounds the files that are read for a configuration of the system's loader.
const maxLoaderFiles = 256

// loaderFolders reads the folders that a configuration of the system's loader names, following its includes. Each file is read once,
// and what cannot be read names none.
func loaderFolders(path string) []string {
	return loaderFile(path, map[string]bool{})
}

// loaderFile reads a file of those that were not read yet.
func loaderFile(path string, read map[string]bool) []string {
	if read[path] || len(read) >= maxLoaderFiles {
		return nil
	}
	read[path] = true
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var folders []string
	lines := bufio.NewScanner(io.LimitReader(file, 1<<20))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if pattern, include := strings.CutPrefix(line, "include "); include {
			pattern = strings.TrimSpace(pattern)
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(path), pattern)
			}
			paths, _ := filepath.Glob(pattern) // a malformed pattern includes nothing
			for _, included := range paths {
				folders = append(folders, loaderFile(included, read)...)
			}
		} else if filepath.IsAbs(line) {
			folders = append(folders, line)
		}
	}
	return folders
}

// CheckFile says why path cannot be a plugin: it is no regular file, or empty.
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
