package study

import (
	"strings"
	"testing"

	"densenas/lut"
	"densenas/supernet/space"
)

func TestScaledIsTheSlowestOfTheBand(t *testing.T) {
	s, err := space.Load("cifar")
	if err != nil {
		t.Fatal(err)
	}
	table := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{32}, DType: "f32", Layout: "nhwc"}
	ms := map[float64]float64{}
	known := map[string]bool{}
	for _, width := range []float64{0.25, 0.5, 0.75} {
		n := space.MobileNetV2Halving(width, s.Resolution, s.Classes, 3)
		for _, c := range n.Counts() {
			if key := c.Op.Key(); !known[key] {
				known[key] = true
				table.Entries = append(table.Entries, lut.Entry{Key: key, MedianMS: 0.01 + float64(c.Op.MultiplyAdds())*1e-8})
			}
		}
	}
	for _, width := range []float64{0.25, 0.5, 0.75} {
		p, err := table.Predict(space.MobileNetV2Halving(width, s.Resolution, s.Classes, 3))
		if err != nil {
			t.Fatal(err)
		}
		ms[width] = p.LatencyMS
	}
	a, width, why, err := Scaled(s, table, 3, ms[0.25], ms[0.5])
	if err != nil || why != "" || a == nil || a.Predicted.LatencyMS != ms[0.5] || a.Resolution != 32 || a.Classes != 10 {
		t.Fatalf("%+v, %g, %q, %v", a, width, why, err)
	}
	if want := space.MobileNetV2Halving(0.5, 32, 10, 3).Parameters(); a.Parameters() != want {
		t.Errorf("a multiplier of %g has %d parameters, want %d", width, a.Parameters(), want)
	}
	for _, c := range []struct {
		halvings  int
		low, high float64
		want      string
	}{
		{3, ms[0.75] + 1, ms[0.75] + 2, "misses it by 1 ms"},
		{2, ms[0.25], ms[0.75], "the table has the operations of none"},
	} {
		if a, _, why, err := Scaled(s, table, c.halvings, c.low, c.high); a != nil || err != nil || !strings.Contains(why, c.want) {
			t.Errorf("%+v, %q, %v, want %q", a, why, err, c.want)
		}
	}
}
