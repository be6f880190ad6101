package profiler

import (
	"math"
	"math/rand/v2"
	"testing"
)

// networksOf draws networks whose latency is by scales, a time for each operation and an offset, with relative noise.
func networksOf(r *rand.Rand, n int, scales []float64, operation, offset, noise float64) []whole {
	list := make([]whole, n)
	for i := range list {
		list[i].operations = 10 + r.IntN(20)
		ms := offset + operation*float64(list[i].operations)
		for _, s := range scales {
			part := 0.5 + 2*r.Float64()
			list[i].partsMS = append(list[i].partsMS, part)
			ms += s * part
		}
		list[i].measuredMS = ms * (1 + noise*r.NormFloat64())
	}
	return list
}

func TestFitFindsTheScales(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	scales := []float64{0.5, 1, 1.4}
	f := fit([]string{"*_r4", "*_r2", "*_r1"}, networksOf(r, 60, scales, 0.03, 0.7, 0))
	for g, want := range scales {
		if got := f.Terms[g].Scale; math.Abs(got-want) > 0.02 {
			t.Errorf("scale of %s is %g, want %g", f.Terms[g].Pattern, got, want)
		}
	}
	if math.Abs(f.OffsetMS-0.7) > 0.05 || math.Abs(f.OperationMS-0.03) > 0.003 || f.ResidualShare > 0.01 || f.Networks != 60 || f.Terms[3].Pattern != "*" {
		t.Errorf("fit %+v", f)
	}
}

// What fits best must not be worse at its minimum than anywhere near it.
func TestSolveFindsAMinimum(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 20 {
		networks := networksOf(r, 30, []float64{r.Float64(), 2 * r.Float64(), 0, 1}, 0.1*r.Float64(), r.Float64(), 0.05)
		penalty := math.Pow(10, -4*r.Float64())
		best := solve(networks, penalty)
		cost := func(c combination) float64 {
			sum, s := 0.0, c.scales
			for _, n := range networks {
				e := c.predict(n)/n.measuredMS - 1
				sum += e * e
			}
			for g := range s {
				share := 0.0
				for _, n := range networks {
					share += n.partsMS[g] / n.measuredMS / float64(len(networks))
				}
				sum += penalty * float64(len(networks)) * share * share * (s[g] - best.common) * (s[g] - best.common)
			}
			return sum
		}
		least := cost(best)
		for range 100 {
			near := combination{
				scales: make([]float64, len(best.scales)), operationMS: max(0, best.operationMS+0.001*r.NormFloat64()), offsetMS: max(0, best.offsetMS+0.01*r.NormFloat64()),
			}
			for g := range near.scales {
				near.scales[g] = max(0, best.scales[g]+0.01*r.NormFloat64())
			}
			if c := cost(near); c < least-1e-9 {
				t.Fatalf("cost %g at %+v, but %g nearby", least, best, c)
			}
		}
	}
}

// The bound of the residuals holds for about 95 % of networks that the fit has not seen.
func TestResidualsBoundFurtherErrors(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	scales := []float64{0.8, 1, 1.2, 0.9, 1.1}
	within, all := 0, 0
	for range 40 {
		networks := networksOf(r, 160, scales, 0.02, 0.2, 0.03)
		f := fit([]string{"a", "b", "c", "d", "e"}, networks[:60])
		for _, n := range networks[60:] {
			ms := f.OffsetMS + f.OperationMS*float64(n.operations)
			for g, part := range n.partsMS {
				ms += f.Terms[g].Scale * part
			}
			all++
			if math.Abs(ms/n.measuredMS-1) <= f.ResidualShare {
				within++
			}
		}
	}
	if share := float64(within) / float64(all); share < 0.92 || share > 0.98 {
		t.Errorf("the bound held for %.3f of networks, expected about 0.95", share)
	}
}
