//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime/library"
	"densenas/internal/onnxruntime/onnxruntimetest"
)

// requireSSHD is the environment variable that, when not empty, makes a missing sshd a failure instead of a skipped test.
const requireSSHD = "DENSENAS_REQUIRE_SSHD"

// startServer starts sshd on loopback as the user of the test, with keys, configuration and port of its own: this machine is the other
// one, too. Settings are further lines of its configuration.
func startServer(t *testing.T, settings ...string) *machine {
	t.Helper()
	lacking := func(format string, a ...any) {
		t.Helper()
		if os.Getenv(requireSSHD) != "" {
			t.Fatalf("%s is set: %s", requireSSHD, fmt.Sprintf(format, a...))
		}
		t.Skipf(format, a...)
	}
	if testing.Short() {
		t.Skip("builds the profiler and runs it for a while, which -short leaves out")
	}
	const sshd = "/usr/sbin/sshd"
	for _, tool := range []string{sshd, "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking("no %s here: install OpenSSH's client and server to run this test", tool)
		}
	}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			lacking("sshd cannot start as root: %v", err)
		}
	}
	folder := t.TempDir()
	for _, name := range []string{"host", "client"} {
		if output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(folder, name)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, output)
		}
	}
	public, err := os.ReadFile(filepath.Join(folder, "client.pub"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	m := &machine{name: "127.0.0.1", cache: filepath.Join(folder, "cache"), reconnect: func(*testing.T) {}}
	configuration := write(t, folder, "sshd_config", strings.Join(append([]string{
		"ListenAddress 127.0.0.1", "Port " + strconv.Itoa(port), "HostKey " + filepath.Join(folder, "host"), "PidFile none", "UsePAM no", "StrictModes no",
		"AuthorizedKeysFile " + write(t, folder, "authorized", string(public)), "PasswordAuthentication no", "PermitRootLogin prohibit-password",
		"SetEnv XDG_CACHE_HOME=" + m.cache,
	}, append(settings, "")...), "\n"))
	log := &bytes.Buffer{}
	daemon := exec.Command(sshd, "-D", "-e", "-f", configuration)
	daemon.Stderr = log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", log)
		}
	})
	m.disconnect = func(t *testing.T) {
		processes := sessions(t, daemon.Process.Pid)
		if len(processes) == 0 {
			t.Error("no connection to kill")
		}
		for _, process := range processes {
			if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	}
	eventually(t, "sshd listens", func() bool {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	m.flags = []string{"--ssh", fmt.Sprintf("%s@127.0.0.1:%d", me.Username, port)}
	for _, option := range []string{"IdentityFile=" + filepath.Join(folder, "client"), "IdentitiesOnly=yes", "UserKnownHostsFile=" + filepath.Join(folder, "known"), "StrictHostKeyChecking=accept-new"} {
		m.flags = append(m.flags, "--ssh-option", option)
	}
	return m
}

// sessions are the processes that an sshd started for connections.
func sessions(t *testing.T, sshd int) []int {
	t.Helper()
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Skipf("no ps here: %v", err)
	}
	var list []int
	for line := range strings.Lines(string(output)) {
		var process, parent int
		if _, err := fmt.Sscan(line, &process, &parent); err == nil && parent == sshd {
			list = append(list, process)
		}
	}
	return list
}

func TestRunOverSSH(t *testing.T) {
	m := startServer(t)
	reaches := m.flags
	m.flags = append(m.flags, "--remote-binary", staticProfiler(t))
	testRuns(t, m)

	t.Run("nobody", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		user := "nobody-" + strconv.Itoa(os.Getpid()) + "@" + strings.SplitN(m.flags[1], "@", 2)[1]
		err := run(t.Context(), append(append([]string{"run", "--space", "tiny", "-o", path}, m.flags...), "--ssh", user), &bytes.Buffer{}, &bytes.Buffer{})
		if exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("a user that is not there: %v", err)
		}
	})

	// The library goes along, and is the one that is loaded there.
	t.Run("ONNX Runtime", func(t *testing.T) {
		r := onnxruntimetest.Open(t)
		folder := t.TempDir()
		path := filepath.Join(folder, "a.lut.json")
		args := append([]string{"run", "--space", "tiny", "--only", "skip_*", "--backend", "onnxruntime", "--threads", "1", "--precision", "0.9", "--limit", "10ms", "-o", path}, reaches...)
		refused(t, folder, []string{"static", "profiler-onnxruntime-"}, append(args, "--remote-binary", m.flags[len(m.flags)-1])...)
		args = append(args, "--remote-binary", linkedProfiler(t), "--remote-library", r.Path)
		_, messages := profilerRun(t, args...)
		copies, err := filepath.Glob(filepath.Join(m.cache, "densenas", "lib", "*", "*"))
		if err != nil || len(copies) != 1 || filepath.Base(copies[0]) != filepath.Base(r.Path) {
			t.Fatalf("copied %q, %v", copies, err)
		}
		if !strings.Contains(messages, "onnxruntime "+r.Version+" from "+copies[0]) {
			t.Errorf("another library was loaded: %s", messages)
		}
		table := read(t, path)
		if len(table.Entries) != 4 || table.Runtime.Name != onnxRuntime || !strings.HasPrefix(table.Runtime.Plugin, filepath.Base(r.Path)+", sha256 ") {
			t.Errorf("%d entries of %+v", len(table.Entries), table.Runtime)
		}
		args[4] = "[s]*"
		if _, messages = profilerRun(t, args...); strings.Contains(messages, "copying") || len(read(t, path).Entries) != 5 {
			t.Errorf("copied again, or not measured: %s", messages)
		}
		refused(t, folder, []string{m.name, "/no/such/library.so"}, append(args[:len(args)-2:len(args)-2], "--backend", "onnxruntime:/no/such/library.so")...)
	})
}

