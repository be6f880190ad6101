package derive

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// In the published res space and by its table: what is derived ends without a final convolution, goes through net_config text, and is
// within limits of latency and of multiply-adds, of which skips, that cost a tenth in the objective, are no part.
func TestDeriveFromThePublishedRes(t *testing.T) {
	s := load(t, "res")
	const file = "titanxp-res-b32.densenas.txt"
	f, err := os.Open(testdata.Shared(t, "luts/"+file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := lut.ImportDenseNAS(f, file, s)
	if err != nil {
		t.Fatal(err)
	}
	counts := objective.MultiplyAdds(s)
	latencies, err := objective.FromTable(s, table)
	if err != nil {
		t.Fatal(err)
	}
	fastest, smallest := latencies.Fastest(), counts.Fastest()
	for seed := range uint64(20) {
		p := s.NewParameters()
		r := rand.New(rand.NewPCG(seed, 0))
		for _, rows := range append(append([][][]float64{p.Beta}, p.AlphaHead...), p.AlphaStack...) {
			for _, row := range rows {
				for i := range row {
					row[i] = 2 * r.NormFloat64()
				}
			}
		}
		plain, err := Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []float64{1, 1.3, 2, math.Inf(1)} {
			targets := []Target{
				{Table: table, Most: limit * fastest},
				{Costs: counts, Count: (*space.Architecture).MultiplyAdds, Most: 1.5 * limit * smallest},
			}
			found, err := ByTargets(s, p, targets, 1)
			if err != nil {
				t.Fatal(err)
			}
			a := found[0]
			if a.Predicted.LatencyMS > limit*fastest || float64(a.MultiplyAdds()) > 1.5*limit*smallest {
				t.Errorf("case %d, limit %g: %g ms and %d multiply-adds", seed, limit, a.Predicted.LatencyMS, a.MultiplyAdds())
			}
			if math.IsInf(limit, 1) && !slices.Equal(a.Ops(), plain.Ops()) {
				t.Errorf("case %d: without a limit %v, plain %v", seed, a.Ops(), plain.Ops())
			}
			text, err := a.NetConfig()
			if err != nil || strings.Contains(text, "conv1_1") || !strings.HasPrefix(text, "[[32, ") {
				t.Fatalf("%s, %v", text, err)
			}
			if read, err := space.ParseNetConfig(text); err != nil || !slices.Equal(read.Ops(), a.Ops()) {
				t.Errorf("%s reads as %+v, %v", text, read, err)
			}
		}
	}
}
