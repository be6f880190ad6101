package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	heartbeat = 15 * time.Second // between the bytes that each side sends
	silence   = 60 * time.Second // after which a connection is taken for lost
	lockWait  = 10 * time.Second // for a run whose connection was just lost to end
)

var runID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Runner runs the profiler with arguments in a folder.
type Runner func(ctx context.Context, folder string, args []string) error

// Serve serves one run in the folder of id below cache: it takes the request from stdin, runs it in that folder, and answers on
// stdout. Where stdin ends, or is silent for a minute, the run's context ends. The folder is removed when the other side has the
// files of a complete run, or nothing was measured; else it stays for the same request to go on. Errors of the run are in the
// answer; those that are returned are of answering.
func Serve(ctx context.Context, cache, id string, stdin io.Reader, stdout io.Writer, run Runner) error {
	if !runID.MatchString(id) {
		return exit.BadInput("the run is %.40q, expected 32 hexadecimal digits", id)
	}
	answer := func(err error, heads []fileHead) error {
		a := reply{Header: files.Header{Kind: replyKind, SchemaVersion: schemaVersion}, Code: exit.Code(err), Files: heads}
		if err != nil {
			a.Message = exit.OneLine(err.Error())
			a.Message = strings.ToValidUTF8(a.Message[:min(len(a.Message), 10_000)], "")
		}
		return writeMessage(stdout, a)
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return answer(err, nil)
	}
	lock, err := acquire(ctx, filepath.Join(cache, "lock"), lockWait)
	if err != nil {
		return answer(err, nil)
	}
	defer lock.Close()
	folder := filepath.Join(cache, "runs", id)
	defer func() {
		if !begun(folder) {
			os.RemoveAll(folder) // it holds inputs at most, which come with every request
		}
	}()
	in := bufio.NewReader(stdin)
	q, err := take(in, folder)
	if err != nil {
		return answer(err, nil)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	safe := watch(ctx, in, cancel)
	rest := beat(stdout)
	err = run(ctx, folder, q.Arguments)
	rest()
	if err != nil {
		return answer(err, nil)
	}
	if err := send(stdout, folder, answer); err != nil {
		return err
	}
	select {
	case <-safe:
		return os.RemoveAll(folder)
	case <-ctx.Done():
		return nil // it stays
	}
}

// begun says whether anything was measured in a folder.
func begun(folder string) bool {
	for _, name := range []string{TableFile, JournalFile} {
		if _, err := os.Lstat(filepath.Join(folder, name)); err == nil {
			return true
		}
	}
	return false
}

// take reads the request and stores its files. A table and a journal that are there are further than those of the request.
func take(in *bufio.Reader, folder string) (request, error) {
	q, err := readRequest(in)
	if err != nil {
		return q, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return q, err
	}
	keep := begun(folder)
	for _, head := range q.Files {
		write := func(w io.Writer) error { _, err := io.CopyN(w, in, head.Size); return err }
		if keep && !inputName.MatchString(head.Name) {
			err = write(io.Discard)
		} else {
			err = files.WriteAtomic(filepath.Join(folder, head.Name), write)
		}
		if err != nil {
			return q, fmt.Errorf("the request breaks off: %w", err)
		}
	}
	return q, nil
}

// watch reads what follows the request. The channel is closed when the other side says that it has the files.
func watch(ctx context.Context, in io.ByteReader, lost context.CancelFunc) <-chan struct{} {
	safe := make(chan struct{})
	late := time.AfterFunc(silence, lost)
	context.AfterFunc(ctx, func() { late.Stop() })
	go func() {
		for {
			b, err := in.ReadByte()
			if err == nil && b == stored {
				close(safe)
				return
			}
			if err != nil || b != alive {
				lost()
				return
			}
			late.Reset(silence)
		}
	}()
	return safe
}

// beat writes now and then that the run goes on, until rest is called and has returned.
func beat(w io.Writer) (rest func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				io.WriteString(w, running) // where nobody reads, the other direction says so
			}
		}
	}()
	return func() { close(end); <-ended }
}

// send answers with the table and, if there is one, the journal.
func send(stdout io.Writer, folder string, answer func(error, []fileHead) error) error {
	var heads []fileHead
	var contents []io.Reader
	for _, name := range []string{TableFile, JournalFile} {
		file, err := os.Open(filepath.Join(folder, name))
		if errors.Is(err, os.ErrNotExist) && name == JournalFile {
			continue
		}
		if err != nil {
			return answer(err, nil)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return answer(err, nil)
		}
		heads = append(heads, fileHead{name, info.Size()})
		contents = append(contents, io.LimitReader(file, info.Size()))
	}
	if err := answer(nil, heads); err != nil {
		return err
	}
	_, err := io.Copy(stdout, io.MultiReader(contents...))
	return err
}
