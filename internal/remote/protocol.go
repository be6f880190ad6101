package remote

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"densenas/internal/files"
)

// Kinds of the two messages, each a line of JSON with the contents of its files after it, in order.
const (
	requestKind   = "densenas.remote.request"
	replyKind     = "densenas.remote.reply"
	schemaVersion = 2
)

// Names of files in a run's folder. Inputs are input-0, input-1, …
const (
	TableFile   = "table.lut.json"
	JournalFile = "table.samples.jsonl"
)

// Bounds of messages, in bytes. The files' are those that their readers have.
const (
	maxMessage = 1 << 20
	maxNoise   = 64 << 10 // that a login shell prints before the reply
	maxInput   = 16 << 20
	maxInputs  = 1000
	maxTable   = 64 << 20
	maxJournal = 1 << 30
)

// What this side sends after the request.
const (
	alive  = '.' // now and then
	stored = 'k' // the files of the reply are safe here
)

// What the other side sends now and then until it replies: a line that is passed over.
const running = "\n"

// fileHead announces a file.
type fileHead struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

type request struct {
	files.Header
	Arguments []string   `json:"arguments"` // of the profiler, in the run's folder
	Files     []fileHead `json:"files"`
}

type reply struct {
	files.Header
	Code    int        `json:"code"`    // exit code
	Message string     `json:"message"` // of the error, one line
	Files   []fileHead `json:"files"`
}

var inputName = regexp.MustCompile(`^input-[0-9]{1,3}$`)

// InputName is the name of the n-th input, from 0, in a run's folder.
func InputName(n int) string { return fmt.Sprintf("input-%d", n) }

// limit is the most that a file of this name may have, and 0 for a name that is not expected.
func limit(name string, inputs bool) int64 {
	switch {
	case name == TableFile:
		return maxTable
	case name == JournalFile:
		return maxJournal
	case inputs && inputName.MatchString(name):
		return maxInput
	}
	return 0
}

func checkFiles(heads []fileHead, inputs bool) error {
	seen := map[string]bool{}
	for _, head := range heads {
		most := limit(head.Name, inputs)
		switch {
		case most == 0:
			return fmt.Errorf("the file %.80q is not expected", head.Name)
		case seen[head.Name]:
			return fmt.Errorf("the file %s comes twice", head.Name)
		case head.Size < 0 || head.Size > most:
			return fmt.Errorf("the file %s has %d bytes, allowed is 0 to %d", head.Name, head.Size, most)
		}
		seen[head.Name] = true
	}
	if len(heads) > maxInputs+2 {
		return fmt.Errorf("%d files are too many", len(heads))
	}
	return nil
}

// writeMessage writes one line; the files follow it.
func writeMessage(w io.Writer, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(line) >= maxMessage {
		return fmt.Errorf("the message has %d bytes, at most %d are sent", len(line), maxMessage)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// readRequest reads and checks a request; its files follow in r.
func readRequest(r *bufio.Reader) (request, error) {
	var q request
	line, err := readLine(r, maxMessage)
	if err != nil {
		return q, err
	}
	if err := files.DecodeJSONKind("request", line, requestKind, schemaVersion, &q); err != nil {
		return q, err
	}
	if len(q.Arguments) == 0 || q.Arguments[0] != "run" {
		return q, errors.New("request: expected the arguments of a run")
	}
	return q, checkFiles(q.Files, true)
}

// readReply reads and checks a reply, passing over what a login shell prints before it; its files follow in r.
func readReply(r *bufio.Reader) (reply, error) {
	var a reply
	for noise := 0; ; {
		line, err := readLine(r, maxMessage)
		if err != nil {
			return a, err
		}
		if !bytes.HasPrefix(line, []byte(`{"kind":"`+replyKind+`"`)) {
			if noise += len(line); noise > maxNoise {
				return a, errors.New("something else than the profiler answers")
			}
			continue
		}
		if err := files.DecodeJSONKind("reply", line, replyKind, schemaVersion, &a); err != nil {
			return a, err
		}
		if a.Code < 0 || a.Code > 255 || len(a.Files) > 0 && (a.Code != 0 || a.Files[0].Name != TableFile) {
			return a, errors.New("reply: the exit code and the files do not fit")
		}
		if strings.ContainsAny(a.Message, "\n\r") {
			return a, errors.New("reply: the message has more than one line")
		}
		return a, checkFiles(a.Files, false)
	}
}

// readLine reads a line of at most length bytes, and returns it without its end.
func readLine(r *bufio.Reader, length int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > length {
			return nil, fmt.Errorf("a line of more than %d bytes", length)
		}
		if err == nil {
			return line[:len(line)-1], nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}
