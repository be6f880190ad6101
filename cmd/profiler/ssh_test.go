//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
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
	"time"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/profiler"
)

// requireSSHD is the environment variable that, when not empty, makes a missing sshd a failure instead of a skipped test.
const requireSSHD = "DENSENAS_REQUIRE_SSHD"

// server is a machine to run on: this one, behind an sshd on loopback.
type server struct {
	cache  string   // where it keeps runs
	sshd   int      // process
	flags  []string // that reach it
	client string   // its private key
}

// binary builds the profiler that is copied.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profiler")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "noxla", "-trimpath", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return path
}

// startServer starts sshd as the user of the test, with keys, configuration and port of its own.
func startServer(t *testing.T) *server {
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
	s := &server{cache: filepath.Join(folder, "cache"), client: filepath.Join(folder, "client")}
	configuration := write(t, folder, "sshd_config", strings.Join([]string{
		"ListenAddress 127.0.0.1", "Port " + strconv.Itoa(port), "HostKey " + filepath.Join(folder, "host"), "PidFile none", "UsePAM no", "StrictModes no",
		"AuthorizedKeysFile " + write(t, folder, "authorized", string(public)), "PasswordAuthentication no", "PermitRootLogin prohibit-password",
		"SetEnv XDG_CACHE_HOME=" + s.cache, "",
	}, "\n"))
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
	s.sshd = daemon.Process.Pid
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
	s.flags = []string{"--ssh", fmt.Sprintf("%s@127.0.0.1:%d", me.Username, port), "--ssh-binary", binary(t)}
	for _, option := range []string{"IdentityFile=" + s.client, "IdentitiesOnly=yes", "UserKnownHostsFile=" + filepath.Join(folder, "known"), "StrictHostKeyChecking=accept-new"} {
		s.flags = append(s.flags, "--ssh-option", option)
	}
	return s
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// there are the files of that name in the runs' folders on the server.
func (s *server) there(t *testing.T, name string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.cache, "densenas", "runs", "*", name))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// sessions are the processes that sshd started for connections.
func (s *server) sessions(t *testing.T) []int {
	t.Helper()
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Skipf("no ps here: %v", err)
	}
	var list []int
	for line := range strings.Lines(string(output)) {
		var process, parent int
		if _, err := fmt.Sscan(line, &process, &parent); err == nil && parent == s.sshd {
			list = append(list, process)
		}
	}
	return list
}

// several is a pattern of so many operations of a space that they are not all complete at the same time: their rounds take longer
// than the limit of 40 of them.
const several, severalOf = "mbconv_k3_t3*", "cifar"

// slowly are the arguments of a run of a few seconds.
func (s *server) slowly(output string) []string {
	return append([]string{"run", "--space", severalOf, "--only", several, "--backend", "go", "--precision", "0.0001", "--limit", "20ms", "-o", output}, s.flags...)
}

