package profiler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"densenas/lut"
	"densenas/supernet/space"
)

// tableOf has an entry for each operation of a space: as many µs as it has thousands of multiply-adds, and some.
func tableOf(t testing.TB, name string) (*lut.Table, *space.Space) {
	t.Helper()
	s, err := space.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	table := &lut.Table{
		Device: lut.Device{Model: "fake"}, Runtime: lut.Runtime{Name: "fake"}, Batch: 1, Resolutions: []int{s.Resolution}, DType: "f32", Layout: "nhwc",
		CallMS: 0.01, CallLowMS: 0.01, CallHighMS: 0.01,
	}
	for _, c := range s.Ops() {
		table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.02 + float64(c.Op.MultiplyAdds())*1e-6})
	}
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	return table, s
}

func TestDrawnNetworksSpanTheRange(t *testing.T) {
	table, s := tableOf(t, "mbv2")
	table.Verification = &lut.Verification{Fit: lut.Fit{OffsetMS: 1e6, Terms: []lut.Term{{Pattern: "*", Scale: 1}}}} // plays no part
	networks, err := DrawNetworks(table, s, 50, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(networks) != 50 {
		t.Fatalf("%d networks, want 50", len(networks))
	}
	plain := Unverified(table)
	var latencies []float64
	seen := map[string]bool{}
	for _, a := range networks {
		if err := a.Check(); err != nil {
			t.Fatal(err)
		}
		if seen[fmt.Sprint(a.Ops())] {
			t.Errorf("drawn twice: %v", a.Ops())
		}
		seen[fmt.Sprint(a.Ops())] = true
		total, _, err := plain.Network(a)
		if err != nil {
			t.Fatal(err)
		}
		latencies = append(latencies, total.MS)
	}
	low, high := slices.Min(latencies), slices.Max(latencies)
	counts := make([]int, 5)
	for _, ms := range latencies {
		counts[min(int(5*(ms-low)/(high-low)), 4)]++
	}
	for band, n := range counts { // twice as wide as the bands that are filled, whose edges are a little elsewhere
		if n < 5 || n > 15 {
			t.Errorf("band %d of %v has %d networks, expected about 10", band, counts, n)
		}
	}
	again, err := DrawNetworks(table, s, 50, 3)
	if err != nil || fmt.Sprint(again) == "" || len(again) != 50 || fmt.Sprint(again[49].Ops()) != fmt.Sprint(networks[49].Ops()) {
		t.Errorf("the same seed drew other networks, error %v", err)
	}
}

func TestVerifyRefusesTooFewNetworks(t *testing.T) {
	table, s := tableOf(t, "tiny")
	for _, n := range []int{-1, 0, 19, MaxNetworks + 1} {
		if _, err := DrawNetworks(table, s, n, 1); err == nil || !strings.Contains(err.Error(), "allowed are 20 to 10000") {
			t.Errorf("%d networks: error %v", n, err)
		}
	}
}

// truth is how long a network takes: its entries scaled by the resolution, and something once.
func truth(table *lut.Table, a *space.Architecture) float64 {
	ms := 0.3
	for _, op := range a.Ops() {
		estimate, _ := table.Op(op, nil)
		ms += estimate.MS * (0.6 + float64(op.Resolution)/40)
	}
	return ms
}

func TestVerifyFindsHowEntriesCombine(t *testing.T) {
	table, s := tableOf(t, "tiny")
	networks, err := DrawNetworks(table, s, 120, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(9, 9))
	var wholes []Whole
	for _, a := range networks {
		ms := truth(table, a)
		even, odd := ms*(1+0.01*r.NormFloat64()), ms*(1+0.01*r.NormFloat64())
		wholes = append(wholes, Whole{Network: a, MedianMS: (even + odd) / 2, EvenMS: even, OddMS: odd})
	}
	v, err := Verify(table, s, wholes, 1)
	if err != nil {
		t.Fatal(err)
	}
	if v.HeldOut.Networks != 60 || v.Fit.Networks != 60 || v.HeldOut.Within5.Share < 0.95 || v.HeldOut.Tau < 0.9 {
		t.Errorf("verification %+v", v)
	}
	if v.Sum.MeanError < 2*v.HeldOut.MeanError {
		t.Errorf("the plain sum is off by %g, the fit by %g", v.Sum.MeanError, v.HeldOut.MeanError)
	}
	if v.NoiseShare < 0.002 || v.NoiseShare > 0.02 {
		t.Errorf("noise %g, expected about 0.006", v.NoiseShare)
	}
	table.Verification = v
	if err := table.Check(); err != nil {
		t.Error(err)
	}
	fitted := 0
	for _, w := range wholes {
		if w.Fitted {
			fitted++
		}
		if total, _, err := table.Network(w.Network); err != nil || total.MS != w.PredictedMS || w.SumMS <= 0 {
			t.Fatalf("%+v: %v", total, err)
		}
	}
	if fitted != 60 {
		t.Errorf("%d networks in the fit", fitted)
	}
}

// steadyCall takes the same time always.
type steadyCall struct {
	took   time.Duration
	closed *int
}

func (c steadyCall) Run() (time.Duration, error) { return c.took, nil }
func (c steadyCall) Close()                      { *c.closed++ }

func TestNetworksAreMeasuredInGroups(t *testing.T) {
	table, s := tableOf(t, "tiny")
	networks, err := DrawNetworks(table, s, 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := soon()
	p.Group, p.Settle = 8, 0
	open, most, closed, steps := 0, 0, 0, 0
	compile := func(a *space.Architecture) (Call, error) {
		open++
		most = max(most, open-closed)
		return steadyCall{time.Duration(truth(table, a) * float64(time.Millisecond)), &closed}, nil
	}
	wholes, err := MeasureNetworks(context.Background(), networks, compile, steadyCall{time.Millisecond, new(int)}, p, Measured{}, func(string) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if len(wholes) != 20 || open != 20 || closed != 20 || most != 8 || steps != 40 {
		t.Errorf("%d networks, %d compiled, %d closed, %d at once, %d steps", len(wholes), open, closed, most, steps)
	}
	for i, w := range wholes {
		if want := truth(table, networks[i]); w.Network != networks[i] || math.Abs(w.MedianMS-want) > 1e-5 || w.Noisy {
			t.Errorf("network %d: %g ms, want %g", i, w.MedianMS, want)
		}
	}
	// What fails is closed, too.
	closed, open = 0, 0
	failing := func(a *space.Architecture) (Call, error) {
		if open == 3 {
			return nil, fmt.Errorf("no memory")
		}
		return compile(a)
	}
	if _, err := MeasureNetworks(context.Background(), networks, failing, nil, p, Measured{}, func(string) {}); err == nil || closed != 3 {
		t.Errorf("error %v, %d closed", err, closed)
	}
}

// deviceCall takes its time on a device that is slower by a factor.
type deviceCall struct {
	took   time.Duration
	slower *float64
}

func (c deviceCall) Run() (time.Duration, error) {
	return time.Duration(float64(c.took) * *c.slower), nil
}
func (c deviceCall) Close() {}

// A device that is slow until the second group is no reason for the first networks to seem slower.
func TestNetworksOfAllGroupsAreComparedWithOneSentinel(t *testing.T) {
	table, s := tableOf(t, "tiny")
	networks, err := DrawNetworks(table, s, 20, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := soon()
	p.Group, p.Settle = 8, 0
	slower, compiled := 2.0, 0
	compile := func(a *space.Architecture) (Call, error) {
		if compiled++; compiled > p.Group {
			slower = 1
		}
		return deviceCall{time.Duration(truth(table, a) * float64(time.Millisecond)), &slower}, nil
	}
	wholes, err := MeasureNetworks(context.Background(), networks, compile, deviceCall{time.Millisecond, &slower}, p, Measured{}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range wholes {
		if want := truth(table, networks[i]); math.Abs(w.MedianMS/want-1) > 1e-4 {
			t.Errorf("network %d: %g ms, want %g", i, w.MedianMS, want)
		}
	}
}

// A table in which no operation takes longer than a call has networks to draw, and a fit that knows them by their mean alone.
func TestVerifyWhereOperationsTakeNoLongerThanACall(t *testing.T) {
	table, s := tableOf(t, "tiny")
	for i := range table.Entries {
		table.Entries[i].MedianMS = 0.005
	}
	networks, err := DrawNetworks(table, s, 40, 1)
	if err != nil || len(networks) != 40 {
		t.Fatalf("%d networks, error %v", len(networks), err)
	}
	measure := func(ms float64) (wholes []Whole) {
		for i, a := range networks {
			whole := ms * (1 + 0.01*float64(i%5))
			wholes = append(wholes, Whole{Network: a, MedianMS: whole, EvenMS: whole, OddMS: whole})
		}
		return wholes
	}
	v, err := Verify(table, s, measure(0.4), 1)
	if err != nil || v.Fit.OffsetMS < 0.38 || v.Fit.OffsetMS > 0.43 || v.HeldOut.Tau != 0 {
		t.Errorf("verification %+v, error %v", v, err)
	}
	// A little longer than a call, so that networks would take thousands of times what their entries say.
	for i := range table.Entries {
		table.Entries[i].MedianMS = 0.01 + 1e-7
	}
	var wholes []Whole
	for i, w := range measure(0) {
		w.MedianMS = float64(len(w.Network.Layers)) * (1 + 0.001*float64(i%5))
		w.EvenMS, w.OddMS = w.MedianMS, w.MedianMS
		wholes = append(wholes, w)
	}
	if _, err := Verify(table, s, wholes, 1); err == nil || !strings.Contains(err.Error(), "larger resolution or batch") {
		t.Errorf("error %v", err)
	}
}

// References span the latencies, are what was measured, and are those that were measured by no luck.
func TestReferences(t *testing.T) {
	var wholes []Whole
	for i := range 20 {
		ms := float64((i*7)%20 + 1)
		wholes = append(wholes, Whole{Network: space.MobileNetV2(0.1, 32, 10), MedianMS: ms, PredictedMS: 1.1 * ms, Noisy: ms == 11})
	}
	for i := range wholes {
		if ms := wholes[i].MedianMS; ms == 3 || ms == 8 || ms == 11 || ms == 20 {
			wholes[i].PredictedMS = 0.99 * ms
		}
	}
	var got []float64
	for _, r := range References(wholes) {
		got = append(got, r.MedianMS)
	}
	if want := []float64{3, 8, 20}; len(got) != 5 || got[0] != want[0] || !slices.Contains(got, want[1]) || slices.Contains(got, 11) || got[4] != want[2] || !slices.IsSorted(got) {
		t.Errorf("references of %v ms", got)
	}
	if got := References(wholes[:2]); len(got) != 2 || got[0].MedianMS != 1 || got[1].MedianMS != 8 {
		t.Errorf("of two: %+v", got)
	}
	if got := References([]Whole{{Network: space.MobileNetV2(6, 32, 10), MedianMS: 1, PredictedMS: 1}}); len(got) > 0 {
		t.Errorf("a network that is too large is one: %+v", got)
	}
}
