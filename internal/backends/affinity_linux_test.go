package backends_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"golang.org/x/sys/unix"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
)

// The binding is of the whole process and for good, so it is tried in processes of its own: this variable, RUNTIME named, RUNTIME awake or RUNTIME
// counted, makes the test binary one of them.
const boundVariable = "DENSENAS_TEST_BOUND"

func TestMain(m *testing.M) {
	if job := os.Getenv(boundVariable); job != "" {
		work := bound
		if job == callerJob {
			work = func(string) error { return boundCaller() }
		}
		if err := work(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// allowed are the processors that this process may use, and the last of them: a binding that does nothing, or takes the first ones, is
// seen.
func allowed() (all unix.CPUSet, last int, err error) {
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return all, 0, err
	}
	for n := range len(all) * 64 {
		if all.IsSet(n) {
			last = n
		}
	}
	return all, last, nil
}

// bound opens a runtime on one processor, computes with it, starts threads, and looks at where all threads may run. Where the
// processor is named, that is it; where XLA is asked for one thread, only the thread that computes is on it.
func bound(job string) (err error) {
	spec, way, _ := strings.Cut(job, " ")
	others, last, err := allowed()
	if err != nil {
		return err
	}
	var computing unix.CPUSet
	computing.Set(last)
	options := backends.Options{Threads: 1, Awake: way == "awake"}
	if way == "named" {
		options, others = backends.Options{Processors: []int{last}}, computing
	} else {
		others.Clear(last)
	}
	backend, err := backends.OpenWith(spec, options)
	if err != nil {
		return err
	}
	defer func() {
		backend.Finalize()
		idle, failed := idleThreads(nil)
		for deadline := time.Now().Add(time.Minute); failed == nil && idle > 0 && time.Now().Before(deadline); idle, failed = idleThreads(nil) {
			runtime.Gosched() // a thread ends a moment after its work
		}
		if err == nil && (failed != nil || idle != 0) {
			err = fmt.Errorf("%d threads keep processors awake after the end, %v", idle, failed)
		}
	}()
	if way == "awake" { // one of the others
		if err := unix.SchedGetaffinity(0, &others); err != nil || others.Count() != 1 || others.IsSet(last) {
			return fmt.Errorf("this thread is on %v, %v", others, err)
		}
	}
	if threads := runtime.GOMAXPROCS(0); threads != others.Count() {
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
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(tasks) < 9 {
		return fmt.Errorf("%d threads, %v", len(tasks), err)
	}
	pool, elsewhere := 0, 0 // threads of XLA, which names some so; threads that are not where it computes
	for _, path := range tasks {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return err
		}
		var on unix.CPUSet
		name, failed := os.ReadFile(path + "/comm")
		if err := errors.Join(failed, unix.SchedGetaffinity(id, &on)); errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it ended
		} else if err != nil {
			return err
		}
		if on != computing && on != others {
			return fmt.Errorf("%s: may run on %v of %d threads", path, on, len(tasks))
		}
		if on != computing {
			elsewhere++
		}
		if strings.HasPrefix(string(name), "tf_XLA") {
			if pool++; on != computing {
				return fmt.Errorf("a thread that computes may run on %v", on)
			}
		}
	}
	if way == "awake" {
		for _, on := range []unix.CPUSet{computing, others} {
			if idle, err := idleThreads(&on); err != nil || idle != 1 {
				return fmt.Errorf("%d threads keep a processor awake, %v", idle, err)
			}
		}
	}
	if pool > 1 {
		return fmt.Errorf("XLA made %d threads for one processor", pool)
	}
	if way == "counted" && elsewhere < 9 {
		return fmt.Errorf("only %d of %d threads are not where XLA computes", elsewhere, len(tasks))
	}
	return nil
}

// idleThreads counts the threads that give way to any other, on exactly these processors; nil: anywhere.
func idleThreads(processors *unix.CPUSet) (n int, err error) {
	tasks, err := filepath.Glob("/proc/self/task/*")
	for _, path := range tasks {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return 0, err
		}
		var on unix.CPUSet
		attributes, err := unix.SchedGetAttr(id, 0)
		if err := errors.Join(err, unix.SchedGetaffinity(id, &on)); errors.Is(err, unix.ESRCH) {
			continue // it ended
		} else if err != nil {
			return 0, err
		}
		if attributes.Policy == unix.SCHED_IDLE && (processors == nil || on == *processors) {
			n++
		}
	}
	return n, err
}

func TestAwakeProcessorsDoNotSleep(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("this process may use one processor only")
	}
	inProcess(t, backendstest.XLA(t).Name+" awake")
}

func TestProcessorsBindEveryThread(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Logf("this process may use one processor only: the binding changes nothing here")
	}
	backendstest.Each(t, func(t *testing.T, backend backends.Backend) { inProcess(t, backend.Name+" named") })
}

// inProcess runs a job in a process of its own.
func inProcess(t *testing.T, job string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), boundVariable+"="+job)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", job, err, output)
	}
}

func TestXLAComputesWhereNothingElseRuns(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("this process may use one processor only")
	}
	inProcess(t, backendstest.XLA(t).Name+" counted")
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
