package gomlxrunner

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/op"
	"densenas/supernet/space"
)

// convolution is what the ways of writing an operation differ in.
type convolution struct {
	kind   space.Kind
	x      [4]int // dimensions of its input
	kernel int
	out    int // where the convolution is not depthwise
	stride int
}

// convolutionOf is that of an operation that [op.HasChoice]; of others it is the zero value.
func convolutionOf(o space.Op, batch int) convolution {
	if !op.HasChoice(o) {
		return convolution{}
	}
	x, _ := op.SpatialShapes(o, batch)
	c := convolution{o.Kind, [4]int(x), o.Kernel, 0, o.Stride}
	if o.Kind != space.MBConv {
		c.out = o.Out
	}
	return c
}

// Choose says how an operation is written fastest. Only its spatial convolution is timed, which is all that differs: that
// compiles sooner than whole operations, and many have the same. The answer is kept.
func (r *Runner) Choose(ctx context.Context, o space.Op) (op.Lowering, error) {
	err := r.choose(ctx, []space.Op{o})
	return r.chosen[convolutionOf(o, r.options.Batch)], err
}

// choose finds out how operations are written fastest. Of spatial convolutions that differ in channels and kernel alone it times
// few: those with the smallest and the largest kernel, and of them those with the fewest and the most channels. Where both ends of
// such a line are written alike, so is what lies in between, and else the line is halved.
func (r *Runner) choose(ctx context.Context, ops []space.Op) error {
	families := map[convolution]map[convolution]space.Op{} // by all but channels and kernel
	for i, o := range slices.Concat(ops, r.options.Plan) {
		c := convolutionOf(o, r.options.Batch)
		family := c
		family.x[3], family.kernel = 0, 0
		if !op.HasChoice(o) || i >= len(ops) && families[family] == nil {
			continue
		}
		if families[family] == nil {
			families[family] = map[convolution]space.Op{}
		}
		families[family][c] = o
	}
	var outer, inner [][]space.Op // lines
	for _, family := range families {
		kernels, channels := map[int][]convolution{}, map[int][]convolution{}
		for c := range family {
			kernels[c.kernel], channels[c.x[3]] = append(kernels[c.kernel], c), append(channels[c.x[3]], c)
		}
		line := func(members []convolution) []space.Op {
			slices.SortFunc(members, func(a, b convolution) int {
				return cmp.Or(cmp.Compare(a.kernel, b.kernel), cmp.Compare(a.x[3], b.x[3]))
			})
			var ops []space.Op
			for _, c := range members {
				ops = append(ops, family[c])
			}
			return ops
		}
		sizes := slices.Sorted(maps.Keys(kernels))
		outer = append(outer, line(kernels[sizes[0]]), line(kernels[sizes[len(sizes)-1]]))
		for _, members := range channels {
			inner = append(inner, line(members))
		}
	}
	for _, lines := range [][][]space.Op{outer, inner} {
		for {
			var next []space.Op
			for _, line := range lines {
				for _, o := range r.undecided(line) {
					if !slices.Contains(next, o) {
						next = append(next, o)
					}
				}
			}
			if len(next) == 0 {
				break
			}
			slices.SortFunc(next, func(a, b space.Op) int { return cmp.Compare(a.Key(), b.Key()) })
			if err := r.time(ctx, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// undecided are those of a line, which is ordered, that have to be timed next. It decides what follows from those that were timed:
// between two that are written alike all are.
func (r *Runner) undecided(ops []space.Op) []space.Op {
	known := func(o space.Op) (op.Lowering, bool) {
		l, ok := r.chosen[convolutionOf(o, r.options.Batch)]
		return l, ok
	}
	var next []space.Op
	last := len(ops) - 1
	for _, i := range slices.Compact([]int{0, last}) {
		if _, ok := known(ops[i]); !ok {
			next = append(next, ops[i])
		}
	}
	if len(next) > 0 {
		return next
	}
	for from := 0; from < last; {
		to := from + 1
		for _, ok := known(ops[to]); !ok; _, ok = known(ops[to]) {
			to++
		}
		below, _ := known(ops[from])
		if above, _ := known(ops[to]); to > from+1 && below != above {
			next = append(next, ops[(from+to)/2])
		} else {
			for _, o := range ops[from+1 : to] {
				r.chosen[convolutionOf(o, r.options.Batch)] = below
			}
		}
		from = to
	}
	return next
}

// time times the spatial convolutions of operations, each another one, and decides how they are written. It compiles each way of
// writing them, and then calls one after the other.
func (r *Runner) time(ctx context.Context, ops []space.Op) error {
	ways := op.Lowerings()
	var jobs []job
	defer func() { free(jobs) }()
	for _, o := range ops {
		in := r.inputs()
		for _, l := range ways {
			jobs = append(jobs, job{name: o.Key() + ", written as " + l.String(), inputs: in, build: func(in []*graph.Node) *graph.Node { return op.Spatial(o, l, in[0], in[1]) }})
		}
		x, kernel := op.SpatialShapes(o, r.options.Batch)
		for _, dims := range [][]int{x, kernel} {
			if err := in.add(1, dims...); err != nil {
				return fmt.Errorf("%s: %w", o.Key(), err)
			}
		}
	}
	if err := r.compileAll(ctx, jobs); err != nil {
		return err
	}
	for i, o := range ops {
		var best op.Lowering
		var shortest time.Duration
		for k, l := range ways {
			job := &jobs[i*len(ways)+k]
			took, err := job.call.try(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", job.name, err)
			}
			if k == 0 || took < shortest {
				best, shortest = l, took
			}
		}
		r.chosen[convolutionOf(o, r.options.Batch)] = best
	}
	return nil
}