func TestRunOverSSH(t *testing.T) {
	s := startServer(t)

	t.Run("whole", func(t *testing.T) {
		folder := t.TempDir()
		tiny, err := os.ReadFile("../../supernet/space/spaces/tiny.yaml")
		if err != nil {
			t.Fatal(err)
		}
		space := write(t, folder, "my space.yaml", string(tiny))
		device := write(t, folder, "device.yaml", "kind: densenas.device\nschema_version: 1\nname: box\nmodel: box\narchitecture: any\nbackend: go\ncores: 1\nthreads: 1\nbatch: 2\n")
		path := filepath.Join(folder, "a.lut.json")
		arguments := append([]string{"run", "--space", space, "--device", device, "--only", "skip_*", "--precision", "0.9", "--limit", "10ms", "-o", path}, s.flags...)
		out, messages := profilerRun(t, arguments...)
		table := read(t, path)
		if out != "" || len(table.Entries) != 4 || table.Batch != 2 || table.Threads != 1 || !strings.Contains(messages, "backend: go, as asked for") {
			t.Errorf("printed %q, %q; %+v", out, messages, table)
		}
		if _, err := profiler.ReadJournal(profiler.JournalPath(path)); err != nil {
			t.Error(err)
		}
		samples := rawSamples(t, path)

		// The table grows, from what is here: there nothing is left.
		if left := s.there(t, "*"); len(left) > 0 {
			t.Errorf("left there: %q", left)
		}
		arguments[6] = "[sc]*"
		if _, messages = profilerRun(t, arguments...); strings.Contains(messages, "copying") {
			t.Errorf("the program was copied again: %s", messages)
		}
		if table = read(t, path); len(table.Entries) != 6 || !bytes.HasPrefix(rawSamples(t, path), samples) {
			t.Errorf("%d entries, or what was measured first is not in the journal any more", len(table.Entries))
		}
		if names := list(t, folder); names != "a.lut.json a.samples.jsonl device.yaml my space.yaml" {
			t.Errorf("the folder has %s", names)
		}
	})

	t.Run("lost connection", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		arguments := s.slowly(path)
		ended := make(chan error, 1)
		go func() {
			ended <- run(t.Context(), arguments, &bytes.Buffer{}, &bytes.Buffer{})
		}()
		eventually(t, "a first operation is complete", func() bool { return len(s.there(t, "*.samples.jsonl")) > 0 })
		sessions := s.sessions(t)
		for _, process := range sessions {
			if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		err := <-ended
		if err == nil || exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "lost") || !strings.HasSuffix(err.Error(), "continue with: "+command.Line(append([]string{"profiler"}, arguments...)...)) {
			t.Fatalf("%v after %d sessions were killed, want a lost connection and the command that continues", err, len(sessions))
		}
		if names := list(t, filepath.Dir(path)); names != "" {
			t.Errorf("left %s", names)
		}
		s.goesOn(t, arguments, path)
	})

	t.Run("interrupted", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.lut.json")
		arguments := s.slowly(path)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, arguments, &bytes.Buffer{}, &bytes.Buffer{}) }()
		eventually(t, "a first operation is complete", func() bool { return len(s.there(t, "*.samples.jsonl")) > 0 })
		cancel()
		var interrupted exit.Interrupted
		if err := <-ended; !errors.As(err, &interrupted) || interrupted.Continue != command.Line(append([]string{"profiler"}, arguments...)...) {
			t.Fatalf("%v, want interrupted with the command that continues", err)
		}
		if saved := s.there(t, "*.lut.json"); len(saved) != 1 {
			t.Errorf("%d tables are saved there", len(saved))
		}
		s.goesOn(t, arguments, path)
	})

	t.Run("strange names", func(t *testing.T) {
		folder := t.TempDir()
		t.Chdir(folder)
		for _, name := range []string{"it's; $(touch owned) `touch owned`'; touch owned; '.lut.json", "-o größe\n.json"} {
			profilerRun(t, append([]string{"run", "--space", "tiny", "--only", "skip_i12*", "--backend", "go", "--precision", "0.9", "--limit", "10ms", "--output=./" + name}, s.flags...)...)
			if table := read(t, "./"+name); len(table.Entries) == 0 {
				t.Errorf("%q is empty", name)
			}
		}
		if entries, err := os.ReadDir(folder); err != nil || len(entries) != 4 {
			t.Errorf("the folder has %s, %v", list(t, folder), err)
		}
	})

	t.Run("refused", func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "a.lut.json")
		run := func(more ...string) []string {
			return append(append([]string{"run", "--space", "tiny", "-o", path}, s.flags...), more...)
		}
		refused(t, folder, []string{"127.0.0.1", "none of the"}, run("--only", "'; touch '"+folder+"/owned'; x")...)
		refused(t, folder, []string{"127.0.0.1", "/no/such/plugin.so"}, run("--backend", "xla:/no/such/plugin.so")...)
		refused(t, folder, []string{"threads"}, run("--threads", "100000")...)
		if left := s.there(t, "*"); len(left) > 0 {
			t.Errorf("left there: %q", left)
		}
		err := profilerError(t, run("--ssh", "nobody-"+strconv.Itoa(os.Getpid())+"@"+strings.SplitN(s.flags[1], "@", 2)[1])...)
		if exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("a user that is not there: %v", err)
		}
	})
}

// goesOn runs the same command again, and checks that it measures the rest alone.
func (s *server) goesOn(t *testing.T, arguments []string, path string) {
	t.Helper()
	saved := s.there(t, "*.samples.jsonl")
	if len(saved) != 1 {
		t.Fatalf("%d journals are there", len(saved))
	}
	before, err := os.ReadFile(saved[0])
	if err != nil {
		t.Fatal(err)
	}
	_, messages := profilerRun(t, arguments...)
	after, err := os.ReadFile(profiler.JournalPath(path))
	if err != nil || !bytes.HasPrefix(after, before[:bytes.LastIndexByte(before, '\n')+1]) || !strings.Contains(messages, "going on with") {
		t.Errorf("it began anew: %v, %s", err, messages)
	}
	plan, err := (&sourceOptions{spaces: []string{severalOf}, only: several}).plan()
	if err != nil {
		t.Fatal(err)
	}
	if table := read(t, path); len(table.Entries) != len(plan.Items) {
		t.Errorf("%d of %d entries", len(table.Entries), len(plan.Items))
	}
	if left := s.there(t, "*"); len(left) > 0 {
		t.Errorf("left there: %q", left)
	}
}

// profilerError runs the program, and gives its error.
func profilerError(t *testing.T, args ...string) error {
	t.Helper()
	return run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{})
}

func TestSSHRefusesBeforeItConnects(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.lut.json")
	refused(t, folder, []string{"user@host"}, "run", "--space", "tiny", "-o", path, "--ssh", "-oProxyCommand=x")
	refused(t, folder, []string{"-o"}, "run", "--space", "tiny", "--ssh", "pi@board")
	refused(t, folder, []string{"nowhere.yaml"}, "run", "--space", "nowhere.yaml", "--ssh", "pi@board", "-o", path)
	refused(t, folder, []string{"--ssh"}, "run", "--space", "tiny", "-o", path, "--ssh-option", "Port=1")
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

func TestRunsOverSSHAreNamedByWhereTheTableIsAndWhatItHolds(t *testing.T) {
	folder := t.TempDir()
	name := func(table string) string {
		t.Helper()
		got, err := runID(filepath.Join(folder, table), profiler.JournalPath(filepath.Join(folder, table)))
		if err != nil || len(got) != 32 {
			t.Fatalf("%q, %v", got, err)
		}
		return got
	}
	first := name("a.lut.json")
	if name("./a.lut.json") != first || name("b.lut.json") == first {
		t.Error("the name does not follow the place")
	}
	write(t, folder, "a.lut.json", "x")
	second := name("a.lut.json")
	write(t, folder, "a.samples.jsonl", "x")
	if third := name("a.lut.json"); second == first || third == second {
		t.Error("the name does not follow the contents")
	}
}
