package supernet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/support/exceptions"

	transfer "densenas/internal/device"
	"densenas/supernet/mesh"
	"densenas/supernet/space"
)

// Role is what an executable does for its operation.
type Role uint8

const (
	// Forward adds weight · op(x) to an accumulator and keeps what the backward needs.
	Forward Role = iota
	// Evaluate is Forward without anything kept.
	Evaluate
	// Backward returns the accumulated input gradient, the inner product of the output and its gradient, and what [Update] needs.
	// An architecture step ends with it. A classifier's does all from the forward on.
	Backward
	// Update returns updated weights; a weight step ends with it. No other operation waits for it. A classifier's does all from the
	// forward on.
	Update
)

// String returns the role's name.
func (r Role) String() string {
	return [...]string{"forward", "evaluate", "backward", "update"}[r]
}

// Executable identifies a compiled executable: all places with the same signature share it.
type Executable struct {
	Op   space.Op
	Role Role
}

// String names the executable in messages.
func (e Executable) String() string { return fmt.Sprintf("%s of %s", e.Role, e.Op.Key()) }

// Usage is what the calls of one executable came to.
type Usage struct {
	Calls int
	Time  time.Duration // of all calls, compilation left out
	Bytes int64         // of one call's arguments and results
}

// Statistics counts what a network has executed and compiled.
type Statistics struct {
	// Executables are those that were called.
	Executables map[Executable]Usage
	// Compiled is the number of executables that are ready.
	Compiled int
	// CompileTime is the time that compiling took, added up over all that compiled at once.
	CompileTime time.Duration
}

var errFinalized = errors.New("the super network is finalized")

// executables compiles programs in the background, in the order in which they are asked for, and calls them.
type executables struct {
	program   func(Executable) program
	backend   func(Executable) compute.Backend
	compilers int // programs that are compiled at once

	mu         sync.Mutex
	entries    map[Executable]*compiled
	urgent     []Executable // waited for by a step, in the order of its calls
	ahead      []Executable // for later
	working    int
	closed     bool
	workers    sync.WaitGroup
	statistics Statistics
}

// compiled is one executable, before and after it is ready.
type compiled struct {
	begun bool
	ready chan struct{} // closed when the rest is final
	code  compute.Executable
	err   error
	bytes int64 // of arguments and results
}

func newExecutables(p func(Executable) program, b func(Executable) compute.Backend) *executables {
	return &executables{
		program: p, backend: b,
		compilers:  min(4, runtime.GOMAXPROCS(0)), // XLA itself uses several threads for some of the time
		entries:    map[Executable]*compiled{},
		statistics: Statistics{Executables: map[Executable]Usage{}},
	}
}

// request has the executables compiled, before all that was requested for later if they are urgent.
func (e *executables) request(keys []Executable, urgent bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	var waiting []Executable
	for _, key := range keys {
		entry := e.entries[key]
		if entry == nil {
			entry = &compiled{ready: make(chan struct{})}
			e.entries[key] = entry
		} else if entry.begun || !urgent {
			continue
		}
		waiting = append(waiting, key)
	}
	if urgent {
		e.urgent = append(waiting, e.urgent...)
	} else {
		e.ahead = append(e.ahead, waiting...)
	}
	for e.working < e.compilers && e.working < len(e.urgent)+len(e.ahead) {
		e.working++
		e.workers.Go(e.work)
	}
}

// work compiles until nothing waits.
func (e *executables) work() {
	for {
		e.mu.Lock()
		key, ok := e.next()
		if !ok {
			e.working--
			e.mu.Unlock()
			return
		}
		entry := e.entries[key]
		entry.begun = true
		e.mu.Unlock()

		start := time.Now()
		entry.code, entry.bytes, entry.err = e.compile(key)
		e.mu.Lock()
		e.statistics.CompileTime += time.Since(start)
		if entry.err == nil {
			e.statistics.Compiled++
		}
		e.mu.Unlock()
		close(entry.ready)
	}
}

