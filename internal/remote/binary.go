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

// program is a file that can be copied to the other machine.
type program struct {
	path   string
	digest string // SHA-256, in hexadecimal
	size   int64
}

// maxProgram bounds the size of a program.
const maxProgram = 1 << 30

// findProgram takes the program for p: the one given, if any, or the one that `make dist` put beside the running one, in dist there
// or in dist one folder up.
func findProgram(given string, p platform) (program, error) {
	if given != "" {
		return checkProgram(given, p)
	}
	name := "profiler-" + p.String()
	running, err := os.Executable()
	if err != nil {
		return program{}, fmt.Errorf("where is this program: %w", err)
	}
	if resolved, err := filepath.EvalSymlinks(running); err == nil {
		running = resolved
	}
	folder := filepath.Dir(running)
	for _, path := range []string{filepath.Join(folder, name), filepath.Join(folder, "dist", name), filepath.Join(folder, "..", "dist", name)} {
		if _, err := os.Stat(path); err == nil {
			return checkProgram(path, p)
		}
	}
	return program{}, exit.BadInput("no %s beside this program or in dist: build it by `make dist`, or name a profiler for %s by --ssh-binary", name, p)
}

// checkProgram says whether a file is the profiler, built for p.
func checkProgram(path string, p platform) (program, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return program{}, exit.BadInput("%s is not a program made by Go: %w; build one by `make dist`", path, err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if info.Path != "densenas/cmd/profiler" {
		return program{}, exit.BadInput("%s is the program %.80q, expected a profiler; build one by `make dist`", path, info.Path)
	}
	if is := (platform{settings["GOOS"], settings["GOARCH"]}); is != p {
		return program{}, exit.BadInput("%s is built for %s, but the other machine is %s; build one by `make dist`", path, is, p)
	}
	file, err := os.Open(path)
	if err != nil {
		return program{}, exit.AsBadInput(err)
	}
	defer file.Close()
	digest := sha256.New()
	size, err := io.Copy(digest, io.LimitReader(file, maxProgram+1))
	if err != nil {
		return program{}, fmt.Errorf("%s: %w", path, err)
	}
	if size > maxProgram {
		return program{}, exit.BadInput("%s is larger than any profiler; is it the right file?", path)
	}
	return program{path, hex.EncodeToString(digest.Sum(nil)), size}, nil
}
