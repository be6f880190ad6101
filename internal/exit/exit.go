// Package exit maps errors to the exit codes of the programs and runs their mains.
//
// Every program keeps its work in run(ctx, args, stdout, stderr) error; Main connects it to the process: signals cancel
// the context, and an error becomes one line on stderr and an exit code.
//
//	0    success
//	1    failure
//	2    bad input or usage
//	130  interrupted; the work is saved and the message says the command that continues it
package exit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
)

// The exit codes of every program.
const (
	CodeSuccess     = 0
	CodeFailure     = 1
	CodeBadInput    = 2
	CodeInterrupted = 130
)

// badInput marks an error as caused by what the user gave.
type badInput struct{ err error }

func (e badInput) Error() string { return e.err.Error() }
func (e badInput) Unwrap() error { return e.err }

// BadInput formats an error about what the user gave (a flag, a file, a name); its exit code is 2. %w wraps.
func BadInput(format string, a ...any) error {
	return badInput{fmt.Errorf(format, a...)}
}

// AsBadInput marks an existing error as caused by what the user gave; nil stays nil.
func AsBadInput(err error) error {
	if err == nil {
		return nil
	}
	return badInput{err}
}

// Interrupted says that a signal ended the work, that it is saved, and which command continues it.
type Interrupted struct {
	Continue string // the command line that continues; empty where there is nothing to continue
}

func (e Interrupted) Error() string {
	if e.Continue == "" {
		return "interrupted"
	}
	return "interrupted; continue with: " + e.Continue
}

// Code is the exit code of an error. A cancelled context counts as interrupted: nothing but a signal cancels the
// context of a program.
func Code(err error) int {
	var interrupted Interrupted
	var bad badInput
	switch {
	case err == nil:
		return CodeSuccess
	case errors.As(err, &interrupted):
		return CodeInterrupted
	case errors.As(err, &bad):
		return CodeBadInput
	case errors.Is(err, context.Canceled):
		return CodeInterrupted
	}
	return CodeFailure
}

// Main runs a program and ends the process with the code of its error. The first SIGINT or SIGTERM cancels the
// context, a second one ends the process at once.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	report(os.Stderr, filepath.Base(os.Args[0]), err)
	os.Exit(Code(err))
}

// report prints the error as one line, and nothing for nil.
func report(w io.Writer, program string, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(w, "%s: %s\n", program, OneLine(err.Error()))
}

// OneLine joins the lines of a text by single spaces and replaces what a terminal would obey (names in messages come
// from files of strangers).
func OneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, strings.Join(lines, " "))
}
