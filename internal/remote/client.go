package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"densenas/internal/exit"
	"densenas/internal/files"
)

// Road is a way to another machine: [SSH] or [ADB].
type Road interface {
	// String is the machine, as messages name it.
	String() string
	// connect finds what goes the road, and the machine as far as that can be told without it.
	connect(ctx context.Context) (connection, error)
}

// connection reaches the POSIX shell of a machine.
type connection interface {
	// String is what goes there, and the machine.
	String() string
	// command runs a script in the shell: streams and exit code are the script's.
	command(ctx context.Context, script string) (*exec.Cmd, error)
	// platform is what runs on the machine, where `uname -sm` prints this.
	platform(uname string) (platform, error)
	// upload runs a script there that reads file from its standard input.
	upload(ctx context.Context, file *os.File, script string) error
}

// Job is a run on another machine.
type Job struct {
	Road    Road
	Program string // profiler for the other machine; empty: the one that was built beside the running one

	// ONNXRuntime says that the run measures in ONNX Runtime, so that the program must have it.
	ONNXRuntime bool
	// CopyLibrary has the run there use the library of ONNX Runtime that is here: Library or, where that is empty, the newest of the
	// user's own for that machine, if there is any.
	CopyLibrary bool
	Library     string

	ID        string   // 32 hexadecimal digits; the same for a run that goes on
	Arguments []string // of the profiler there, where files have the names of a run's folder
	Inputs    [][]byte // contents of input-0, input-1, …

	// Table and Journal are the files to go on with, where they are there, and to replace.
	Table, Journal string
	// Check reads what came back strictly, before it replaces anything; journal is empty where none came.
	Check func(table, journal string) error

	CommandLine string // that continues the run
}

const (
	stopWait = 60 * time.Second // for the other side to save and answer after an interruption
	endWait  = 10 * time.Second // for the connection to end after the answer
)

// Run runs a job, writing what the other machine says to stderr. An error of the run there has its exit code here too. Where ctx
// ends, the run there saves and ends; where the connection is lost it does so within a minute. The same job then goes on.
func Run(ctx context.Context, job Job, stderr io.Writer) error {
	s := session{Job: job, stderr: stderr}
	there, err := s.prepare(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return exit.Interrupted{Continue: job.CommandLine}
		}
		return err
	}
	return s.run(ctx, there)
}

type session struct {
	Job
	connection connection
	stderr     io.Writer
}

// do runs a command of a connection and returns the beginning of what it prints.
func do(c *exec.Cmd, stdin io.Reader, by fmt.Stringer) (string, error) {
	out, said := &head{most: maxNoise}, &head{most: 4096}
	c.Stdin, c.Stdout, c.Stderr = stdin, out, said
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %s (%w)", by, cmp.Or(exit.OneLine(said.String()), "no reason given"), err)
	}
	return out.String(), nil
}

// head keeps the beginning of what is written to it.
type head struct {
	bytes.Buffer
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), h.most-h.Len())])
	return len(p), nil
}

// there are the copies on the other machine that a run needs.
type there struct {
	program part
	library part // without a path: none
}

// prepare sees to it that the program and the library are on the other machine.
func (s *session) prepare(ctx context.Context) (there, error) {
	var t there
	var err error
	if s.connection, err = s.Road.connect(ctx); err != nil {
		return t, err
	}
	c, err := s.connection.command(ctx, probeScript)
	if err != nil {
		return t, err
	}
	out, err := do(c, nil, s.connection)
	if err != nil {
		return t, err
	}
	_, after, found := strings.Cut(out, probeMark+"\n")
	lines := strings.Split(after, "\n")
	if !found || len(lines) < 2 {
		return t, fmt.Errorf("%s does not run a POSIX shell: it answered %.100q", s.Road, out)
	}
	p, err := s.connection.platform(lines[0])
	if err != nil {
		return t, err
	}
	if t.program, err = findProgram(s.Program, p, s.ONNXRuntime); err != nil {
		return t, err
	}
	if s.CopyLibrary {
		if t.library, err = findLibrary(s.Library, p); err != nil {
			return t, err
		}
	}
	for _, part := range []part{t.program, t.library} {
		if part.path == "" || slices.ContainsFunc(lines[1:], func(path string) bool { return strings.HasSuffix(path, "/"+part.there()) }) {
			continue
		}
		if err := s.upload(ctx, part); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (s *session) upload(ctx context.Context, p part) error {
	file, err := os.Open(p.path)
	if err != nil {
		return exit.AsBadInput(err)
	}
	defer file.Close()
	fmt.Fprintf(s.stderr, "copying %s to %s, %d MB\n", filepath.Base(p.path), s.Road, p.size>>20)
	return s.connection.upload(ctx, file, uploadScript(p))
}

// run runs the program on the other machine, and takes what it answers.
func (s *session) run(ctx context.Context, t there) error {
	aborted, abort := context.WithCancel(context.WithoutCancel(ctx)) // ends the client, not the run there
	defer abort()
	c, err := s.connection.command(aborted, serveScript(t, s.ID))
	if err != nil {
		return err
	}
	stdin, err := c.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	said := &lines{w: s.stderr}
	c.Stderr = said
	if err := c.Start(); err != nil {
		return err
	}
	taken, written := make(chan bool, 1), make(chan error, 1)
	go func() { written <- s.write(stdin, taken) }()
	stop := context.AfterFunc(ctx, func() {
		stdin.Close()
		time.AfterFunc(stopWait, abort)
	})
	defer stop()

	err = s.take(bufio.NewReader(listen(stdout, abort)))
	taken <- err == nil
	late := time.AfterFunc(endWait, abort)
	defer late.Stop()
	io.Copy(io.Discard, stdout) // or the client cannot end
	writeErr := <-written
	waitErr := c.Wait()
	said.flush()
	var answered remoteError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return exit.Interrupted{Continue: s.CommandLine}
	case errors.As(err, &answered):
		return answered.as(s.Road, s.CommandLine)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the connection to %s was lost (%v); what was measured is safe there: continue with: %s", s.Road, errors.Join(waitErr, writeErr), s.CommandLine)
	}
	return fmt.Errorf("%s: %w", s.Road, err)
}

// write sends the request, and bytes that show that this side is alive until the reply is taken; then, if it could be, a byte
// that says that its files are safe.
func (s *session) write(w io.WriteCloser, taken <-chan bool) error {
	defer w.Close()
	if err := s.request(w); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		next := []byte{alive}
		select {
		case safe := <-taken:
			if !safe {
				return nil
			}
			next = []byte{stored}
		case <-beat.C:
		}
		if _, err := w.Write(next); err != nil || next[0] == stored {
			return err
		}
	}
}

