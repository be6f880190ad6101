package remote

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"densenas/internal/exit"
)

// platform is what a program is built for, as Go names it.
type platform struct{ system, architecture string }

func (p platform) String() string { return p.system + "-" + p.architecture }

// android has Linux's kernel and a C library of its own.
const android = "android"

// parsePlatform reads what `uname -sm` prints.
func parsePlatform(host, uname string) (platform, error) {
	system, machine, _ := strings.Cut(strings.TrimSpace(uname), " ")
	var p platform
	switch system {
	case "Linux":
		p.system = "linux"
	case "Darwin":
		p.system = "darwin"
	default:
		return p, exit.BadInput("%s runs %.40q: the profiler runs on Linux and macOS", host, system)
	}
	switch machine {
	case "x86_64", "amd64":
		p.architecture = "amd64"
	case "aarch64", "arm64":
		p.architecture = "arm64"
	case "armv6l", "armv7l", "armv8l", "arm", "i386", "i486", "i586", "i686", "mips", "mipsel", "ppc", "riscv32":
		return p, exit.BadInput("%s is a 32-bit system (%s), which the runtimes are not made for; install a 64-bit one if its processor has 64 bits", host, machine)
	default:
		return p, exit.BadInput("%s has a processor of the kind %.40q: the profiler is made for amd64 and arm64", host, machine)
	}
	if p.system == "darwin" && p.architecture == "amd64" {
		return p, exit.BadInput("%s is a Mac with an Intel processor, which the profiler is not built for", host)
	}
	return p, nil
}

// part is a file that can be copied to the other machine.
type part struct {
	path   string // here
	folder string // of its kind there
	name   string // there: letters, digits, dots, hyphens and underscores
	digest string // SHA-256, in hexadecimal
	size   int64
}

// there is the file's path below the cache of the other machine.
func (p part) there() string { return p.folder + "/" + p.digest + "/" + p.name }

// maxPart bounds the size of a part.
const maxPart = 1 << 30

// newPart reads a file.
func newPart(path, folder, name string) (part, error) {
	file, err := os.Open(path)
	if err != nil {
		return part{}, exit.AsBadInput(err)
	}
	defer file.Close()
	digest := sha256.New()
	size, err := io.Copy(digest, io.LimitReader(file, maxPart+1))
	if err != nil {
		return part{}, fmt.Errorf("%s: %w", path, err)
	}
	if size > maxPart {
		return part{}, exit.BadInput("%s is larger than anything that is copied; is it the right file?", path)
	}
	return part{path, folder, name, hex.EncodeToString(digest.Sum(nil)), size}, nil
}

// findProgram takes the program for p: the one given, if any, or the one that `make dist` put beside the running one, in dist there
// or in dist one folder up. Where the run measures in ONNX Runtime it must have that.
func findProgram(given string, p platform, onnxRuntime bool) (part, error) {
	if given != "" {
		return checkProgram(given, p, onnxRuntime)
	}
	name, way := "profiler-"+p.String(), "build it by `make dist`"
	switch {
	case onnxRuntime && p.system == android:
		name, way = "profiler-onnxruntime-"+p.String(), "build it with Android's NDK: docs/profiling-a-device.md has the command"
	case onnxRuntime:
		name, way = "profiler-onnxruntime-"+p.String(), "build it by `make dist`, which makes the one for linux-arm64, or by `make build` on a machine of that kind"
	case p.system == android:
		name = "profiler-" + platform{"linux", p.architecture}.String() // it is static
	}
	running, err := os.Executable()
	if err != nil {
		return part{}, fmt.Errorf("where is this program: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(running); err == nil {
		running = resolved
	}
	folder := filepath.Dir(running)
	for _, path := range []string{filepath.Join(folder, name), filepath.Join(folder, "dist", name), filepath.Join(folder, "..", "dist", name)} {
		if _, err := os.Stat(path); err == nil {
			return checkProgram(path, p, onnxRuntime)
		}
	}
	return part{}, exit.BadInput("no %s beside this program or in dist: %s, or name a profiler for %s by --remote-binary", name, way, p)
}

// checkProgram says whether a file is the profiler, and runs on p.
func checkProgram(path string, p platform, onnxRuntime bool) (part, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return part{}, exit.BadInput("%s is not a program made by Go: %w; build one by `make dist`", path, err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if info.Path != "densenas/cmd/profiler" {
		return part{}, exit.BadInput("%s is the program %.80q, expected a profiler; build one by `make dist`", path, info.Path)
	}
	linked := settings["CGO_ENABLED"] == "1" // against the C library of its system
	is, need := platform{settings["GOOS"], settings["GOARCH"]}, p
	if p.system == android && is.system == "linux" {
		if linked {
			return part{}, exit.BadInput("%s needs a Linux C library, which Android does not have: take the static profiler-linux-%s of `make dist`, or build one with Android's NDK", path, p.architecture)
		}
		need.system = "linux"
	}
	if is != need {
		return part{}, exit.BadInput("%s is built for %s, but the other machine is %s; build one by `make dist`", path, is, p)
	}
	if onnxRuntime && !linked {
		return part{}, exit.BadInput("%s is static, and without ONNX Runtime: take one that was built with cgo for %s, such as profiler-onnxruntime-%s", path, p, p)
	}
	return newPart(path, "bin", "profiler")
}
