package objective

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/supernet/space"
)

func loadRes(t *testing.T) *space.Space {
	t.Helper()
	s, err := space.Load("res")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Where operations are counted, a skip of res costs a tenth of its layer's first candidate; a table says what it was measured to
// take, and architectures, which have no skips, cost what they have.
func TestSkipsCostATenthWhereOperationsAreCounted(t *testing.T) {
	s := loadRes(t)
	free := *s
	free.SkipCost = 0
	for _, count := range []func(*space.Space) *Costs{MultiplyAdds, Parameters} {
		c, without := count(s), count(&free)
		for b := 1; b < len(s.Blocks); b++ {
			for layer, row := range c.Stack[b] {
				if row[1] != 0.1*row[0] || row[0] == 0 || row[0] != without.Stack[b][layer][0] || without.Stack[b][layer][1] != 0 {
					t.Fatalf("%s of block %d, layer %d: %v, without the rule %v", c.Unit, b, layer, row, without.Stack[b][layer])
				}
			}
		}
		if c.Fastest() != without.Fastest() || c.Slowest() != without.Slowest() {
			t.Errorf("architectures of %g to %g %s, without the rule %g to %g", c.Fastest(), c.Slowest(), c.Unit, without.Fastest(), without.Slowest())
		}
		p := s.NewParameters()
		with, _ := c.Chained(p)
		if less, _ := without.Chained(p); !(with > less) {
			t.Errorf("the rule makes no difference to the super network: %g and %g %s", with, less, c.Unit)
		}
	}
	table := measured(rand.New(rand.NewPCG(7, 0)), s)
	c, err := FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	skip, err := table.Op(s.StackOps(4)[1], nil)
	if err != nil || c.Stack[4][0][1] != skip.MS {
		t.Errorf("by a table a skip costs %g ms, measured were %g, %v", c.Stack[4][0][1], skip.MS, err)
	}
}

// The published table of res, read as the list that it is, by a transcription of the recursion with beta at 0.9 and alpha as it is.
func TestChainedCostOfThePublishedRes(t *testing.T) {
	const file = "titanxp-res-b32.densenas.txt"
	data, err := os.ReadFile(testdata.Shared(t, "luts/"+file))
	if err != nil {
		t.Fatal(err)
	}
	var root []any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(testdata.Shared(t, "luts/"+file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := loadRes(t)
	table, err := lut.ImportDenseNAS(f, file, s)
	if err != nil {
		t.Fatal(err)
	}
	costs, err := FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	list := func(v any, at ...int) any {
		for _, i := range at {
			v = v.([]any)[i]
		}
		return v
	}
	number := func(v any, at ...int) float64 { return list(v, at...).(float64) }
	stages := []int{0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 7}
	const n = 21
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 9))
		p := randomParameters(r, s, 2)
		ahead := make([]float64, n+1) // stacked layers of a block and all that follows
		for b := n - 1; b >= 0; b-- {
			total, weights := 0.0, 0.0
			for to := b + 1; to <= n && stages[to] <= stages[b]+1; to++ {
				weight := math.Exp(p.Beta[b][to-b-1] / 0.9)
				head := number(root, 2, min(n-1-b, 2))
				if to < n {
					head = number(root, 1, to-1, 0, to-b-1, 0)
				}
				total, weights = total+weight*(head+ahead[to]), weights+weight
			}
			ahead[b] = total / weights
			if b == 0 {
				break
			}
			for layer := range list(root, 1, b-1, 1).([]any) {
				basic, skip := math.Exp(p.AlphaStack[b-1][layer][0]), math.Exp(p.AlphaStack[b-1][layer][1])
				ahead[b] += (basic*number(root, 1, b-1, 1, layer, 0) + skip*number(root, 1, b-1, 1, layer, 1)) / (basic + skip)
			}
		}
		want := number(root, 0) + ahead[0] + number(root, 3)
		if got, _ := costs.Chained(p); math.Abs(got-want) > 1e-9*want {
			t.Errorf("case %d: %.9g ms, the list gives %.9g", seed, got, want)
		}
	}
}
