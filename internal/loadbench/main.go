//go:build unix

// Loadbench shows what the profiler's sentinel does on a device whose neighbours come and go: how far the medians of
// operations move when other processes are busy for 5 s and quiet for 5 s, in the profiler and in a plain loop that calls one
// operation after the other for as long. The reference of each is itself, undisturbed, on the same device. Two profiles are compared
// as "profiler diff --corrected" does: by what the sentinel took in each, too.
//
// It starts its neighbours itself, one for each processor that it may use, and ends them. Run it by scripts/load_benchmark.sh.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"syscall"
	"time"

	"densenas/internal/backends"
	"densenas/profiler"
	"densenas/profiler/gomlxrunner"
	"densenas/supernet/space"
)

// burn is the argument that makes the program a neighbour.
const burn = "burn"

// period is how long neighbours are busy, and then quiet.
const period = 5 * time.Second

func main() {
	if len(os.Args) == 2 && os.Args[1] == burn {
		for {
			runtime.Gosched()
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "loadbench:", err)
		os.Exit(1)
	}
}

// bench measures the same operations in different ways.
type bench struct {
	runner   *gomlxrunner.Runner
	items    []space.OpCount
	sentinel space.Op
	policy   profiler.Policy
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("loadbench", flag.ContinueOnError)
	backend := flags.String("backend", "go", "backend: go or xla")
	spaceName := flags.String("space", "tiny", "space whose operations are measured")
	only := flags.String("only", "mbconv_k3_t3_*_r8", "pattern of their keys")
	repeats := flags.Int("repeats", 10, "repetitions of all")
	limit := flags.Duration("limit", 1500*time.Millisecond, "time for an operation")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s, err := space.Load(*spaceName)
	if err != nil {
		return err
	}
	plan, err := profiler.NewPlan([]*space.Space{s}, nil).Only(*only)
	if err != nil {
		return err
	}
	opened, err := backends.Open(*backend)
	if err != nil {
		return err
	}
	defer opened.Finalize()
	b := bench{items: plan.Items, policy: profiler.DefaultPolicy()}
	b.policy.Limit = *limit
	if b.runner, err = gomlxrunner.New(opened.Backend, gomlxrunner.Options{Batch: 1, Seed: b.policy.Seed}); err != nil {
		return err
	}
	b.sentinel, _ = profiler.SentinelOf(plan.Items)
	fmt.Fprintf(stderr, "%d operations on %s, %d neighbours\n", len(plan.Items), opened.Name, runtime.NumCPU())

	var watched, observed, plain, ratios []float64
	for i := range *repeats {
		moves, asObserved := make([]float64, 2), 0.0
		for k, measure := range []func(context.Context) (medians, error){b.profile, b.loop} {
			quiet, err := measure(ctx)
			if err != nil {
				return err
			}
			end, err := neighbours()
			if err != nil {
				return err
			}
			disturbed, err := measure(ctx)
			end()
			if err != nil {
				return err
			}
			moves[k] = move(quiet, disturbed)
			if k == 0 {
				quiet.sentinel, disturbed.sentinel = 1, 1
				asObserved = move(quiet, disturbed)
			}
		}
		watched, observed, plain, ratios = append(watched, moves[0]), append(observed, asObserved), append(plain, moves[1]), append(ratios, moves[0]/moves[1])
		fmt.Fprintf(stdout, "repeat %d: medians move by %.1f %% with the sentinel (%.1f %% before the profiles are compared by it), by %.1f %% in a plain loop\n", i+1, 100*moves[0], 100*asObserved, 100*moves[1])
	}
	fmt.Fprintf(stdout, "median of %d repeats: %.1f %% with the sentinel (%.1f %%), %.1f %% in a plain loop, ratio %.2f\n", *repeats, 100*median(watched), 100*median(observed), 100*median(plain), median(ratios))
	return nil
}

// medians are what operations took, in ms.
type medians struct {
	ms       map[space.Op]float64
	sentinel float64 // what the sentinel took in the same run; 1 without one
}

// profile measures as the profiler does.
func (b bench) profile(ctx context.Context) (medians, error) {
	job := profiler.Job{Items: b.items, Sentinel: b.sentinel, Log: &profiler.Log{}}
	if err := profiler.Profile(ctx, b.runner, job, b.policy, profiler.Observer{}); err != nil {
		return medians{}, err
	}
	found := medians{map[space.Op]float64{}, job.Log.Reference()}
	for _, m := range job.Log.Measurements() {
		found.ms[m.Op] = m.MedianMS
	}
	return found, nil
}

// loop calls one operation after the other.
func (b bench) loop(ctx context.Context) (medians, error) {
	found := medians{map[space.Op]float64{}, 1}
	for _, item := range b.items {
		compiled, err := b.runner.Ops(ctx, []space.Op{item.Op})
		if err != nil {
			return medians{}, err
		}
		call := compiled[0].Call
		var times []float64
		for spent := time.Duration(0); err == nil && spent < b.policy.Settle+b.policy.Limit; err = ctx.Err() {
			took, failed := call.Run()
			if failed != nil {
				err = failed
				break
			}
			if spent += took; spent > b.policy.Settle {
				times = append(times, took.Seconds()*1000)
			}
		}
		call.Close()
		if err != nil {
			return medians{}, err
		}
		found.ms[item.Op] = median(times)
	}
	return found, nil
}

// neighbours are busy for 5 s, beginning in the middle of it, and quiet for 5 s, until the function that it returns is called.
func neighbours() (end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var all []*exec.Cmd
	signalAll := func(s os.Signal) {
		for _, c := range all {
			c.Process.Signal(s)
		}
	}
	stopAll := func() {
		signalAll(syscall.SIGKILL)
		for _, c := range all {
			c.Wait()
		}
	}
	for range runtime.NumCPU() {
		c := exec.Command(self, burn)
		c.Env = append(os.Environ(), "GOMAXPROCS=1")
		if err := c.Start(); err != nil {
			stopAll()
			return nil, err
		}
		all = append(all, c)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(period / 2)
		for busy := true; ; busy = !busy {
			select {
			case <-done:
				return
			case <-timer.C:
			}
			if busy {
				signalAll(syscall.SIGSTOP)
			} else {
				signalAll(syscall.SIGCONT)
			}
			timer.Reset(period)
		}
	}()
	return func() {
		close(done)
		<-ended
		stopAll()
	}, nil
}

// move is the mean of how far medians differ, relative, beyond what the sentinel tells of the device.
func move(quiet, disturbed medians) float64 {
	total, slower := 0.0, disturbed.sentinel/quiet.sentinel
	for op, ms := range quiet.ms {
		total += math.Abs(disturbed.ms[op]/slower/ms-1) / float64(len(quiet.ms))
	}
	return total
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
