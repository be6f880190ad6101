package remote

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/files"
)

// answer is a reply with files.
func answer(t *testing.T, contents ...string) []byte {
	t.Helper()
	a := reply{Header: files.Header{Kind: replyKind, SchemaVersion: schemaVersion}}
	var after string
	for i := 0; i < len(contents); i += 2 {
		a.Files = append(a.Files, fileHead{contents[i], int64(len(contents[i+1]))})
		after += contents[i+1]
	}
	var b bytes.Buffer
	if err := writeMessage(&b, a); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), after...)
}

func TestTakeReplacesAllOrNothing(t *testing.T) {
	whole := answer(t, TableFile, "new table", JournalFile, "new journal")
	for name, test := range map[string]struct {
		reply []byte
		check error
		good  bool
	}{
		"whole":      {whole, nil, true},
		"unreadable": {whole, errors.New("table: unit is missing"), false},
		"cut off":    {whole[:len(whole)-3], nil, false},
		"no files":   {answer(t), nil, false},
	} {
		folder := t.TempDir()
		put := func(name, text string) string {
			path := filepath.Join(folder, name)
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}
		s := session{Job: Job{Table: put("a.lut.json", "old table"), Journal: put("a.samples.jsonl", "old journal"), Check: func(table, journal string) error {
			data, err1 := os.ReadFile(table)
			more, err2 := os.ReadFile(journal)
			if err1 != nil || err2 != nil || string(data) != "new table" || string(more) != "new journal" {
				t.Errorf("%s: asked to check %q, %q", name, data, more)
			}
			return test.check
		}}}
		err := s.take(bufio.NewReader(bytes.NewReader(test.reply)))
		want := "old table old journal"
		if test.good {
			want = "new table new journal"
		}
		table, err1 := os.ReadFile(s.Table)
		journal, err2 := os.ReadFile(s.Journal)
		entries, err3 := os.ReadDir(folder)
		if (err == nil) != test.good || err1 != nil || err2 != nil || err3 != nil || string(table)+" "+string(journal) != want || len(entries) != 2 {
			t.Errorf("%s: %v; the files are %q, %q of %d", name, err, table, journal, len(entries))
		}
	}
}

// Whatever comes back over a connection: nothing is written but the table and its journal, whole or not at all, and no temporary file
// stays.
func FuzzTake(f *testing.F) {
	const head = `{"kind":"densenas.remote.reply","schema_version":2,`
	f.Add([]byte(head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":3},{"name":"table.samples.jsonl","size":2}]}` + "\nabcde"))
	f.Add([]byte(head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":3}]}` + "\nab"))
	f.Add([]byte("welcome\n" + head + `"code":2,"message":"no","files":[]}` + "\n"))
	f.Add([]byte(head + `"code":0,"message":"","files":[{"name":"../../x","size":1}]}` + "\nx"))
	f.Add([]byte(head + `"code":0,"message":"","files":[{"name":"table.lut.json","size":1073741824}]}` + "\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		outside := t.TempDir()
		folder := filepath.Join(outside, "in")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		table, journal := filepath.Join(folder, "t.lut.json"), filepath.Join(folder, "t.samples.jsonl")
		for _, path := range []string{table, journal} {
			if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var checked bool
		s := &session{Job: Job{Table: table, Journal: journal, Check: func(tablePath, journalPath string) error {
			checked = true
			if content, err := os.ReadFile(tablePath); err != nil || bytes.HasPrefix(content, []byte("no")) {
				return errors.Join(err, errors.New("no table"))
			}
			return nil
		}}}
		err := s.take(bufio.NewReader(bytes.NewReader(data)))
		content, readErr := os.ReadFile(table)
		if readErr != nil || err != nil && string(content) != "before" || err == nil && !checked {
			t.Errorf("the table is %q after %v, checked: %t", content, err, checked)
		}
		if err == nil && !bytes.Contains(data, content) {
			t.Errorf("the table is %q", content)
		}
		for _, c := range []struct{ folder, want string }{{outside, "in"}, {folder, "t.lut.json t.samples.jsonl"}} {
			entries, err := os.ReadDir(c.folder)
			var names string
			for _, e := range entries {
				names += " " + e.Name()
			}
			if err != nil || names != " "+c.want {
				t.Error(fmt.Errorf("%s holds%s, want %s", c.folder, names, c.want), err)
			}
		}
	})
}

func TestCommandPassesNothingThatSshCouldTakeForAnOption(t *testing.T) {
	s := sshConnection{SSH{Target{"pi", "board", 22}, []string{"IdentityFile=a b", "BatchMode=no"}}, "ssh"}
	c, err := s.command(t.Context(), probeScript)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(c.Args, "|")
	for _, part := range []string{"ssh|-T|-o|BatchMode=yes|-o|IdentityFile=a b|-o|BatchMode=no|", "|ServerAliveInterval=15|", "|-p|22|-l|pi|--|board|exec /bin/sh -c '"} {
		if !strings.Contains(line, part) {
			t.Errorf("%s lacks %s", line, part)
		}
	}
}

func TestLinesHoldNothingThatATerminalObeys(t *testing.T) {
	var out bytes.Buffer
	l := &lines{w: &out}
	fmt.Fprint(l, "one\x1b[2J\ntw")
	fmt.Fprint(l, "o\n"+strings.Repeat("x", 3*maxLine))
	l.flush()
	got := out.String()
	if !strings.HasPrefix(got, "one\ufffd[2J\ntwo\nxxx") || strings.Count(got, "x") != 3*maxLine {
		t.Errorf("%.100q", got)
	}
}

func TestErrorsOfTheOtherSideKeepTheirCodes(t *testing.T) {
	for code, want := range map[int]string{exit.CodeFailure: "pi@board: no", exit.CodeBadInput: "pi@board: no", exit.CodeInterrupted: "interrupted; continue with: profiler run"} {
		if err := (remoteError{code, "no"}).as(Target{User: "pi", Host: "board"}, "profiler run"); exit.Code(err) != code || err.Error() != want {
			t.Errorf("%d: %v", code, err)
		}
	}
}
