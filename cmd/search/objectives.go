package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search"
	"densenas/search/derive"
	"densenas/search/objective"
	"densenas/search/rundir"
	"densenas/supernet/space"
)

// goal is an objective of a run with what a person calls it.
type goal struct {
	search.Objective
	kind  string     // as in the configuration
	table *lut.Table // of a latency
}

// unit of the goal's numbers as they are shown and kept; scale makes them of the costs' numbers.
func (g goal) unit() (unit string, scale float64) {
	if g.table != nil {
		return "ms", 1
	}
	return "millions", 1e-6
}

// String names the goal.
func (g goal) String() string {
	if g.table != nil {
		return "latency by " + filepath.Base(g.table.Path())
	}
	return g.kind
}

// openTables reads the tables of a configuration, the first device's and the others'.
func openTables(c *rundir.Config, resolution int) ([]*lut.Table, error) {
	if !c.Has(rundir.ObjectiveLatency) {
		return nil, nil
	}
	paths := []string{c.LUT.Path}
	for _, other := range c.OtherLUTs {
		paths = append(paths, other.Path)
	}
	var tables []*lut.Table
	for _, path := range paths {
		table, err := lut.Read(path)
		if err != nil {
			return nil, err
		}
		if err := table.CheckMatch(lut.Settings{Resolution: resolution, Batch: c.LUT.Batch, DType: c.LUT.DType, Caches: c.LUT.Caches}); err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return tables, nil
}

// goalsOf are the objectives of a configuration: latencies in the order of the tables, then multiply-adds and parameters. Each target must
// be one that some architecture of the space meets, and all of them together.
func goalsOf(c *rundir.Config, deployed *space.Space, tables []*lut.Table) ([]goal, error) {
	var goals []goal
	for i, table := range tables {
		costs, err := costsOf(c.Space, deployed, table)
		if err != nil {
			return nil, err
		}
		target := c.TargetLatencyMS
		if i > 0 {
			target = c.OtherLUTs[i-1].TargetLatencyMS
		}
		if fastest := costs.Fastest(); target > 0 && target < fastest {
			return nil, exit.BadInput("the target of %.4g ms is below the fastest possible architecture of space %s, which takes %.4g ms by %s; raise the target to at least %v",
				target, deployed.Name, fastest, table.Path(), time.Duration(math.Ceil(fastest*float64(time.Millisecond))))
		}
		goals = append(goals, goal{search.Objective{Costs: costs, Base: c.Base, Factor: c.Factor, Target: target}, rundir.ObjectiveLatency, table})
	}
	for _, counted := range []struct {
		kind  string
		costs func(*space.Space) *objective.Costs
		rundir.Counted
	}{{rundir.ObjectiveMultiplyAdds, objective.MultiplyAdds, c.MultiplyAdds}, {rundir.ObjectiveParameters, objective.Parameters, c.Parameters}} {
		if !c.Has(counted.kind) {
			continue
		}
		costs := counted.costs(deployed)
		if least := costs.Fastest() / 1e6; counted.TargetMillions > 0 && counted.TargetMillions < least {
			return nil, exit.BadInput("the target of %.4g M %s is below the smallest architecture of space %s, which has %.4g M; raise the target to at least %gM",
				counted.TargetMillions, counted.kind, deployed.Name, least, least)
		}
		// A whole number: the product with a million may miss it by the last digit.
		target := math.Round(1e6 * counted.TargetMillions)
		goals = append(goals, goal{search.Objective{Costs: costs, Base: counted.Base, Factor: counted.Factor, Target: target}, counted.kind, nil})
	}
	if targets := targetsOf(goals); len(targets) > 1 {
		if _, err := derive.ByTargets(deployed, deployed.NewParameters(), targets, 1); err != nil {
			return nil, err
		}
	}
	return goals, nil
}

// targetsOf are the targets among the goals. A first table without one is among them too: it predicts what is derived.
func targetsOf(goals []goal) []derive.Target {
	counts := map[string]func(*space.Architecture) int64{
		rundir.ObjectiveMultiplyAdds: (*space.Architecture).MultiplyAdds, rundir.ObjectiveParameters: (*space.Architecture).Parameters,
	}
	var targets []derive.Target
	for i, g := range goals {
		t := derive.Target{Table: g.table, Costs: g.Costs, Count: counts[g.kind], Most: g.Target}
		if g.Target == 0 {
			t.Most = math.Inf(1)
		}
		if g.Target > 0 || i == 0 && g.table != nil {
			targets = append(targets, t)
		}
	}
	return targets
}

// expectations says how a search stands by each of its objectives: 0.17 ms for 0.15, 12 M multiply-adds.
func expectations(goals []goal, costs []float64) string {
	var parts []string
	for i, g := range goals {
		_, scale := g.unit()
		unit, by := "ms", ""
		if g.table == nil {
			unit = "M " + g.kind
		} else if i > 0 {
			by = " by " + filepath.Base(g.table.Path())
		}
		part := fmt.Sprintf("%.4g %s%s", scale*costs[i], unit, by)
		if g.Target > 0 {
			part += fmt.Sprintf(" for %.4g", scale*g.Target)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
