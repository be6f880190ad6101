package supernet

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/internal/backends/backendstest"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

func TestNothingIsCompiledAfterAllWas(t *testing.T) {
	s := testSpace(t)
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 4, Seed: 1, Momentum: 0.9})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	keys := append(n.Executables(Update), n.Executables(Backward)...)
	var last int
	if err := n.Compile(t.Context(), keys, func(done, total int) {
		if done != last+1 || total != len(keys) {
			t.Errorf("progress %d of %d after %d of %d", done, total, last, len(keys))
		}
		last = done
	}); err != nil {
		t.Fatal(err)
	}
	before, batch := n.Statistics().Compiled, fixedBatch(s, 4)
	for k := range 2 {
		if _, err := n.WeightStep(batch, choiceOf(s, single(k)), 0.1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.ArchitectureStep(batch, choiceOf(s, mixed)); err != nil {
			t.Fatal(err)
		}
	}
	after := n.Statistics()
	if last != len(keys) || after.Compiled != before {
		t.Errorf("%d of %d were ready; steps compiled %d more", last, len(keys), after.Compiled-before)
	}
	listed := map[Executable]bool{}
	for _, key := range keys {
		listed[key] = true
	}
	for key := range after.Executables {
		if !listed[key] {
			t.Errorf("%s was called, but is not listed", key)
		}
	}
	n.ResetCalls()
	if got := len(n.Statistics().Executables); got != 0 {
		t.Errorf("%d executables have calls after a reset", got)
	}
}

func TestAFailureEndsTheStep(t *testing.T) {
	s := testSpace(t)
	bad := s.StackOps(1)[0]
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 4, Seed: 1, Lowering: func(o space.Op) op.Lowering {
		if o == bad {
			panic(errors.New("no lowering of it"))
		}
		return op.Taps
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	_, err = n.WeightStep(fixedBatch(s, 4), choiceOf(s, single(0)), 0.1)
	if err == nil || !strings.Contains(err.Error(), bad.Key()) || !strings.Contains(err.Error(), "no lowering of it") {
		t.Errorf("error %v, want one that names %s", err, bad.Key())
	}
	if _, err = n.WeightStep(fixedBatch(s, 4), choiceOf(s, single(1)), 0.1); err != nil {
		t.Errorf("a step that does without it: %v", err)
	}
}

func TestUrgentProgramsOvertake(t *testing.T) {
	backend := backendstest.Go(t).Backend
	start, order := make(chan struct{}), make(chan Executable, 3)
	e := newExecutables(func(key Executable) program {
		<-start
		order <- key
		p := program{build: func(in []*Node) []*Node { return []*Node{AddScalar(in[0], 1)} }}
		p.floats(nil)
		return p
	}, func(Executable) compute.Backend { return backend })
	e.compilers = 1
	key := func(k int) Executable { return Executable{Op: space.Op{Kind: space.Skip, In: k}} }
	e.request([]Executable{key(0), key(1)}, false)
	e.request([]Executable{key(2), key(1)}, true)
	close(start)
	if err := e.await(t.Context(), []Executable{key(0), key(1), key(2)}, nil); err != nil {
		t.Fatal(err)
	}
	first := <-order
	// The one worker may have begun the first before the others became urgent.
	if first == key(0) {
		first = <-order
	}
	if first != key(2) || <-order != key(1) {
		t.Errorf("what is urgent was not compiled first")
	}
	e.finalize()
	if _, err := e.wait(key(3)); !errors.Is(err, errFinalized) {
		t.Errorf("after the end: %v", err)
	}
	if err := e.await(context.Background(), []Executable{key(0)}, nil); !errors.Is(err, errFinalized) {
		t.Errorf("after the end: %v", err)
	}
}
