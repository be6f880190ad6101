package main

import (
	"context"

	"densenas/lut"
	"densenas/profiler"
	"densenas/profiler/gomlxrunner"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// lowerings makes executables on a GoMLX backend. In a network operations are written as a table's entries say, others in the way that
// is faster alone.
type lowerings struct {
	*gomlxrunner.Runner
	named  map[string]op.Lowering // by key
	chosen map[space.Op]op.Lowering
}

// newLowerings takes a table that may be nil.
func newLowerings(r *gomlxrunner.Runner, t *lut.Table) *lowerings {
	l := &lowerings{r, map[string]op.Lowering{}, map[space.Op]op.Lowering{}}
	if t == nil {
		return l
	}
	for i := range t.Entries {
		for _, lowering := range op.Lowerings() {
			if t.Entries[i].Lowering == lowering.String() {
				l.named[t.Entries[i].Key] = lowering
			}
		}
	}
	return l
}

// of finds how the operations of a network are written.
func (l *lowerings) of(ctx context.Context, a *space.Architecture) (func(space.Op) op.Lowering, error) {
	for _, layer := range a.Counts() {
		if _, known := l.chosen[layer.Op]; known || !op.HasChoice(layer.Op) {
			continue
		}
		lowering, known := l.named[layer.Op.Key()]
		if !known {
			var err error
			if lowering, err = l.Choose(ctx, layer.Op); err != nil {
				return nil, err
			}
		}
		l.chosen[layer.Op] = lowering
	}
	return func(o space.Op) op.Lowering { return l.chosen[o] }, nil
}

// Network compiles a whole architecture.
func (l *lowerings) Network(ctx context.Context, a *space.Architecture) (profiler.Call, error) {
	written, err := l.of(ctx, a)
	if err != nil {
		return nil, err
	}
	return l.Runner.Network(a, written)
}
