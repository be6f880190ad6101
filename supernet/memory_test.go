package supernet

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// TestMemoryIsFlat fits a line through the memory of 2,000 steps: what the device holds is invisible to Go's collector, so a
// tensor that nobody frees shows only here.
func TestMemoryIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("2,000 steps take a quarter of a minute")
	}
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skipf("the system does not tell the memory of a process: %v", err)
	}
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.WithResolution(16); err != nil {
		t.Fatal(err)
	}
	// One candidate of each kind: compiling all of them is what would take the time.
	s.HeadCandidates, s.StackCandidates = s.HeadCandidates[:1], []space.Candidate{s.StackCandidates[0], {Kind: space.Skip}}
	n, err := New(backendstest.XLA(t).Backend, s, Options{Batch: 4, Seed: 1, Momentum: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	if err := n.Materialize(); err != nil {
		t.Fatal(err)
	}
	batch, r := fixedBatch(s, 4), rand.New(rand.NewPCG(1, 1))
	all := func(n int) []Pick {
		if n == 1 {
			return []Pick{{Candidate: 0, Weight: 1}}
		}
		return mixed(n)
	}
	step := func(i int) {
		if i%2 == 0 {
			_, err = n.WeightStep(batch, choiceOf(s, func(n int) []Pick { return []Pick{{Candidate: r.IntN(n), Weight: 1}} }), 0.01)
		} else {
			_, _, err = n.ArchitectureStep(batch, choiceOf(s, all))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 { // compiles, and allocates momentum
		step(i)
	}
	const steps, every = 2000, 10
	var x, y []float64
	for i := range steps {
		step(i)
		if i%every == 0 {
			x, y = append(x, float64(i)/100), append(y, residentMB(t))
		}
	}
	if growth := slope(x, y); growth > 1 {
		t.Errorf("memory grew by %.2f MB per 100 steps, from %.0f to %.0f MB", growth, y[0], y[len(y)-1])
	}
}

// residentMB reads the resident memory of this process.
func residentMB(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// slope is that of the line of least squares.
func slope(x, y []float64) float64 {
	var mx, my, xy, xx float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(y))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	return xy / xx
}
