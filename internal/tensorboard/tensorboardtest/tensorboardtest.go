// Package tensorboardtest reads event files back by TensorBoard's own reader, for tests.
package tensorboardtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
)

// pythonVariable is the environment variable that names the Python interpreter with the package tensorboard. Where it is set a missing
// package is a failure; else the test is skipped on machines that lack it.
const pythonVariable = "DENSENAS_PYTHON"

// lacking is the exit code of the script where the package is not there.
const lacking = 3

const script = `
import json, sys
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError as e:
    print(e, file=sys.stderr)
    sys.exit(3)
a = EventAccumulator(sys.argv[1], purge_orphaned_data=True)
a.Reload()
print(json.dumps({tag: [[e.step, e.value] for e in a.Scalars(tag)] for tag in a.Tags()["scalars"]}))
`

// Scalars are what TensorBoard would show of a folder: by tag, steps and values.
func Scalars(t *testing.T, folder string) map[string][][2]float64 {
	t.Helper()
	program := os.Getenv(pythonVariable)
	required := program != ""
	if !required {
		program = "python3"
	}
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, "-c", script, folder)
	command.Stderr = &stderr
	out, err := command.Output()
	ended := new(exec.ExitError)
	if !required && (errors.Is(err, exec.ErrNotFound) || errors.As(err, &ended) && ended.ExitCode() == lacking) {
		t.Skipf("%s has no tensorboard, so nothing reads event files back; install it, or name another interpreter by %s: %v %s",
			program, pythonVariable, err, bytes.TrimSpace(stderr.Bytes()))
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", program, err, stderr.Bytes())
	}
	var found map[string][][2]float64
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return found
}
