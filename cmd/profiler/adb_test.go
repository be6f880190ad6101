//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The test's own program stands for adb, where it is called by that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "adb" {
		os.Exit(fakeADB(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// Files below the folder that the fake adb works with. It behaves as adb 1.0.41 does, where it is asked for what the profiler asks.
const (
	fakeFolder  = "DENSENAS_FAKE_ADB"
	fakeDevices = "devices" // what it lists: lines of a serial number, a tab and a state
	fakePhone   = "tmp"     // plays /data/local/tmp
	fakeTools   = "bin"     // the phone's own programs
	fakeShells  = "shells"  // names of processes of `adb shell` that are going on
	fakeOld     = "old"     // where it is there, a phone before Android 7
)

func fakeADB(args []string) int {
	folder := os.Getenv(fakeFolder)
	fail := func(format string, a ...any) int {
		fmt.Fprintf(os.Stderr, format+"\n", a...)
		return 1
	}
	listed, err := os.ReadFile(filepath.Join(folder, fakeDevices))
	if err != nil {
		return fail("%v", err)
	}
	if len(args) == 1 && args[0] == "devices" {
		fmt.Printf("List of devices attached\n%s\n", listed)
		return 0
	}
	states := map[string]string{}
	for line := range strings.Lines(string(listed)) {
		serial, state, _ := strings.Cut(strings.TrimSpace(line), "\t")
		states[serial] = state
	}
	if len(args) < 3 || args[0] != "-s" {
		return fail("error: more than one device/emulator")
	}
	serial := args[1]
	switch state := states[serial]; state {
	case "device":
	case "":
		return fail("error: device '%s' not found", serial)
	default:
		return fail("error: device %s", state)
	}
	// there is a phone's path, or a script that holds such, in the folder that plays it.
	there := func(text string) string {
		return strings.ReplaceAll(text, "/data/local/tmp", filepath.Join(folder, fakePhone))
	}
	switch args = args[2:]; {
	case args[0] == "push" && len(args) == 3:
		return fakePush(args[1], there(args[2]), args[2])
	case args[0] == "shell" && len(args) > 2 && args[1] == "-T":
		return fakeShell(folder, there(strings.Join(args[2:], " ")))
	}
	return fail("adb: unknown command %s", args[0])
}

func fakePush(local, path, remote string) int {
	data, err := os.ReadFile(local)
	if err != nil {
		fmt.Fprintf(os.Stderr, "adb: error: cannot stat '%s': No such file or directory\n", local)
		return 1
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		fmt.Fprintf(os.Stderr, "adb: error: failed to copy '%s' to '%s': remote couldn't create file: Permission denied\n", local, remote)
		return 1
	}
	fmt.Printf("%s: 1 file pushed, 0 skipped. 41.2 MB/s (%d bytes in 0.123s)\n", local, len(data))
	return 0
}

// fakeShell runs a script as a phone does: with streams that are pumped, so that they end with this process.
func fakeShell(folder, script string) int {
	process := filepath.Join(folder, fakeShells, strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(process, nil, 0o600); err != nil {
		return 1
	}
	defer os.Remove(process)
	shell := exec.Command("/bin/sh", "-c", script)
	shell.Env = []string{"PATH=" + filepath.Join(folder, fakeTools) + ":/usr/bin:/bin", "HOME=/", "TMPDIR=" + filepath.Join(folder, fakePhone)}
	shell.Dir = "/"
	shell.Stdout, shell.Stderr = struct{ io.Writer }{os.Stdout}, struct{ io.Writer }{os.Stderr}
	stdin, err := shell.StdinPipe()
	if err != nil {
		return 1
	}
	go func() {
		io.Copy(stdin, os.Stdin)
		stdin.Close()
	}()
	err = shell.Run()
	if _, old := os.Stat(filepath.Join(folder, fakeOld)); old == nil {
		return 0
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return exited.ExitCode()
	}
	return 0
}

// abi is what Android calls this machine's processor.
var abi = map[string]string{"amd64": "x86_64", "arm64": "arm64-v8a"}[runtime.GOARCH]

// fakeBridge puts an adb into the PATH that reaches phones of this machine's kind. The folder is what it works with.
func fakeBridge(t *testing.T, devices string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range []string{fakePhone, fakeTools, fakeShells, "path"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, folder, fakeDevices, devices)
	property(t, folder, abi)
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(this, filepath.Join(folder, "path", "adb")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(folder, "path")+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv(fakeFolder, folder)
	t.Setenv("ANDROID_SERIAL", "")
	return folder
}

// property is what the phone says of its processor.
func property(t *testing.T, folder, abi string) {
	t.Helper()
	script := "#!/bin/sh\n[ \"$1\" = ro.product.cpu.abi ] && echo " + abi + "\n"
	if err := os.WriteFile(filepath.Join(folder, fakeTools, "getprop"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestRunByADB(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the programs for phones are Linux's")
	}
	if testing.Short() {
		t.Skip("builds the profiler and runs it for a while, which -short leaves out")
	}
	const devices = "emulator-5554\toffline\nmy phone; x\tdevice\n"
	folder := fakeBridge(t, devices)
	m := &machine{
		name: "my phone; x", cache: filepath.Join(folder, fakePhone), flags: []string{"--adb=my phone; x", "--remote-binary", staticProfiler(t)},
		disconnect: func(t *testing.T) {
			write(t, folder, fakeDevices, "emulator-5554\toffline\n")
			shells, err := os.ReadDir(filepath.Join(folder, fakeShells))
			if err != nil || len(shells) != 1 {
				t.Fatalf("%d shells are going on, %v", len(shells), err)
			}
			process, err := strconv.Atoi(shells[0].Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			if err := os.Remove(filepath.Join(folder, fakeShells, shells[0].Name())); err != nil {
				t.Error(err)
			}
		},
		reconnect: func(t *testing.T) { write(t, folder, fakeDevices, devices) },
	}
	testRuns(t, m)

	if names := list(t, m.cache); names != "densenas" {
		t.Errorf("the phone's folder has %s", names)
	}

	t.Run("linked", func(t *testing.T) {
		folder := t.TempDir()
		args := []string{"run", "--space", "tiny", "-o", filepath.Join(folder, "a.lut.json"), m.flags[0]}
		if runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" {
			refused(t, folder, []string{"static, and without ONNX Runtime"}, append(args, "--backend", "onnxruntime", "--remote-binary", m.flags[2])...)
		}
		if cgo, err := exec.Command("go", "env", "CGO_ENABLED").Output(); err == nil && strings.TrimSpace(string(cgo)) == "1" {
			refused(t, folder, []string{"Linux C library", "profiler-linux-" + runtime.GOARCH}, append(args, "--remote-binary", linkedProfiler(t))...)
		}
	})
}

func TestADBRefusesPhones(t *testing.T) {
	folder, results := fakeBridge(t, ""), t.TempDir()
	args := func(adb string, more ...string) []string {
		return append([]string{"run", "--space", "tiny", "--backend", "go", "-o", filepath.Join(results, "a.lut.json"), adb}, more...)
	}
	for _, test := range []struct {
		devices, adb string
		say          []string
	}{
		{"", "--adb", []string{"no phone", "USB debugging"}},
		{"a\tunauthorized\n", "--adb", []string{`"a"`, "allow USB debugging"}},
		{"a\toffline\n", "--adb=a", []string{`"a"`, "offline"}},
		{"a\tdevice\nb\tdevice\n", "--adb", []string{"2 phones", "--adb=SERIAL", `"a", "b"`}},
		{"a\tdevice\n", "--adb=b", []string{`"b"`, `only "a"`}},
	} {
		write(t, folder, fakeDevices, test.devices)
		refused(t, results, test.say, args(test.adb)...)
	}
	write(t, folder, fakeDevices, "a\tdevice\nb\toffline\n")
	t.Run("by the environment", func(t *testing.T) {
		t.Setenv("ANDROID_SERIAL", "b")
		refused(t, results, []string{`"b"`, "offline"}, args("--adb")...)
	})
	property(t, folder, "armeabi-v7a")
	refused(t, results, []string{"phone a", "32-bit"}, args("--adb=a")...)
	property(t, folder, "arm64-v8a")
	refused(t, results, []string{"profiler-linux-arm64", "make dist"}, args("--adb=a")...)
	refused(t, results, []string{"profiler-onnxruntime-android-arm64", "NDK"}, args("--adb=a", "--backend", "onnxruntime")...)
	write(t, folder, fakeOld, "")
	refused(t, results, []string{"phone a", "Android 7"}, args("--adb=a")...)

	refused(t, results, []string{"--adb=a"}, args("--adb", "a")...)
	refused(t, results, []string{"--adb=", "adb devices"}, args("--adb=")...)
	refused(t, results, []string{"--ssh and --adb"}, args("--adb", "--ssh", "pi@board")...)
	t.Setenv("PATH", results)
	refused(t, results, []string{"no adb on the PATH", "platform tools"}, args("--adb")...)
}
