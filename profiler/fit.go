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

// fit finds, for each group, the scale by which its entries add up to the networks' latencies, and what is the same in all. It
// minimises the squared relative errors and a penalty on scales that differ from the common one. Of the penalties that
// cross-validation cannot tell from the best, by one standard error, it takes the largest: a few noisy networks are no reason
// for scales that differ. Neither scales nor offset are below 0.
func fit(patterns []string, networks []whole) lut.Fit {
	trials := make([][]float64, len(penalties))
	best, margin := math.Inf(1), 0.0
	for i, candidate := range penalties {
		trials[i] = crossValidate(networks, candidate)
		if mean, deviation := meanSquare(trials[i]); mean < best {
			best, margin = mean, deviation
		}
	}
	penalty, residuals := penalties[0], trials[0]
	for i, candidate := range penalties {
		if mean, _ := meanSquare(trials[i]); mean <= best+margin {
			penalty, residuals = candidate, trials[i]
		}
	}
	scales, offset, common := solve(networks, penalty)
	f := lut.Fit{Networks: len(networks), OffsetMS: offset, ResidualShare: bound(residuals)}
	for g, pattern := range patterns {
		f.Terms = append(f.Terms, lut.Term{Pattern: pattern, Scale: scales[g]})
	}
	// An operation at a resolution that no network had.
	f.Terms = append(f.Terms, lut.Term{Pattern: "*", Scale: common})
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
		scales, offset, _ := solve(rest, penalty)
		for _, n := range held {
			errs = append(errs, n.predict(scales, offset)/n.measuredMS-1)
		}
	}
	return errs
}

func (n whole) predict(scales []float64, offset float64) float64 {
	ms := offset
	for g, part := range n.partsMS {
		ms += scales[g] * part
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

// solve minimises over scales s and offset b, none below 0,
//
//	Σ over networks (Σ s·part/measured + b/measured − 1)² + penalty · n · Σ over groups share² · (s − common)²
//
// where common is the one scale that fits best alone, and share a group's mean part of the latency, so that the penalty weighs
// groups by what their scales can do. It goes through the unknowns one by one: the function is convex and smooth, and each has
// a closed form.
func solve(networks []whole, penalty float64) (scales []float64, offset, common float64) {
	n := float64(len(networks))
	size := len(networks[0].partsMS)
	rows := make([][]float64, len(networks)) // parts and offset, relative
	shares := make([]float64, size)
	var xy, xx float64
	for i, network := range networks {
		rows[i] = make([]float64, size+1)
		sum := 0.0
		for g, part := range network.partsMS {
			rows[i][g] = part / network.measuredMS
			sum += rows[i][g]
			shares[g] += rows[i][g] / n
		}
		rows[i][size] = 1 / network.measuredMS
		xy += sum
		xx += sum * sum
	}
	common = xy / max(xx, math.SmallestNonzeroFloat64)
	unknowns := make([]float64, size+1)
	for g := range size {
		unknowns[g] = common
	}
	errs := make([]float64, len(networks))
	for i, row := range rows {
		errs[i] = -1
		for g, x := range row {
			errs[i] += unknowns[g] * x
		}
	}
	for range 20_000 {
		moved := 0.0
		for k := range unknowns {
			var gradient, curvature float64
			for i, row := range rows {
				gradient += row[k] * errs[i]
				curvature += row[k] * row[k]
			}
			if k < size {
				p := penalty * n * shares[k] * shares[k]
				gradient += p * (unknowns[k] - common)
				curvature += p
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
	return unknowns[:size], unknowns[size], common
}
