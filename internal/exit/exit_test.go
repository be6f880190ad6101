package exit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestCode(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"success", nil, 0},
		{"failure", errors.New("disk full"), 1},
		{"bad input", BadInput("no space %q", "x"), 2},
		{"wrapped bad input", fmt.Errorf("reading: %w", BadInput("no")), 2},
		{"joined bad input", errors.Join(errors.New("a"), BadInput("b")), 2},
		{"marked", AsBadInput(fs.ErrNotExist), 2},
		{"marked nil", AsBadInput(nil), 0},
		{"interrupted", Interrupted{Continue: "search run -o d"}, 130},
		{"wrapped interrupted", fmt.Errorf("epoch 3: %w", Interrupted{}), 130},
		{"interruption wins over bad input", AsBadInput(Interrupted{}), 130},
		{"cancelled", fmt.Errorf("step: %w", context.Canceled), 130},
		{"deadline is a failure", context.DeadlineExceeded, 1},
	} {
		if got := Code(c.err); got != c.want {
			t.Errorf("%s: code %d, want %d", c.name, got, c.want)
		}
	}
}

func TestBadInputWraps(t *testing.T) {
	err := BadInput("x.json: %w", fs.ErrNotExist)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the wrapped error is lost")
	}
	if got, want := err.Error(), "x.json: file does not exist"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if !errors.Is(AsBadInput(fs.ErrExist), fs.ErrExist) {
		t.Error("marking loses the error")
	}
}

func TestInterruptedSaysHowToContinue(t *testing.T) {
	if got, want := (Interrupted{Continue: "profiler run -o a.lut.json"}).Error(), "interrupted; continue with: profiler run -o a.lut.json"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got := (Interrupted{}).Error(); got != "interrupted" {
		t.Errorf("message %q without a command", got)
	}
}

func TestReportIsOneSafeLine(t *testing.T) {
	var out strings.Builder
	report(&out, "report", nil)
	if out.Len() != 0 {
		t.Errorf("success printed %q", out.String())
	}
	report(&out, "report", errors.New("first\n\n\tsecond  part\r\n\x1b[31mred\x00"))
	if got, want := out.String(), "report: first second  part \uFFFD[31mred\uFFFD\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
