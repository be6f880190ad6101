package backends

import (
	"fmt"
	"path/filepath"
	"strings"

	"densenas/internal/allocator"
	"densenas/internal/files"
)

// Build identifies a runtime that is here, open or not.
type Build struct {
	Name    string `json:"name"`             // [Go] or [XLA]
	Version string `json:"version"`          // of the modules behind it: "gomlx v0.28.0, go-xla v0.3.0"
	Plugin  string `json:"plugin,omitempty"` // path of the PJRT plugin
	Digest  string `json:"sha256,omitempty"` // of the plugin's file, in hexadecimal
}

// Identify says what [Open] would open for go, xla, xla:PATH or xla:cuda, without loading it. It reads the whole file of a
// plugin, a few hundred megabytes. Errors are those of [Check].
func Identify(spec string) (Build, error) {
	if err := Check(spec, Options{}); err != nil {
		return Build{}, err
	}
	kind, argument, _ := strings.Cut(spec, ":")
	if kind != XLA {
		return Build{Name: Go, Version: goVersion()}, nil
	}
	path, err := resolve(argument)
	if err != nil {
		return Build{}, err
	}
	digest, err := digestOf(path)
	return Build{Name: XLA, Version: xlaVersion(), Plugin: path, Digest: digest}, err
}

// PluginDigest is the SHA-256 of the plugin's file in hexadecimal; empty for a backend without one. It reads the whole
// file, a few hundred megabytes.
func (b Backend) PluginDigest() (string, error) {
	if b.PluginPath == "" {
		return "", nil
	}
	return digestOf(b.PluginPath)
}

func digestOf(plugin string) (string, error) {
	digest, err := files.Digest(plugin)
	if err != nil {
		return "", fmt.Errorf("read XLA plugin: %w", err)
	}
	return digest, nil
}

func goVersion() string { return versions("github.com/gomlx/gomlx", "github.com/gomlx/compute") }

// xlaVersion also says how the C library handles memory, which changes how long calls take.
func xlaVersion() string {
	version := versions("github.com/gomlx/gomlx", "github.com/gomlx/go-xla")
	if allocator.Kept() {
		version += ", memory kept"
	}
	return version
}

// String is the build in one line, the plugin by its file name.
func (b Build) String() string {
	if b.Plugin == "" {
		return b.Version
	}
	return fmt.Sprintf("%s, %s, sha256 %.16s", b.Version, filepath.Base(b.Plugin), b.Digest)
}
