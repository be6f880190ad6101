// Testreport runs `go test` with its own arguments and prints one line per package, the whole output of what failed,
// and at the end what was skipped and why, and the number of tests. Its exit code is 0 only if everything passed.
//
//	go run ./internal/testreport [flags of go test] PACKAGES
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"densenas/internal/exit"
)

func main() { exit.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	goCommand := os.Getenv("GO")
	if goCommand == "" {
		goCommand = "go"
	}
	command := exec.CommandContext(ctx, goCommand, append([]string{"test", "-json"}, args...)...)
	command.Stderr = stderr
	events, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	failed, reportErr := report(events, stdout)
	waitErr := command.Wait()
	switch {
	case ctx.Err() != nil:
		return exit.Interrupted{}
	case reportErr != nil:
		return reportErr
	case failed > 0:
		return fmt.Errorf("%d packages failed", failed)
	}
	return waitErr
}

// event is what `go test -json` prints, one object a line.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build, in place of Package
	Test       string
	Output     string
	Elapsed    float64 // seconds
}

type skipped struct{ test, reason string }

// report reads the events of a test run and writes the report. It counts the packages that failed.
func report(events io.Reader, w io.Writer) (failed int, err error) {
	outputs := map[string][]string{} // of a package, a test of it, or a build
	var skips []skipped
	tests := map[string]int{} // by how they ended
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return failed, fmt.Errorf("go test printed no event: %q", lines.Text())
		}
		name := e.Package + " " + e.Test
		if e.Test != "" {
			tests[e.Action]++
		}
		switch e.Action {
		case "output":
			outputs[name] = append(outputs[name], e.Output)
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "fail":
			fmt.Fprint(w, strings.Join(outputs[name], ""))
			if e.Test == "" {
				failed++
				for _, unfinished := range slices.Sorted(maps.Keys(outputs)) { // such as one that was too slow: nothing says how it ended
					if test, of := strings.CutPrefix(unfinished, name); of && test != "" {
						fmt.Fprintf(w, "%s did not end\n%s", test, strings.Join(outputs[unfinished], ""))
					}
				}
			}
		case "skip":
			if e.Test != "" {
				skips = append(skips, skipped{strings.TrimSpace(name), reason(outputs[name])})
			}
		case "pass":
			if e.Test == "" {
				fmt.Fprintf(w, "ok    %s  %v\n", e.Package, time.Duration(e.Elapsed*float64(time.Second)).Round(10*time.Millisecond))
			}
		}
		if e.Test != "" && e.Action != "output" && e.Action != "run" {
			delete(outputs, name)
		}
	}
	if err := lines.Err(); err != nil {
		return failed, errors.Join(errors.New("reading the events of go test"), err)
	}
	if len(skips) == 0 {
		fmt.Fprintln(w, "nothing was skipped")
	} else {
		fmt.Fprintf(w, "%d tests were skipped:\n", len(skips))
	}
	for _, s := range skips {
		fmt.Fprintf(w, "  %s: %s\n", s.test, s.reason)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", tests["pass"], tests["fail"], tests["skip"])
	return failed, nil
}

// reason takes the message of t.Skip out of a test's output: the lines that are not the framework's own, without the
// place in the source.
func reason(output []string) string {
	var texts []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if place, text, found := strings.Cut(line, ": "); found && strings.Contains(place, ".go:") {
			line = text
		}
		texts = append(texts, line)
	}
	if len(texts) == 0 {
		return "no reason given"
	}
	return strings.Join(slices.Compact(texts), " ")
}
