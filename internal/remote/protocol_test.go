package remote

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"densenas/internal/exit"
)

func TestReadReplyRefuses(t *testing.T) {
	const head = `{"kind":"densenas.remote.reply","schema_version":2,`
	for name, text := range map[string]string{
		"nothing":         "",
		"noise alone":     strings.Repeat("welcome\n", 20_000),
		"no end":          head + `"code":0,"message":"","files":[]}`,
		"other folder":    head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":1},{"name":"../x","size":1}]}` + "\n",
		"other name":      head + `"code":0,"message":"","files":[{"name":"input-0","size":1}]}` + "\n",
		"no table":        head + `"code":0,"message":"","files":[{"name":"table.samples.jsonl","size":1}]}` + "\n",
		"twice":           head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":1},{"name":"table.lut.json","size":1}]}` + "\n",
		"huge":            head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":99999999999}]}` + "\n",
		"negative":        head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":-1}]}` + "\n",
		"failed and done": head + `"code":1,"message":"","files":[{"name":"table.lut.json","size":1}]}` + "\n",
		"code":            head + `"code":-3,"message":"","files":[]}` + "\n",
		"two lines":       head + `"code":1,"message":"a\nb","files":[]}` + "\n",
		"unknown field":   head + `"code":1,"message":"","files":[],"more":1}` + "\n",
		"newer":           strings.Replace(head, "2,", "9,", 1) + `"code":0,"message":"","files":[]}` + "\n",
	} {
		if got, err := readReply(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%s: taken as %+v", name, got)
		}
	}
	noisy := "Welcome to the board\n\n" + head + `"code":2,"message":"no","files":[]}` + "\n"
	if got, err := readReply(bufio.NewReader(strings.NewReader(noisy))); err != nil || got.Code != exit.CodeBadInput || got.Message != "no" {
		t.Errorf("after a greeting: %+v, %v", got, err)
	}
}

func TestReadRequestRefuses(t *testing.T) {
	const head = `{"kind":"densenas.remote.request","schema_version":2,`
	for name, text := range map[string]string{
		"other command": head + `"arguments":["import"],"files":[]}`,
		"no command":    head + `"arguments":[],"files":[]}`,
		"other folder":  head + `"arguments":["run"],"files":[{"name":"../../.profile","size":1}]}`,
		"absolute":      head + `"arguments":["run"],"files":[{"name":"/etc/passwd","size":1}]}`,
		"too large":     head + `"arguments":["run"],"files":[{"name":"input-0","size":999999999}]}`,
	} {
		if got, err := readRequest(bufio.NewReader(strings.NewReader(text + "\n"))); err == nil {
			t.Errorf("%s: taken as %+v", name, got)
		}
	}
}

func FuzzReadMessages(f *testing.F) {
	f.Add([]byte(`{"kind":"densenas.remote.reply","schema_version":2,"code":0,"message":"","files":[{"name":"table.lut.json","size":1}]}` + "\nx"))
	f.Add([]byte(`{"kind":"densenas.remote.request","schema_version":2,"arguments":["run"],"files":[{"name":"input-0","size":1}]}` + "\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := readReply(bufio.NewReader(bytes.NewReader(data))); err == nil {
			for _, head := range a.Files {
				if head.Name != TableFile && head.Name != JournalFile || head.Size < 0 || head.Size > maxJournal {
					t.Errorf("took %+v", a)
				}
			}
		}
		if q, err := readRequest(bufio.NewReader(bytes.NewReader(data))); err == nil {
			for _, head := range q.Files {
				if strings.ContainsAny(head.Name, `/\`) || head.Size < 0 || head.Size > maxJournal {
					t.Errorf("took %+v", q)
				}
			}
		}
	})
}

func TestScriptsAreLeftAloneByLoginShells(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	program := part{"/x/it's a program", "bin", "profiler", digest, 12345}
	library := part{"/x/libonnxruntime.so.1", "lib", "libonnxruntime.so.1", digest, 54321}
	for _, script := range []string{
		probeScript, uploadScript(program), uploadScript(library), serveScript(there{program: program}, digest[:32]), serveScript(there{program, library}, digest[:32]),
	} {
		line, err := shellCommand(script)
		if err != nil || strings.Count(line, "'") != 2 {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := shellCommand("it's"); err == nil {
		t.Error("a script with a quote was taken")
	}
}

func TestParsePlatform(t *testing.T) {
	for uname, want := range map[string]string{"Linux x86_64\n": "linux-amd64", "Linux aarch64": "linux-arm64", "Darwin arm64": "darwin-arm64"} {
		if got, err := parsePlatform("board", uname); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v", uname, got, err)
		}
	}
	for uname, want := range map[string]string{
		"Linux armv7l": "32-bit", "Linux i686": "32-bit", "Linux riscv64": "amd64 and arm64", "FreeBSD amd64": "Linux and macOS", "Darwin x86_64": "Intel", "": "Linux and macOS",
	} {
		if _, err := parsePlatform("board", uname); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "board") {
			t.Errorf("%q: %v, want %q", uname, err, want)
		}
	}
}
