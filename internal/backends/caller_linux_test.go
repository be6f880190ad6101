package backends_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"densenas/internal/backends"
)

// callerJob is the job of a process that calls a runtime from a bound thread.
const callerJob = "caller"

// boundCaller binds the calling thread to the last processor and all others to the rest, and takes that back. Then it takes all
// processors for threads that compute: none has one of its own.
func boundCaller() error {
	before, last, err := allowed()
	if err != nil {
		return err
	}
	var computing unix.CPUSet
	computing.Set(last)
	rest := before
	rest.Clear(last)
	caller, err := backends.BindCaller(backends.Options{Threads: 1})
	if err != nil {
		return err
	}
	here := unix.Gettid() // the thread that is kept from now on
	if len(caller.Others) != 0 || runtime.GOMAXPROCS(0) != rest.Count()+1 {
		return fmt.Errorf("processors %v for others, GOMAXPROCS %d", caller.Others, runtime.GOMAXPROCS(0))
	}
	if err := threadsAreOn(here, computing, rest); err != nil {
		return err
	}
	caller.Release()
	if err := threadsAreOn(here, before, before); err != nil {
		return fmt.Errorf("after the end: %w", err)
	}
	all := before.Count()
	if caller, err = backends.BindCaller(backends.Options{Threads: all}); err != nil {
		return err
	}
	defer caller.Release()
	if len(caller.Others) != 0 {
		return fmt.Errorf("processors %v for others of %d threads, which are all", caller.Others, all)
	}
	return threadsAreOn(here, before, before)
}

// threadsAreOn looks at where the threads of the process may run: one, and all others.
func threadsAreOn(thread int, its, others unix.CPUSet) error {
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(tasks) < 2 {
		return fmt.Errorf("%d threads, %v", len(tasks), err)
	}
	for _, path := range tasks {
		id, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return err
		}
		want := others
		if id == thread {
			want = its
		}
		var on unix.CPUSet
		if err := unix.SchedGetaffinity(id, &on); err != nil || on != want {
			return fmt.Errorf("thread %d may run on %v, want %v, %v", id, on, want, err)
		}
	}
	return nil
}

func TestCallerComputesWhereNothingElseRuns(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("this process may use one processor only")
	}
	inProcess(t, callerJob)
}

func TestCallerWithoutALimitIsNotBound(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	caller, err := backends.BindCaller(backends.Options{})
	if err != nil || caller.Others != nil || runtime.GOMAXPROCS(0) != before {
		t.Errorf("%+v, %v, GOMAXPROCS %d", caller, err, runtime.GOMAXPROCS(0))
	}
	caller.Release()
}
