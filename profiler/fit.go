package profiler

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"densenas/lut"
	"densenas/supernet/space"
)

// whole is a measured network with what its operations add up to.
type whole struct {
	partsMS    []float64 // by group: the sums of entries less a call each
	operations int
	measuredMS float64
}

// group names the operations that share a scale: those of one input resolution. Alone, an operation finds its input where the
// call before left it; in a network, where the operation before did. How much that matters depends on the size of the input.
func group(op space.Op) string { return fmt.Sprintf("*_r%d", op.Resolution) }

// groups lists the groups of networks' operations, of the largest resolution first.
func groups(networks []*space.Architecture) []string {
	resolutions := map[string]int{}
	var patterns []string
	for _, a := range networks {
		for _, op := range a.Ops() {
			if _, known := resolutions[group(op)]; !known {
				patterns = append(patterns, group(op))
			}
			resolutions[group(op)] = op.Resolution
		}
	}
	slices.SortFunc(patterns, func(a, b string) int { return cmp.Compare(resolutions[b], resolutions[a]) })
	return patterns
}

// parts sums what a table without a fit says of a network, by group.
func parts(t *lut.Table, a *space.Architecture, patterns []string) ([]float64, error) {
	_, layers, err := t.Network(a)
	if err != nil {
		return nil, err
	}
	sums := make([]float64, len(patterns))
	for i, op := range a.Ops() {
		sums[slices.Index(patterns, group(op))] += layers[i].MS
	}
	return sums, nil
}

// penalties that are tried, as shares of the sum of squared errors that one group alone could make.
var penalties = []float64{1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10}

// maxResidual stands for a prediction that is off by more, or not above 0.
const maxResidual = 100

// folds of the cross-validation.
const folds = 5

// fit finds, for each group, the scale by which its entries add up to the networks' latencies, what each operation takes beside that,
// and what is the same in all. It minimises the squared relative errors and a penalty on scales that differ from the common one.
// Of the penalties that cross-validation cannot tell from the best, by one standard error, it takes the largest: a few noisy
// networks are no reason for scales that differ. None of all these is below 0.
func fit(patterns []string, networks []whole) lut.Fit {
	trials := make([][]float64, len(penalties))
	lowest, margin := math.Inf(1), 0.0
	for i, candidate := range penalties {
		trials[i] = crossValidate(networks, candidate)
		if mean, deviation := meanSquare(trials[i]); mean < lowest {
			lowest, margin = mean, deviation
		}
	}
	penalty, residuals := penalties[0], trials[0]
	for i, candidate := range penalties {
		if mean, _ := meanSquare(trials[i]); mean <= lowest+margin {
			penalty, residuals = candidate, trials[i]
		}
	}
	best := solve(networks, penalty)
	f := lut.Fit{Networks: len(networks), OffsetMS: best.offsetMS, OperationMS: best.operationMS, ResidualShare: bound(residuals)}
	for g, pattern := range patterns {
		f.Terms = append(f.Terms, lut.Term{Pattern: pattern, Scale: best.scales[g]})
	}
	// An operation at a resolution that no network had.
	f.Terms = append(f.Terms, lut.Term{Pattern: "*", Scale: best.common})
	return f
}

// meanSquare of errors, with its standard error.
func meanSquare(errs []float64) (mean, deviation float64) {
	n := float64(len(errs))
	for _, e := range errs {
		mean += e * e / n
	}
	for _, e := range errs {
		deviation += (e*e - mean) * (e*e - mean)
	}
	return mean, math.Sqrt(deviation / n / max(n-1, 1))
}

// crossValidate gives the relative error of each network's prediction by a fit on the other folds.
func crossValidate(networks []whole, penalty float64) []float64 {
	errs := make([]float64, 0, len(networks))
	for fold := range folds {
		var rest, held []whole
		for i, n := range networks {
			if i%folds == fold {
				held = append(held, n)
			} else {
				rest = append(rest, n)
			}
		}
		if len(rest) == 0 {
			continue
		}
		c := solve(rest, penalty)
		for _, n := range held {
			errs = append(errs, c.predict(n)/n.measuredMS-1)
		}
	}
	return errs
}

