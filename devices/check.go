package devices

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"time"
)

// State is how a check ended.
type State string

const (
	OK      State = "ok"
	Warning State = "warning" // measurements suffer
	Unknown State = "unknown" // the system does not publish it
)

// Check is one look at whether the host is fit to measure.
type Check struct {
	Name   string `json:"name"` // governor, clock, speed, …
	State  State  `json:"state"`
	Found  string `json:"found"`            // what is so
	Advice string `json:"advice,omitempty"` // what to do about it; empty where it is ok
}

// Use is what of the host will measure. The zero value is all of it.
type Use struct {
	Threads    int   // 0: one for each processor
	Processors []int // that the threads are bound to; nil: those that this process may use
}

// threads is the number of threads, on a host with this many processors for the process.
func (u Use) threads(processors int) int {
	switch {
	case u.Threads > 0:
		return u.Threads
	case len(u.Processors) > 0:
		return len(u.Processors)
	}
	return processors
}

// window is how long the host is watched.
const window = 400 * time.Millisecond

// Examine looks at what makes measurements on this host vary, watching it for half a second under a load of one thread.
// Nothing is changed, and what the system does not publish is Unknown.
func Examine(use Use) []Check { return examine(os.DirFS("/"), use) }

func examine(root fs.FS, use Use) []Check {
	before := look(root)
	pieces := busyLoop(window)
	after := look(root)
	return append(systemChecks(root, use, before, after), speedCheck(pieces), timerCheck(measureTimer(), clockSource(root)))
}

// Warnings are the checks that warn as printable lines that fit a table, shorter than 500 bytes.
func Warnings(checks []Check) []string {
	var list []string
	for _, c := range checks {
		if c.State == Warning {
			list = append(list, cleanTo(fmt.Sprintf("%s: %s; %s", c.Name, c.Found, c.Advice), maxWarning))
		}
	}
	return list
}

// maxWarning is the length of a warning in bytes, at most.
const maxWarning = 499

func ok(name, format string, a ...any) Check {
	return Check{Name: name, State: OK, Found: fmt.Sprintf(format, a...)}
}

func unknown(name, format string, a ...any) Check {
	return Check{Name: name, State: Unknown, Found: fmt.Sprintf(format, a...)}
}

// warning has what was found, and what to do about it.
func warning(name, advice, format string, a ...any) Check {
	return Check{Name: name, State: Warning, Found: fmt.Sprintf(format, a...), Advice: advice}
}

// Thresholds of the measured checks.
const (
	speedSpread = 0.03             // between the parts of the busy loop
	slowTimer   = time.Microsecond // resolution
	parts       = 8                // that the busy loop is cut into
)

// busyLoop computes on one thread for a while, and returns how long equal pieces of work took, in order.
func busyLoop(length time.Duration) []time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var pieces []time.Duration
	x := uint64(1)
	defer func() { runtime.KeepAlive(x) }() // or the compiler drops the work
	start := time.Now()
	for last := start; last.Sub(start) < length; {
		x = work(x)
		now := time.Now()
		pieces = append(pieces, now.Sub(last))
		last = now
	}
	return pieces
}

// work is a chain of operations, each waiting for the one before, so that its time follows the clock alone: about 1 ms.
func work(x uint64) uint64 {
	for range 250_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

// speedCheck compares the medians of the parts of a busy loop: a piece that was interrupted moves none, a clock that changes does.
func speedCheck(pieces []time.Duration) Check {
	const name = "speed"
	if len(pieces) < 2*parts {
		return unknown(name, "the busy loop came to %d pieces of work only", len(pieces))
	}
	var medians []float64
	for part := range parts {
		sorted := slices.Sorted(slices.Values(pieces[part*len(pieces)/parts : (part+1)*len(pieces)/parts]))
		medians = append(medians, float64(sorted[len(sorted)/2]))
	}
	fastest, slowest := slices.Min(medians), slices.Max(medians)
	spread := slowest/fastest - 1
	found := fmt.Sprintf("the parts of a busy loop of %v differ by %.1f %%", window, 100*spread)
	if spread > speedSpread {
		return warning(name, "fix the clock, cool the device, and close other programs; on a shared machine measure when it is quiet", "%s", found)
	}
	return ok(name, "%s", found)
}

// timer is what the clock of the program can tell.
type timer struct{ resolution, cost time.Duration }

// measureTimer reads the clock in a row: its resolution is the least step seen, its cost the mean time of a reading.
func measureTimer() timer {
	const readings = 20_000
	least := time.Duration(0)
	start := time.Now()
	last := start
	for range readings {
		now := time.Now()
		if step := now.Sub(last); step > 0 && (least == 0 || step < least) {
			least = step
		}
		last = now
	}
	return timer{least, last.Sub(start) / readings}
}

func timerCheck(t timer, source string) Check {
	const name = "timer"
	found := fmt.Sprintf("steps of %v, %v a reading", t.resolution, t.cost)
	if source != "" {
		found += ", from " + source
	}
	if t.resolution > slowTimer || t.cost > slowTimer {
		return warning(name, "let the kernel take the processor's own counter as clock source (tsc on amd64, arch_sys_counter on arm64)", "%s", found)
	}
	return ok(name, "%s", found)
}
