package profiler

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// Plan lists the distinct operations to measure, in the order of the networks they come from.
type Plan struct {
	// Items are the operations, each with the number of places where it stands, over all spaces and architectures.
	Items []space.OpCount
	// Resolutions are the sides of the network inputs, ascending.
	Resolutions []int
}

// NewPlan collects the operations of spaces, with every candidate at every place, and of single architectures.
func NewPlan(spaces []*space.Space, architectures []*space.Architecture) Plan {
	var p Plan
	index := map[space.Op]int{}
	add := func(resolution int, counts []space.OpCount) {
		p.Resolutions = append(p.Resolutions, resolution)
		for _, c := range counts {
			i, known := index[c.Op]
			if !known {
				i = len(p.Items)
				index[c.Op] = i
				p.Items = append(p.Items, space.OpCount{Op: c.Op})
			}
			p.Items[i].Count += c.Count
		}
	}
	for _, s := range spaces {
		add(s.Resolution, s.Ops())
	}
	for _, a := range architectures {
		add(a.Resolution, a.Counts())
	}
	slices.Sort(p.Resolutions)
	p.Resolutions = slices.Compact(p.Resolutions)
	return p
}

// Ops are the operations of the plan.
func (p Plan) Ops() []space.Op {
	ops := make([]space.Op, len(p.Items))
	for i, item := range p.Items {
		ops[i] = item.Op
	}
	return ops
}

// Only keeps the operations whose key matches a pattern as of [path.Match], such as "*_r7" or "mbconv_k5_*". A pattern that
// matches none is bad input; the empty one keeps all.
func (p Plan) Only(pattern string) (Plan, error) {
	if pattern == "" {
		return p, nil
	}
	kept := Plan{Resolutions: p.Resolutions}
	for _, item := range p.Items {
		matches, err := path.Match(pattern, item.Op.Key())
		if err != nil {
			return Plan{}, exit.BadInput("pattern %q: %w; use * for any text, ? for a character, [ab] for one of several", pattern, err)
		}
		if matches {
			kept.Items = append(kept.Items, item)
		}
	}
	if len(kept.Items) == 0 {
		example := "none"
		if len(p.Items) > 0 {
			example = p.Items[0].Op.Key()
		}
		return Plan{}, exit.BadInput("pattern %q matches none of the %d operations, such as %s; `profiler plan` lists them", pattern, len(p.Items), example)
	}
	return kept, nil
}

// Without is the plan but for the operations that a table has.
func (p Plan) Without(t *lut.Table) Plan {
	ops := make([]space.Op, len(p.Items))
	for i, item := range p.Items {
		ops[i] = item.Op
	}
	missing := map[string]bool{}
	for _, key := range t.Missing(ops) {
		missing[key] = true
	}
	rest := Plan{Resolutions: p.Resolutions}
	for _, item := range p.Items {
		if missing[item.Op.Key()] {
			rest.Items = append(rest.Items, item)
		}
	}
	return rest
}

// Shard is part number part, from 1, of a plan that is dealt to of devices, which are alike. All parts take about as long, by
// Guess, and together they are the plan. A part is empty where there are fewer operations.
func (p Plan) Shard(part, of int) Plan {
	order := make([]int, len(p.Items)) // the longest first
	cost := make([]time.Duration, len(p.Items))
	for i, item := range p.Items {
		order[i] = i
		_, cost[i] = Guess(item.Op, 1, "xla", DefaultPolicy())
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(cost[b], cost[a]) })
	var mine []int
	for at, i := range order {
		// To and fro, so that nobody gets the longer one of every deal.
		round, seat := at/of, at%of
		if round%2 == 1 {
			seat = of - 1 - seat
		}
		if seat == part-1 {
			mine = append(mine, i)
		}
	}
	slices.Sort(mine)
	shard := Plan{Resolutions: p.Resolutions}
	for _, i := range mine {
		shard.Items = append(shard.Items, p.Items[i])
	}
	return shard
}

// Guess estimates, before anything is measured, how long an operation takes and how long it takes to measure it, at a batch
// on a runtime. It is good to a factor of three or so: its rates are those of two cores of a server.
func Guess(op space.Op, batch int, runtime string, policy Policy) (call, measuring time.Duration) {
	rate, compile := 10e9, 300*time.Millisecond // multiply-adds per second; with the choice of a lowering
	switch runtime {
	case "go":
		rate, compile = 0.5e9, 20*time.Millisecond
	case "onnxruntime":
		rate, compile = 20e9, 5*time.Millisecond
	}
	call = time.Duration(float64(max(op.MultiplyAdds(), 1)) * float64(batch) / rate * float64(time.Second))
	lap := max(call, policy.MinLap)
	laps := policy.laps(lap) + 1
	return call, compile + time.Duration(cmp.Or(policy.MinRounds, 1)*laps)*lap + policy.Settle
}

// Keys lists the keys of the operations.
func (p Plan) Keys() []string {
	keys := make([]string, len(p.Items))
	for i, item := range p.Items {
		keys[i] = item.Op.Key()
	}
	return keys
}

// String is the keys, one a line.
func (p Plan) String() string { return strings.Join(p.Keys(), "\n") }
