package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"densenas/internal/backends"
)

// killedEnvironment has the arguments of a search that a test runs in a process of its own, and behind how many steps it is killed, as JSON.
const killedEnvironment = "DENSENAS_TEST_KILLED"

type killed struct {
	Args   []string
	Folder string // of the run, as Args has it
	Steps  int    // 0: never
}

// TestKilledSearch is no test: it is the process of a search, which may end as if by the power, in the middle of a step.
func TestKilledSearch(t *testing.T) {
	text := os.Getenv(killedEnvironment)
	if text == "" {
		t.Skip("only TestKilledRunsEqualUninterruptedOnes runs this, in a process of its own")
	}
	var k killed
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		t.Fatal(err)
	}
	if k.Steps == 0 {
		succeed(t, k.Args...)
		return
	}
	s := prepare(t, k.Args)
	s.search.Engine = &watchedEngine{Engine: s.search.Engine, after: func(n int) error {
		if n == k.Steps {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			if err := self.Kill(); err != nil {
				return err
			}
			select {} // until the signal arrives
		}
		return nil
	}}
	t.Fatalf("the search came to its end: %v", s.execute(context.Background(), k.Folder, io.Discard))
}

// A search whose process is killed at a random step continues from its last checkpoint, and ends bit for bit as one that was not.
func TestKilledRunsEqualUninterruptedOnes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signal kills there")
	}
	for _, backend := range []string{backends.Go, backends.XLA} {
		t.Run(backend, func(t *testing.T) {
			spec := backend
			if backend == backends.XLA {
				spec = xlaSpec(t)
			}
			f := smallFiles(t)
			epochs, steps := 3, smallSteps
			if backend == backends.XLA { // compiling is what takes the time there
				write(t, f.space, strings.Replace(smallSpace, "head: [mbconv_k3_t3, mbconv_k3_t6]", "head: [mbconv_k3_t3]", 1))
				epochs, steps = 2, smallSteps-smallWeightSteps-smallArchitectureSteps
			}
			args := func(folder string) []string {
				return f.args(folder, "--backend", spec, "--target-latency", "0.25ms", "--epochs", strconv.Itoa(epochs))
			}
			// Each in a process of its own, as a user's are: what XLA was opened for first decides how many threads share a sum.
			search := func(k killed) {
				t.Helper()
				text, err := json.Marshal(k)
				if err != nil {
					t.Fatal(err)
				}
				c := exec.Command(os.Args[0], "-test.run=^TestKilledSearch$")
				c.Env = append(os.Environ(), killedEnvironment+"="+string(text))
				out, err := c.CombinedOutput()
				if (err == nil) != (k.Steps == 0) || strings.Contains(string(out), "FAIL") {
					t.Fatalf("search to be killed at step %d: %v\n%s", k.Steps, err, out)
				}
			}
			folder := filepath.Join(t.TempDir(), "whole")
			search(killed{Args: args(folder)})
			whole := outcome(t, folder)

			r := rand.New(rand.NewPCG(6, 6))
			at := []int{1 + r.IntN(smallWeightSteps), smallWeightSteps + 1 + r.IntN(steps-smallWeightSteps-1)}
			if backend == backends.XLA {
				at = at[1:]
			}
			for _, n := range at {
				folder := filepath.Join(t.TempDir(), "run")
				search(killed{args(folder), folder, n})
				search(killed{Args: []string{"resume", folder}})
				same(t, fmt.Sprintf("killed at step %d", n), outcome(t, folder), whole)
			}
		})
	}
}
