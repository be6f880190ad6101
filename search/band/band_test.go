package band

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// smallSpace draws a space with few architectures.
func smallSpace(r *rand.Rand) *space.Space {
	for {
		s := &space.Space{Name: "random", Resolution: 32, Channels: 1, Classes: 10, Forward: 1 + r.IntN(3),
			Stem: space.StemLayer{Kernel: 3, Width: 8, Stride: 1}, First: space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1}, Final: space.FinalLayer{Width: 8}}
		for i := range 1 + r.IntN(2) {
			s.HeadCandidates = append(s.HeadCandidates, space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1 + i})
			s.StackCandidates = append(s.StackCandidates, space.Candidate{Kind: space.MBConv, Kernel: 5, Expansion: 1 + i})
		}
		if r.IntN(4) > 0 {
			s.StackCandidates = append(s.StackCandidates, space.Candidate{Kind: space.Skip})
		}
		b := space.Block{Width: 8, Stride: 1}
		for range 2 + r.IntN(3) {
			s.Blocks = append(s.Blocks, b)
			b.Width, b.Layers = 8+r.IntN(8), r.IntN(3)
			b.Stage += r.IntN(2)
		}
		s.Final.Stage = s.Blocks[len(s.Blocks)-1].Stage
		if s.Check() == nil {
			return s
		}
	}
}

func measured(r *rand.Rand, s *space.Space) *lut.Table {
	table := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{s.Resolution}, DType: "f32", Layout: "nhwc",
		CallMS: 0.1, CallLowMS: 0.1, CallHighMS: 0.1}
	for _, c := range s.Ops() {
		table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.1 + r.Float64()})
	}
	return table
}

// everything is the latency of every architecture of a space, by enumeration of all choices, skips included.
func everything(t *testing.T, s *space.Space, table *lut.Table) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	var walk func(path []int, heads []space.Op, stacks [][]space.Op)
	walk = func(path []int, heads []space.Op, stacks [][]space.Op) {
		for _, c := range s.Outgoing(path[len(path)-1]) {
			if c.To == len(s.Blocks) {
				a := s.Network(path, append(heads[:len(heads):len(heads)], s.FinalOp(c)), stacks)
				total, _, err := table.Network(a)
				if err != nil {
					t.Fatal(err)
				}
				all[identity(a)] = total.MS
				continue
			}
			choices := [][]space.Op{nil}
			for range s.Blocks[c.To].Layers {
				var longer [][]space.Op
				for _, stack := range choices {
					for _, op := range s.StackOps(c.To) {
						longer = append(longer, append(stack[:len(stack):len(stack)], op))
					}
				}
				choices = longer
			}
			for _, head := range s.HeadOps(c) {
				for _, stack := range choices {
					walk(append(path[:len(path):len(path)], c.To), append(heads[:len(heads):len(heads)], head), append(stacks[:len(stacks):len(stacks)], stack))
				}
			}
		}
	}
	walk([]int{0}, nil, nil)
	return all
}

// most is the value of chi-squared with so many degrees of freedom that a uniform draw exceeds once in about 30,000 times
// (Wilson and Hilferty's approximation at four deviations).
func most(freedom int) float64 {
	k := float64(freedom)
	return k * math.Pow(1-2/(9*k)+4*math.Sqrt(2/(9*k)), 3)
}

// statistic is chi-squared of counts against equal shares.
func statistic(counts map[string]int, of map[string]float64, draws int) float64 {
	expected := float64(draws) / float64(len(of))
	sum := 0.0
	for key := range of {
		d := float64(counts[key]) - expected
		sum += d * d / expected
	}
	return sum
}

// Against all architectures of small random spaces: every one in the band comes as often as any other, and none from outside.
func TestDrawsAreUniformOverTheBand(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	tested, uneven := 0, 0
	for tested < 20 {
		s := smallSpace(r)
		table := measured(r, s)
		all := everything(t, s, table)
		fastest, slowest := math.Inf(1), 0.0
		for _, ms := range all {
			fastest, slowest = min(fastest, ms), max(slowest, ms)
		}
		low := fastest + r.Float64()*(slowest-fastest)
		high := low + r.Float64()*(slowest-low)
		inside := map[string]float64{}
		for key, ms := range all {
			if ms >= low && ms <= high {
				inside[key] = ms
			}
		}
		if len(inside) < 5 || len(inside) > 100 || 20*len(inside) < len(all) {
			continue
		}
		tested++
		b, err := New(s, table, low, high)
		if err != nil {
			t.Fatal(err)
		}
		draws := 30 * len(inside)
		counts, biased := map[string]int{}, map[string]int{}
		for range draws {
			a, err := b.Draw(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Check(); err != nil {
				t.Fatal(err)
			}
			if ms, there := inside[identity(a)]; !there || ms != a.Predicted.LatencyMS {
				t.Fatalf("%s of %g ms is not in the band from %g to %g", identity(a), a.Predicted.LatencyMS, low, high)
			}
			counts[identity(a)]++
			for { // each choice of skips as likely as any other, which is not uniform over architectures
				if a := s.Draw(r, func(space.Op) float64 { return 1 }); inside[identity(a)] > 0 {
					biased[identity(a)]++
					break
				}
			}
		}
		if got := statistic(counts, inside, draws); got > most(len(inside)-1) {
			t.Errorf("chi-squared of %d draws from %d architectures is %.1f, at most %.1f is expected", draws, len(inside), got, most(len(inside)-1))
		}
		if statistic(biased, inside, draws) > most(len(inside)-1) {
			uneven++
		}
	}
	// The test notices a sampler that is not uniform.
	if uneven < 5 {
		t.Errorf("draws by choices were found uneven in %d of %d cases only", uneven, tested)
	}
}

// All of a band can be drawn, and each once.
func TestDifferentDrawsDiffer(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for range 20 {
		s := smallSpace(r)
		table := measured(r, s)
		all := everything(t, s, table)
		if len(all) > 100 {
			continue
		}
		b, err := New(s, table, 0, 1e6)
		if err != nil {
			t.Fatal(err)
		}
		found, err := b.Different(r, len(all)+1)
		if err != nil || len(found) != len(all) {
			t.Errorf("%d of %d architectures, %v", len(found), len(all), err)
		}
	}
}

// The band of a large space, and a very narrow one.
func TestDrawFromALargeSpace(t *testing.T) {
	s, err := space.Load("mbv2")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 0))
	table := measured(r, s)
	for _, band := range [][2]float64{{10, 10.5}, {10, 10.0001}} {
		b, err := New(s, table, band[0], band[1])
		if err != nil {
			t.Fatal(err)
		}
		found, err := b.Different(r, 20)
		if err != nil || len(found) != 20 {
			t.Fatalf("%d, %v", len(found), err)
		}
		paths := map[int]bool{}
		for _, a := range found {
			if p := a.Predicted.LatencyMS; p < band[0] || p > band[1] || a.Check() != nil {
				t.Errorf("%g ms, %v", p, a.Check())
			}
			paths[len(a.Path)] = true
		}
		if len(paths) < 2 {
			t.Errorf("all paths have the same length")
		}
	}
}

func TestNewRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	s := smallSpace(r)
	table := measured(r, s)
	for _, band := range [][2]float64{{0, 1e-3}, {1e6, 1e7}, {2, 1}, {math.NaN(), 1}} {
		if _, err := New(s, table, band[0], band[1]); err == nil || exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "band") {
			t.Errorf("%v: %v", band, err)
		}
	}
	table.Entries = table.Entries[1:]
	if _, err := New(s, table, 0, 100); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("a table that lacks an operation gave %v", err)
	}
}
