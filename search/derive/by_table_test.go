package derive

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

// measured is a table with an entry per op and a call that is in all of them.
func measured(r *rand.Rand, s *space.Space) *lut.Table {
	table := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{s.Resolution}, DType: "f32", Layout: "nhwc",
		CallMS: 0.1, CallLowMS: 0.1, CallHighMS: 0.1}
	for _, c := range s.Ops() {
		table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.1 + float64(c.Op.MultiplyAdds())*1e-5*(1+r.Float64()) + 1e-3})
	}
	return table
}

func TestByTableKeepsEveryLimit(t *testing.T) {
	s := load(t, "tiny")
	r := rand.New(rand.NewPCG(1, 0))
	networks := map[string]bool{}
	for range 20 {
		table := measured(r, s)
		p := s.NewParameters()
		for _, rows := range append(append([][][]float64{p.Beta}, p.AlphaHead...), p.AlphaStack...) {
			for _, row := range rows {
				for i := range row {
					row[i] = 2 * r.NormFloat64()
				}
			}
		}
		plain, err := one(ByTable(s, p, table, math.Inf(1), 1))
		if err != nil {
			t.Fatal(err)
		}
		want, err := Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		if want.Predicted, err = table.Predict(plain); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, plain); diff != "" {
			t.Fatalf("without a limit (-want +got):\n%s", diff)
		}
		fastest := 0.0
		for limit := plain.Predicted.LatencyMS; ; {
			a, err := one(ByTable(s, p, table, limit, 1))
			if err != nil {
				if exit.Code(err) != 2 || !strings.Contains(err.Error(), "the least is") {
					t.Fatal(err)
				}
				break
			}
			total, _, err := table.Network(a)
			if err != nil || total.MS > limit || a.Predicted.LatencyMS != total.MS || a.Predicted.Table != table.Identity() {
				t.Fatalf("within %g ms: the table predicts %+v, the architecture says %+v, %v", limit, total, a.Predicted, err)
			}
			text, err := a.NetConfig()
			if err != nil {
				t.Fatal(err)
			}
			networks[text] = true
			fastest, limit = total.MS, math.Nextafter(total.MS, 0)
			limit -= 0.05 * limit
		}
		if fastest >= plain.Predicted.LatencyMS {
			t.Errorf("no limit below the %g ms of the plain architecture was met", plain.Predicted.LatencyMS)
		}
	}
	if len(networks) < 50 {
		t.Errorf("only %d different networks", len(networks))
	}
}

func TestByTableNamesMissingKeys(t *testing.T) {
	s := load(t, "tiny")
	table := measured(rand.New(rand.NewPCG(2, 0)), s)
	table.Entries = table.Entries[:len(table.Entries)-1]
	_, err := ByTable(s, s.NewParameters(), table, math.Inf(1), 1)
	var missing lut.MissingError
	if !errors.As(err, &missing) || exit.Code(err) != 2 {
		t.Errorf("a missing key gave %v", err)
	}
}
