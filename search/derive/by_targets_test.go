package derive

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/objective"
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

func TestByTargetsKeepsEveryLimit(t *testing.T) {
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
		plain, err := one(ByTargets(s, p, []Target{{Table: table, Most: math.Inf(1)}}, 1))
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
			a, err := one(ByTargets(s, p, []Target{{Table: table, Most: limit}}, 1))
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

func TestByTargetsNamesMissingKeys(t *testing.T) {
	s := load(t, "tiny")
	table := measured(rand.New(rand.NewPCG(2, 0)), s)
	table.Entries = table.Entries[:len(table.Entries)-1]
	_, err := ByTargets(s, s.NewParameters(), []Target{{Table: table, Most: math.Inf(1)}}, 1)
	var missing lut.MissingError
	if !errors.As(err, &missing) || exit.Code(err) != 2 {
		t.Errorf("a missing key gave %v", err)
	}
}

// Two tables and two counts hold at once, and none is exceeded by anything.
func TestByTargetsMeetsAllTargets(t *testing.T) {
	s := load(t, "tiny")
	r := rand.New(rand.NewPCG(3, 0))
	changed := 0
	for range 20 {
		phone, car := measured(r, s), measured(r, s)
		p := s.NewParameters()
		for _, row := range slices.Concat(append(append([][][]float64{p.Beta}, p.AlphaHead...), p.AlphaStack...)...) {
			for i := range row {
				row[i] = 2 * r.NormFloat64()
			}
		}
		// What some small network needs.
		some := s.Draw(r, func(o space.Op) float64 { return 1 / float64(1+o.MultiplyAdds()) })
		targets := []Target{{Table: phone}, {Table: car}, {Costs: objective.MultiplyAdds(s), Count: (*space.Architecture).MultiplyAdds},
			{Costs: objective.Parameters(s), Count: (*space.Architecture).Parameters}}
		for i := range targets {
			var err error
			if targets[i].Most, err = targets[i].of(some); err != nil {
				t.Fatal(err)
			}
			if targets[i].Table != nil {
				targets[i].Most *= 1 + 1e-9 // the cheapest network is the least of all by costs too
			}
		}
		found, err := ByTargets(s, p, targets, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range found {
			for i, target := range targets {
				if got, err := target.of(a); err != nil || got > target.Most {
					t.Errorf("target %d: %g for %g, %v", i, got, target.Most, err)
				}
			}
			if a.Predicted == nil || a.Predicted.Table != phone.Identity() {
				t.Errorf("predicted is %+v", a.Predicted)
			}
		}
		plain, err := Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(plain.Layers, found[0].Layers) {
			changed++
		}
	}
	if changed < 10 {
		t.Errorf("the targets changed something in %d cases only", changed)
	}
}
