package backends_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sys/unix"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
)

// The binding is of the whole process and for good, so it is tried in processes of its own: this variable, RUNTIME
// PROCESSOR, makes the test binary one of them.
const boundVariable = "DENSENAS_TEST_BOUND"

func TestMain(m *testing.M) {
	if job := os.Getenv(boundVariable); job != "" {
		if err := bound(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// bound opens a runtime on one processor, computes with it, starts threads, and looks at where all threads may run.
func bound(job string) error {
	spec, processor, _ := strings.Cut(job, " ")
	number, err := strconv.Atoi(processor)
	if err != nil {
		return err
	}
	backend, err := backends.OpenWith(spec, backends.Options{Processors: []int{number}})
	if err != nil {
		return err
	}
	defer backend.Finalize()
	if threads := runtime.GOMAXPROCS(0); threads != 1 {
		return fmt.Errorf("GOMAXPROCS is %d", threads)
	}
	product := graph.MustNewExec(backend.Backend, func(x *graph.Node) *graph.Node { return graph.MatMul(x, x) })
	defer product.Finalize()
	matrix := make([][]float32, 200)
	for i := range matrix {
		matrix[i] = make([]float32, len(matrix))
	}
	defer product.MustCall1(tensors.FromValue(matrix)).FinalizeAll()

	// Threads that start now, held until they were looked at.
	var started, done sync.WaitGroup
	look := make(chan struct{})
	for range 8 {
		started.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			started.Done()
			<-look
		})
	}
	started.Wait()
	defer done.Wait()
	defer close(look)
	statuses, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(statuses) < 9 {
		return fmt.Errorf("%d threads, %v", len(statuses), err)
	}
	pool := 0 // threads of XLA, which names them so
	for _, path := range statuses {
		status, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // it ended
		}
		if err != nil {
			return err
		}
		_, after, _ := strings.Cut(string(status), "Cpus_allowed_list:")
		list, _, _ := strings.Cut(after, "\n")
		if strings.TrimSpace(list) != processor {
			return fmt.Errorf("%s: may run on %s of %d threads", path, strings.TrimSpace(list), len(statuses))
		}
		if strings.HasPrefix(string(status), "Name:\ttf_XLA") {
			pool++
		}
	}
	if pool > 1 {
		return fmt.Errorf("XLA made %d threads for one processor", pool)
	}
	return nil
}

func TestProcessorsBindEveryThread(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	if allowed.Count() < 2 {
		t.Logf("this process may use one processor only: the binding changes nothing here")
	}
	processor := -1 // the last one: a binding that does nothing, or takes the first ones, is seen
	for n := range len(allowed) * 64 {
		if allowed.IsSet(n) {
			processor = n
		}
	}
	backendstest.Each(t, func(t *testing.T, backend backends.Backend) {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", boundVariable, backend.Name, processor))
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("bound to processor %d: %v: %s", processor, err, output)
		}
	})
}

func TestProcessorsRefused(t *testing.T) {
	for name, options := range map[string]backends.Options{
		"not there":    {Processors: []int{1000}},
		"far":          {Processors: []int{1 << 40}},
		"negative":     {Processors: []int{-1}},
		"none":         {Processors: []int{}},
		"more threads": {Processors: []int{0}, Threads: 2},
		"twice":        {Processors: []int{0, 0}},
	} {
		if err := backends.Check("go", options); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: %v, want bad input", name, err)
		}
	}
}
