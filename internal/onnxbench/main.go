// Onnxbench holds the profiler's calls of ONNX Runtime against those from Python, the peer: the same operations in turns, so that what
// disturbs the machine hits both alike. Batch 1. The ratio of each turn's medians is taken, and the median of these.
//
// The peer is a file in Python, run by an interpreter that has onnxruntime and onnx: see peer.py. Run it by scripts/onnx_benchmark.sh.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"densenas/internal/allocator"
	"densenas/internal/backends"
	"densenas/internal/onnxruntime"
	"densenas/profiler"
	"densenas/profiler/onnxrunner"
	"densenas/supernet/space"
)

//go:embed peer.py
var harness string

func main() {
	allocator.Keep() // as the profiler does
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "onnxbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("onnxbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("peer", "../shared/peer/ops_peer.py", "the peer, a file in Python")
	python := flags.String("python", "python3", "an interpreter that has onnxruntime and onnx")
	threads := flags.Int("threads", 1, "threads of ONNX Runtime")
	rounds := flags.Int("rounds", 7, "turns of each operation")
	seconds := flags.Float64("seconds", 0.3, "length of a turn")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := startPeer(ctx, *python, *file, *threads, stderr)
	if err != nil {
		return err
	}
	defer p.close()
	r, err := onnxruntime.Open("")
	if err != nil {
		return err
	}
	bind := backends.Options{Threads: *threads}
	if err := backends.Check(backends.Go, bind); err != nil {
		return err
	}
	caller, err := backends.BindCaller(bind)
	if err != nil {
		return err
	}
	defer caller.Release()
	runner, err := onnxrunner.New(r, onnxrunner.Options{Batch: 1, Seed: 1, Settings: onnxruntime.Settings{Threads: *threads, Processors: caller.Others}})
	if err != nil {
		return err
	}
	compiled, err := runner.Ops(ctx, p.ops)
	if err != nil {
		return err
	}
	for _, c := range compiled {
		defer c.Call.Close()
	}
	fmt.Fprintf(stdout, "ONNX Runtime %s, %d threads, %d turns of %g s\n", r.Version, *threads, *rounds, *seconds)
	ours, theirs, ratios := make([][]float64, len(p.ops)), make([][]float64, len(p.ops)), make([][]float64, len(p.ops))
	for range *rounds {
		for i := range p.ops {
			our, err := medianMS(ctx, compiled[i].Call, time.Duration(*seconds*float64(time.Second)))
			if err != nil {
				return err
			}
			their, err := p.medianMS(i, *seconds)
			if err != nil {
				return err
			}
			ours[i], theirs[i], ratios[i] = append(ours[i], our), append(theirs[i], their), append(ratios[i], our/their)
		}
	}
	var all []float64
	ourTotal, theirTotal := 0.0, 0.0
	for i, op := range p.ops {
		our, their := median(ours[i]), median(theirs[i])
		ourTotal, theirTotal, all = ourTotal+our, theirTotal+their, append(all, median(ratios[i]))
		fmt.Fprintf(stdout, "%-30s ours %.4f ms, from Python %.4f ms, ratio %.3f\n", op.Key(), our, their, median(ratios[i]))
	}
	fmt.Fprintf(stdout, "total: ours %.3f ms, from Python %.3f ms; median ratio %.3f\n", ourTotal, theirTotal, median(all))
	return nil
}

// medianMS is the median time of a call, in ms, over so long a time, after two that do not count; of five at least.
func medianMS(ctx context.Context, call profiler.Call, limit time.Duration) (float64, error) {
	const fewest, cold = 5, 2
	var laps []float64
	for start, n := time.Now(), 0; time.Since(start) < limit || n < fewest+cold; n++ {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		took, err := call.Run()
		if err != nil {
			return 0, err
		}
		if n >= cold {
			laps = append(laps, float64(took)/float64(time.Millisecond))
		}
	}
	return median(laps), nil
}

// median reorders values.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// peer is the other side, a process.
type peer struct {
	ops     []space.Op
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func startPeer(ctx context.Context, python, file string, threads int, stderr io.Writer) (*peer, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("%w; name a peer by --peer", err)
	}
	// The program is an argument, for standard input has the questions.
	p := &peer{command: exec.CommandContext(ctx, python, "-c", harness, file, strconv.Itoa(threads))}
	p.command.Stderr = stderr
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("%w; name an interpreter by --python", err)
	}
	p.out = bufio.NewScanner(out)
	var list [][6]int
	line, err := p.answer()
	if err == nil {
		err = json.Unmarshal([]byte(line), &list)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("the peer %s gives no operations: %w", file, err)
	}
	for _, o := range list {
		op := space.Op{Kind: space.MBConv, Resolution: o[0], In: o[1], Out: o[2], Kernel: o[3], Expansion: o[4], Stride: o[5]}
		if err := op.Check(); err != nil {
			p.close()
			return nil, fmt.Errorf("the peer %s: operation %v: %w", file, o, err)
		}
		p.ops = append(p.ops, op)
	}
	return p, nil
}

func (p *peer) answer() (string, error) {
	if !p.out.Scan() {
		if err := p.out.Err(); err != nil {
			return "", err
		}
		return "", io.ErrUnexpectedEOF
	}
	return p.out.Text(), nil
}

// medianMS asks for the median time of a call of an operation, in ms.
func (p *peer) medianMS(op int, seconds float64) (float64, error) {
	if _, err := fmt.Fprintln(p.in, op, seconds); err != nil {
		return 0, fmt.Errorf("ask the peer: %w", err)
	}
	line, err := p.answer()
	if err != nil {
		return 0, fmt.Errorf("the peer does not answer: %w", err)
	}
	ms, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	if err != nil || !(ms > 0) {
		return 0, fmt.Errorf("the peer answers %.40q, expected a time in ms", line)
	}
	return ms, nil
}

// close ends the process.
func (p *peer) close() {
	p.in.Close()
	_ = p.command.Wait() // what it has to say is on standard error
}