// next takes the first that has not begun.
func (e *executables) next() (Executable, bool) {
	for _, queue := range []*[]Executable{&e.urgent, &e.ahead} {
		for len(*queue) > 0 {
			key := (*queue)[0]
			*queue = (*queue)[1:]
			if !e.entries[key].begun {
				return key, true
			}
		}
	}
	return Executable{}, false
}

// compile also returns the bytes of arguments and results.
func (e *executables) compile(key Executable) (code compute.Executable, bytes int64, err error) {
	err = exceptions.TryCatch[error](func() {
		p := e.program(key)
		b := &transfer.Capture{Backend: e.backend(key)}
		g := NewGraph(b, key.String())
		if err := mesh.Join(g, e.backend(key)); err != nil {
			panic(err)
		}
		in := make([]*Node, len(p.inputs))
		for i, shape := range p.inputs {
			in[i] = Parameter(g, fmt.Sprintf("in%d", i), shape)
			bytes += shape.ByteSize()
		}
		out := p.build(in)
		for _, node := range out {
			bytes += node.Shape().ByteSize()
		}
		if err := g.Compile(out...); err != nil {
			panic(err)
		}
		code = b.Code
	})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", key, err)
	}
	return code, bytes, nil
}

// wait returns an executable when it is ready.
func (e *executables) wait(key Executable) (*compiled, error) {
	e.mu.Lock()
	entry := e.entries[key]
	e.mu.Unlock()
	if entry == nil {
		e.request([]Executable{key}, true)
		e.mu.Lock()
		entry = e.entries[key]
		e.mu.Unlock()
		if entry == nil {
			return nil, errFinalized
		}
	}
	<-entry.ready
	return entry, entry.err
}

// call runs the executable of key with tensors of the program's shapes.
func (e *executables) call(key Executable, args []*tensors.Tensor) (out []*tensors.Tensor, err error) {
	entry, err := e.wait(key)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	err = exceptions.TryCatch[error](func() {
		buffers := make([]compute.Buffer, len(args))
		for i, arg := range args {
			if buffers[i], err = arg.Buffer(e.backend(key), 0); err != nil {
				panic(err)
			}
		}
		results, err := entry.code.Execute(buffers, nil, 0)
		if err != nil {
			panic(err)
		}
		for _, buffer := range results {
			t, err := tensors.FromBuffer(buffer)
			if err != nil {
				panic(err)
			}
			out = append(out, t)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	took := time.Since(start)
	e.mu.Lock()
	u := e.statistics.Executables[key]
	e.statistics.Executables[key] = Usage{Calls: u.Calls + 1, Time: u.Time + took, Bytes: entry.bytes}
	e.mu.Unlock()
	return out, nil
}

// await waits until all executables are ready, and calls progress, where it is not nil, with how many are.
func (e *executables) await(ctx context.Context, keys []Executable, progress func(done, total int)) error {
	for i, key := range keys {
		e.mu.Lock()
		entry := e.entries[key]
		e.mu.Unlock()
		if entry == nil {
			return errFinalized
		}
		select {
		case <-entry.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if entry.err != nil {
			return entry.err
		}
		if progress != nil {
			progress(i+1, len(keys))
		}
	}
	return nil
}

// snapshot returns the statistics so far.
func (e *executables) snapshot() Statistics {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.statistics
	s.Executables = maps.Clone(s.Executables)
	return s
}

// reset forgets the calls so far.
func (e *executables) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.statistics.Executables)
}

// finalize drops what waits, lets what is being compiled end, and frees all.
func (e *executables) finalize() {
	e.mu.Lock()
	e.closed = true
	for _, key := range slices.Concat(e.urgent, e.ahead) {
		if entry := e.entries[key]; !entry.begun {
			entry.begun, entry.err = true, errFinalized
			close(entry.ready)
		}
	}
	e.urgent, e.ahead = nil, nil
	e.mu.Unlock()
	e.workers.Wait()
	for _, entry := range e.entries {
		if entry.code != nil {
			entry.code.Finalize()
		}
	}
	clear(e.entries)
}
