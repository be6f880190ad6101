//go:build unix

package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const id = "00112233445566778899aabbccddeeff"

// served runs Serve with a request, whose files are names and contents, and gives the reply and what follows it.
func served(t *testing.T, cache string, run Runner, after string, contents ...string) (reply, string, error) {
	t.Helper()
	var in, out bytes.Buffer
	q := request{Header: files.Header{Kind: requestKind, SchemaVersion: schemaVersion}, Arguments: []string{"run", "--space=x"}, Files: []fileHead{}}
	for i := 0; i < len(contents); i += 2 {
		q.Files = append(q.Files, fileHead{contents[i], int64(len(contents[i+1]))})
	}
	if err := writeMessage(&in, q); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(contents); i += 2 {
		in.WriteString(contents[i])
	}
	in.WriteString(after)
	served := Serve(t.Context(), cache, id, &in, &out, run)
	r := bufio.NewReader(&out)
	a, err := readReply(r)
	if err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(rest), served
}

func put(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestServeSendsTheFilesAndKeepsThemUntilTheyAreSafe(t *testing.T) {
	cache := t.TempDir()
	folder := filepath.Join(cache, "runs", id)
	runs := 0
	run := func(_ context.Context, where string, args []string) error {
		runs++
		input, err := os.ReadFile(filepath.Join(where, "input-0"))
		if err != nil || where != folder || string(input) != "space" || strings.Join(args, " ") != "run --space=x" {
			t.Errorf("run in %s with %q, input %q, %v", where, args, input, err)
		}
		put(t, where, TableFile, "table")
		put(t, where, JournalFile, "journal!")
		return nil
	}
	a, rest, err := served(t, cache, run, "..", "input-0", "space")
	if err != nil || a.Code != 0 || rest != "tablejournal!" || !begun(folder) {
		t.Errorf("%+v, %q, %v; the folder is there: %v", a, rest, err, begun(folder))
	}
	if _, rest, err = served(t, cache, run, "..k", "input-0", "space"); err != nil || rest != "tablejournal!" || runs != 2 {
		t.Errorf("%q, %v after %d runs", rest, err, runs)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

func TestServeGoesOnWithItsOwnFiles(t *testing.T) {
	cache := t.TempDir()
	folder := filepath.Join(cache, "runs", id)
	fail := func(_ context.Context, where string, _ []string) error {
		table, err := os.ReadFile(filepath.Join(where, TableFile))
		if err != nil || string(table) != "sent" {
			t.Errorf("table %q, %v", table, err)
		}
		put(t, where, TableFile, "further")
		return errors.New("it broke")
	}
	if a, _, err := served(t, cache, fail, ".", TableFile, "sent"); err != nil || a.Code != exit.CodeFailure || a.Message != "it broke" || !begun(folder) {
		t.Errorf("%+v, %v", a, err)
	}
	run := func(_ context.Context, where string, _ []string) error { return nil }
	if _, rest, err := served(t, cache, run, "k", TableFile, "sent"); err != nil || rest != "further" {
		t.Errorf("sent back %q, %v", rest, err)
	}
}

func TestServeLeavesNothingOfARefusedRun(t *testing.T) {
	cache := t.TempDir()
	refuse := func(context.Context, string, []string) error { return exit.BadInput("unknown\nspace") }
	a, _, err := served(t, cache, refuse, "", "input-0", "space")
	if err != nil || a.Code != exit.CodeBadInput || a.Message != "unknown space" {
		t.Errorf("%+v, %v", a, err)
	}
	if left, err := filepath.Glob(filepath.Join(cache, "runs", "*")); err != nil || len(left) != 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestServeEndsTheRunWithTheConnection(t *testing.T) {
	run := func(ctx context.Context, where string, _ []string) error {
		put(t, where, JournalFile, "partial")
		<-ctx.Done()
		return exit.Interrupted{}
	}
	cache := t.TempDir()
	if a, _, err := served(t, cache, run, "...."); err != nil || a.Code != exit.CodeInterrupted || !begun(filepath.Join(cache, "runs", id)) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestServeOneRunAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := acquire(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(t.Context(), path, 0); err == nil || !strings.Contains(err.Error(), "another run is going on") {
		t.Errorf("locked twice: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := acquire(ended, path, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("waited on: %v", err)
	}
	freed := make(chan error, 1)
	go func() {
		lock, err := acquire(t.Context(), path, time.Minute)
		if err == nil {
			err = lock.Close()
		}
		freed <- err
	}()
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-freed; err != nil {
		t.Errorf("the lock did not come free: %v", err)
	}
}

func TestServeRefusesOtherFolders(t *testing.T) {
	for _, name := range []string{"", "..", "../x", strings.Repeat("A", 32), id + "0"} {
		if err := Serve(t.Context(), t.TempDir(), name, strings.NewReader(""), io.Discard, nil); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%q: %v", name, err)
		}
	}
}
