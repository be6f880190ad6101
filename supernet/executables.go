package supernet

import (
	"fmt"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

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
	out, err := exec.Call(args...)
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