func (s *session) request(w io.Writer) error {
	q := request{Header: files.Header{Kind: requestKind, SchemaVersion: schemaVersion}, Arguments: s.Arguments, Files: []fileHead{}}
	var contents []io.Reader
	for i, data := range s.Inputs {
		q.Files = append(q.Files, fileHead{InputName(i), int64(len(data))})
		contents = append(contents, bytes.NewReader(data))
	}
	for _, f := range []struct{ name, path string }{{TableFile, s.Table}, {JournalFile, s.Journal}} {
		file, err := os.Open(f.path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		q.Files = append(q.Files, fileHead{f.name, info.Size()})
		contents = append(contents, io.LimitReader(file, info.Size()))
	}
	if err := checkFiles(q.Files, true); err != nil {
		return err
	}
	if err := writeMessage(w, q); err != nil {
		return err
	}
	_, err := io.Copy(w, io.MultiReader(contents...))
	return err
}

// take reads the reply and stores its files, all or none: first as temporary files, which are checked, then by their names.
func (s *session) take(r *bufio.Reader) error {
	a, err := readReply(r)
	if err != nil {
		return err
	}
	if a.Code != 0 {
		return remoteError{a.Code, a.Message}
	}
	if len(a.Files) == 0 {
		return errors.New("the run ended without a table")
	}
	temporary := map[string]string{}
	defer func() {
		for _, path := range temporary {
			os.Remove(path) // those that have their names by now are not there
		}
	}()
	for _, head := range a.Files {
		path, err := receive(r, head.Size, filepath.Dir(s.Table))
		if err != nil {
			return err
		}
		temporary[head.Name] = path
	}
	if err := s.Check(temporary[TableFile], temporary[JournalFile]); err != nil {
		return fmt.Errorf("what came back cannot be used: %w", err)
	}
	// The journal first: a table follows from its journal, not the other way round.
	for _, f := range []struct{ name, path string }{{JournalFile, s.Journal}, {TableFile, s.Table}} {
		if temporary[f.name] == "" {
			continue
		}
		if err := os.Rename(temporary[f.name], f.path); err != nil {
			return err
		}
	}
	return files.SyncFolder(filepath.Dir(s.Table))
}

// listen reads what the other side sends. After a minute without a byte it ends the connection.
func listen(r io.Reader, lost func()) io.Reader {
	return &listener{r, time.AfterFunc(silence, lost)}
}

type listener struct {
	io.Reader
	late *time.Timer
}

func (l *listener) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err != nil {
		l.late.Stop()
	} else {
		l.late.Reset(silence)
	}
	return n, err
}

// receive stores the next bytes in a temporary file in folder.
func receive(r io.Reader, size int64, folder string) (path string, err error) {
	file, err := os.CreateTemp(folder, ".densenas-*.tmp")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	if _, err := io.CopyN(file, r, size); err != nil {
		return "", err
	}
	if err := file.Chmod(0o644); err != nil {
		return "", err
	}
	return file.Name(), file.Sync()
}

// remoteError is how a run on the other machine failed.
type remoteError struct {
	code    int
	message string
}

func (e remoteError) Error() string { return e.message }

// as is the error for this side's user.
func (e remoteError) as(machine fmt.Stringer, commandLine string) error {
	switch e.code {
	case exit.CodeBadInput:
		return exit.BadInput("%s: %s", machine, e.message)
	case exit.CodeInterrupted:
		return exit.Interrupted{Continue: commandLine}
	}
	return fmt.Errorf("%s: %s", machine, e.message)
}

// lines passes whole lines on, without what a terminal would obey.
type lines struct {
	w    io.Writer
	rest []byte
}

// maxLine is where a line is cut.
const maxLine = 4096

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		next := end + 1
		if end < 0 && len(l.rest) > maxLine {
			end, next = maxLine, maxLine
		}
		if end < 0 {
			return len(p), nil
		}
		fmt.Fprintln(l.w, exit.OneLine(string(l.rest[:end])))
		l.rest = l.rest[next:]
	}
}

// flush passes on what came without an end of line.
func (l *lines) flush() {
	if len(l.rest) > 0 {
		fmt.Fprintln(l.w, exit.OneLine(string(l.rest)))
		l.rest = nil
	}
}
