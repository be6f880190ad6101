package supernet

import (
	"fmt"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Role is what an executable does for its operation.
type Role uint8

const (
	// Forward adds weight · op(x) to an accumulator and keeps what the backward needs.
	Forward Role = iota
	// Evaluate is Forward without anything kept.
	Evaluate
	// WeightBackward returns the accumulated input gradient and updated weights.
	WeightBackward
	// ArchitectureBackward returns the accumulated input gradient and the inner product of the output and its gradient.
	ArchitectureBackward
)

// String returns the role's name.
func (r Role) String() string {
	return [...]string{"forward", "evaluate", "weight backward", "architecture backward"}[r]
}

// Executable identifies a compiled executable: all places with the same signature share it.
type Executable struct {
	Op   space.Op
	Role Role
}

// Statistics counts what a network has executed and compiled.
type Statistics struct {
	// Calls counts the calls of each executable.
	Calls map[Executable]int
	// Compiled is the number of executables.
	Compiled int
	// CompileTime is the time that first calls took, which is nearly all compilation.
	CompileTime time.Duration
}

// executables compiles on first use and caches.
type executables struct {
	backend    compute.Backend
	compiled   map[Executable]*Exec
	statistics Statistics
}

func newExecutables(b compute.Backend) *executables {
	return &executables{backend: b, compiled: map[Executable]*Exec{}, statistics: Statistics{Calls: map[Executable]int{}}}
}

// call runs the executable of key, building it by build on first use.
func (e *executables) call(key Executable, build func(in []*Node) []*Node, args ...any) ([]*tensors.Tensor, error) {
	exec := e.compiled[key]
	start := time.Now()
	if exec == nil {
		var err error
		if exec, err = NewExec(e.backend, build); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", key.Role, key.Op.Key(), err)
		}
		e.compiled[key] = exec
		e.statistics.Compiled++
		defer func() { e.statistics.CompileTime += time.Since(start) }()
	}
	e.statistics.Calls[key]++
	out, err := exec.Exec(args...)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", key.Role, key.Op.Key(), err)
	}
	return out, nil
}

func (e *executables) finalize() {
	for key, exec := range e.compiled {
		exec.Finalize()
		delete(e.compiled, key)
	}
}

// sgd is SGD with momentum and coupled L2 weight decay: v' = momentum·v + (gradient + decay·w), w' = w − rate·v'.
func sgd(w, v, gradient, rate *Node, momentum, decay float64) (updated, velocity *Node) {
	velocity = Add(MulScalar(v, momentum), Add(gradient, MulScalar(w, decay)))
	return Sub(w, Mul(rate, velocity)), velocity
}

// UpdateStatistics moves running statistics towards those of a batch by momentum, as batch norm does in training: packed
// as [op.Statistics] describes, the variance made unbiased for the number of rows of each batch norm.
func UpdateStatistics(o space.Op, running, batch *Node, samples int, momentum float64) *Node {
	var unbiased []float64
	for i, width := range op.NormWidths(o) {
		n := float64(samples * normResolution(o, i) * normResolution(o, i))
		correction := 1.0
		if n > 1 {
			correction = n / (n - 1)
		}
		for range width {
			unbiased = append(unbiased, 1)
		}
		for range width {
			unbiased = append(unbiased, correction)
		}
	}
	scale := ConstAsDType(batch.Graph(), batch.DType(), [][]float64{unbiased})
	return Add(MulScalar(running, 1-momentum), MulScalar(Mul(batch, scale), momentum))
}

// normResolution returns the resolution of the map that the i-th batch norm of o works on.
func normResolution(o space.Op, i int) int {
	if o.Kind == space.MBConv && o.Expansion > 1 && i == 0 {
		return o.Resolution
	}
	return o.OutResolution()
}
