package objective

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/supernet/space"
)

// goldenCase is what the published implementation computed.
type goldenCase struct {
	Params         json.RawMessage `json:"params"`
	ExpectedCostMS float64         `json:"expected_cost_ms"`
	GradBeta       [][]float64     `json:"grad_beta"`
	GradAlphaHead  [][][]float64   `json:"grad_alpha_head"`
	GradAlphaStack [][][]float64   `json:"grad_alpha_stack"`
}

func goldenCases(t *testing.T) []goldenCase {
	data, err := os.ReadFile(testdata.Shared(t, "golden/mbv2-chained-cost.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []goldenCase `json:"cases"`
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	return file.Cases
}

// publishedCosts are those of the published table for the mbv2 space.
func publishedCosts(t *testing.T) *Costs {
	s, err := space.Load("mbv2")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(testdata.Shared(t, "luts/titanxp-mbv2-b32.densenas.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := lut.ImportDenseNAS(f, "titanxp-mbv2-b32.densenas.txt", s)
	if err != nil {
		t.Fatal(err)
	}
	costs, err := FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	return costs
}

// The published figures were computed in float32: a tensor agrees to 1e-5 of its largest element.
func TestGolden(t *testing.T) {
	costs := publishedCosts(t)
	for i, c := range goldenCases(t) {
		p, err := space.ParseParameters("golden", c.Params)
		if err != nil {
			t.Fatal(err)
		}
		ms, gradient := costs.Chained(p)
		if math.Abs(ms-c.ExpectedCostMS) > 1e-5*c.ExpectedCostMS {
			t.Errorf("case %d: cost %.7g, published is %.7g", i, ms, c.ExpectedCostMS)
		}
		want := &space.Parameters{Beta: c.GradBeta, AlphaHead: c.GradAlphaHead, AlphaStack: c.GradAlphaStack}
		for name, tensors := range map[string][2][][]float64{
			"beta":        {gradient.Beta, want.Beta},
			"alpha_head":  {flat(gradient.AlphaHead), flat(want.AlphaHead)},
			"alpha_stack": {flat(gradient.AlphaStack), flat(want.AlphaStack)},
		} {
			got, want := tensors[0], tensors[1]
			if len(got) != len(want) {
				t.Fatalf("case %d: the gradient of %s has %d rows, published has %d", i, name, len(got), len(want))
			}
			largest, worst := 0.0, 0.0
			for j := range want {
				if len(got[j]) != len(want[j]) {
					t.Fatalf("case %d: row %d of the gradient of %s has %d elements, published has %d", i, j, name, len(got[j]), len(want[j]))
				}
				for k := range want[j] {
					largest, worst = max(largest, math.Abs(want[j][k])), max(worst, math.Abs(got[j][k]-want[j][k]))
				}
			}
			if worst > 1e-5*largest {
				t.Errorf("case %d: the gradient of %s is off by %.3g of its largest element", i, name, worst/largest)
			}
		}
	}
}

func flat(t [][][]float64) [][]float64 {
	var rows [][]float64
	for _, block := range t {
		rows = append(rows, block...)
	}
	return rows
}