// combination is how parts add up.
type combination struct {
	scales                []float64 // by group
	operationMS, offsetMS float64
	common                float64 // scale of all groups, where there is one only
}

func (c combination) predict(n whole) float64 {
	ms := c.offsetMS + c.operationMS*float64(n.operations)
	for g, part := range n.partsMS {
		ms += c.scales[g] * part
	}
	return ms
}

// bound is how far, relative to a prediction, 95 % of further networks lie from theirs at most, if they come as these did: the
// order statistic that makes it hold for a finite sample. Of fewer than 19, none does, and it is the largest. Residuals are
// relative to what was measured.
func bound(residuals []float64) float64 {
	sizes := make([]float64, len(residuals))
	for i, r := range residuals {
		sizes[i] = maxResidual
		if predicted := 1 + r; predicted > 0 {
			sizes[i] = min(math.Abs(1/predicted-1), maxResidual)
		}
	}
	slices.Sort(sizes)
	at := int(math.Ceil(0.95 * float64(len(sizes)+1)))
	return sizes[min(at, len(sizes))-1]
}

// solve minimises over scales s, a time o for each operation and an offset b, none below 0,
//
//	Σ over networks (Σ s·part/measured + o·operations/measured + b/measured − 1)² + penalty · n · Σ over groups share² · (s − common)²
//
// where common is the scale of the best combination with one scale for all groups, and share a group's mean part of the latency, so
// that the penalty weighs groups by what their scales can do.
func solve(networks []whole, penalty float64) combination {
	n := float64(len(networks))
	size := len(networks[0].partsMS)
	shares := make([]float64, size)
	rows, together := make([][]float64, len(networks)), make([][]float64, len(networks)) // relative: parts, or their sum; operations; offset
	for i, network := range networks {
		sum := 0.0
		for g, part := range network.partsMS {
			relative := part / network.measuredMS
			rows[i] = append(rows[i], relative)
			sum += relative
			shares[g] += relative / n
		}
		rest := []float64{float64(network.operations) / network.measuredMS, 1 / network.measuredMS}
		rows[i], together[i] = append(rows[i], rest...), append([]float64{sum}, rest...)
	}
	start := minimise(together, []float64{1, 0, 0}, make([]float64, 3))
	unknowns, weights := make([]float64, size+2), make([]float64, size+2)
	for g := range size {
		unknowns[g], weights[g] = start[0], penalty*n*shares[g]*shares[g]
	}
	copy(unknowns[size:], start[1:])
	unknowns = minimise(rows, unknowns, weights)
	return combination{scales: unknowns[:size], operationMS: unknowns[size], offsetMS: unknowns[size+1], common: start[0]}
}

// minimise minimises Σ over rows (row · unknowns − 1)² + Σ weight · (unknown − start)² over unknowns that are not below 0. It goes
// through them one by one: the function is convex and smooth, and each has a closed form.
func minimise(rows [][]float64, start, weights []float64) []float64 {
	n := float64(len(rows))
	unknowns := slices.Clone(start)
	errs := make([]float64, len(rows))
	for i, row := range rows {
		errs[i] = -1
		for k, x := range row {
			errs[i] += unknowns[k] * x
		}
	}
	for range 20_000 {
		moved := 0.0
		for k := range unknowns {
			gradient, curvature := weights[k]*(unknowns[k]-start[k]), weights[k]
			for i, row := range rows {
				gradient += row[k] * errs[i]
				curvature += row[k] * row[k]
			}
			if curvature == 0 {
				continue
			}
			next := max(0, unknowns[k]-gradient/curvature)
			step := next - unknowns[k]
			unknowns[k] = next
			for i, row := range rows {
				errs[i] += step * row[k]
			}
			moved = max(moved, math.Abs(step)*math.Sqrt(curvature/n))
		}
		if moved < 1e-10 {
			break
		}
	}
	return unknowns
}