// TestRunOverSSHOnAnotherProcessor reaches a machine that says it is a board, and runs the programs that are copied there in an emulator of its
// processor: the profiler, with ONNX Runtime.
func TestRunOverSSHOnAnotherProcessor(t *testing.T) {
	const compiler, emulator = "aarch64-linux-gnu-gcc", "qemu-aarch64-static"
	if runtime.GOOS != "linux" || runtime.GOARCH == "arm64" {
		t.Skip("nothing to emulate here")
	}
	for _, tool := range []string{compiler, emulator} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here: install gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static", tool)
		}
	}
	found := library.FindFor("linux", "arm64")
	if found == "" {
		t.Skip("no ONNX Runtime for arm64 here: sh scripts/onnxruntime.sh linux/arm64")
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "scripts", "arm64.sh"))
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	for name, text := range map[string]string{
		"uname": "echo Linux aarch64",
		// What the connection asks for, but that the shell starts a program of the board by the emulator.
		"board": fmt.Sprintf(`export before="$PATH" PATH="%s:$PATH"; eval "$(printf %%s "$SSH_ORIGINAL_COMMAND" | sed 's|exec "[$]cache/bin/|exec env PATH="$before" sh "%s" "$cache/bin/|')"`, tools, script),
	} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m := startServer(t, "ForceCommand "+filepath.Join(tools, "board"))
	for name, value := range map[string]string{"CC": compiler, "GOOS": "linux", "GOARCH": "arm64", "GOEXPERIMENT": ""} {
		t.Setenv(name, value)
	}
	program := buildProfiler(t, "1", "-tags", "noxla", "-trimpath")
	path := filepath.Join(t.TempDir(), "a.lut.json")
	_, messages := profilerRun(t, append([]string{"run", "--space", "tiny", "--only", "mbconv_k3_t3_i12_*", "--backend", "onnxruntime", "--threads", "1", "--precision", "0.9", "--limit", "10ms",
		"-o", path, "--remote-binary", program, "--remote-library", found}, m.flags...)...)
	table := read(t, path)
	if len(table.Entries) != 4 || table.Device.Architecture != "arm64" || table.Runtime.Name != onnxRuntime || !strings.HasPrefix(table.Runtime.Plugin, filepath.Base(found)+", sha256 ") {
		t.Errorf("%d entries of %+v on %+v\n%s", len(table.Entries), table.Runtime, table.Device, messages)
	}
}

func TestSSHRefusesBeforeItConnects(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.lut.json")
	refused(t, folder, []string{"user@host"}, "run", "--space", "tiny", "-o", path, "--ssh", "-oProxyCommand=x")
	refused(t, folder, []string{"-o"}, "run", "--space", "tiny", "--ssh", "pi@board")
	refused(t, folder, []string{"nowhere.yaml"}, "run", "--space", "nowhere.yaml", "--ssh", "pi@board", "-o", path)
	refused(t, folder, []string{"--ssh"}, "run", "--space", "tiny", "-o", path, "--ssh-option", "Port=1")
	refused(t, folder, []string{"--ssh or --adb"}, "run", "--space", "tiny", "-o", path, "--remote-library", "x.so")
	refused(t, folder, []string{"--remote-library", "backend is go"}, "run", "--space", "tiny", "-o", path, "--ssh", "pi@board", "--backend", "go", "--remote-library", "x.so")
	space := write(t, folder, "space.yaml", "x")
	refused(t, folder, []string{"overwrite the input"}, "run", "--space", space, "-o", space, "--ssh", "pi@board")
}

// A machine of another kind, by an ssh that only says what uname would.
func TestSSHRefusesOtherMachines(t *testing.T) {
	tools := t.TempDir()
	folder := t.TempDir()
	t.Setenv("PATH", tools)
	for uname, want := range map[string]string{"Linux armv7l": "32-bit", "Linux riscv64": "amd64 and arm64", "SunOS sun4v": "Linux and macOS", "Linux aarch64": "profiler-linux-arm64"} {
		if err := os.WriteFile(filepath.Join(tools, "ssh"), []byte("#!/bin/sh\necho welcome\necho densenas-probe\necho "+uname+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if uname == "Linux aarch64" && runtime.GOARCH == "arm64" {
			continue
		}
		refused(t, folder, []string{want}, "run", "--space", "tiny", "-o", filepath.Join(folder, "a.lut.json"), "--ssh", "pi@board")
	}
	t.Setenv("PATH", folder)
	refused(t, folder, []string{"no ssh on the PATH"}, "run", "--space", "tiny", "-o", filepath.Join(folder, "a.lut.json"), "--ssh", "pi@board")
}
