package objective

import (
	"math"
	"math/rand/v2"
	"testing"

	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

// randomSpace draws a small valid space with all kinds of connections.
func randomSpace(r *rand.Rand) *space.Space {
	for {
		s := &space.Space{Name: "random", Resolution: 32, Channels: 1, Classes: 10, Forward: 1 + r.IntN(4),
			Stem: space.StemLayer{Kernel: 3, Width: 8, Stride: 1}, First: space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1}, Final: space.FinalLayer{Width: 8}}
		for i := range 1 + r.IntN(3) {
			s.HeadCandidates = append(s.HeadCandidates, space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1 + i})
			s.StackCandidates = append(s.StackCandidates, space.Candidate{Kind: space.MBConv, Kernel: 5, Expansion: 1 + i})
		}
		if r.IntN(3) > 0 {
			s.StackCandidates = append(s.StackCandidates, space.Candidate{Kind: space.Skip})
		}
		b := space.Block{Width: 8, Stride: 1}
		for range 1 + r.IntN(5) {
			s.Blocks = append(s.Blocks, b)
			b.Width, b.Layers = 8+r.IntN(4), r.IntN(3)
			if r.IntN(3) == 0 {
				b.Stride *= 2
			}
			b.Stage += r.IntN(2)
		}
		s.Final.Stage = s.Blocks[len(s.Blocks)-1].Stage
		if s.PathTemperature = []float64{0, 0.9, 3}[r.IntN(3)]; s.Check() == nil {
			return s
		}
	}
}

func randomCosts(r *rand.Rand, s *space.Space) *Costs {
	c := &Costs{Space: s, StemAndFirst: r.Float64(), Classifier: r.Float64(), Call: r.Float64(), Head: make([][][]float64, len(s.Blocks)), Stack: make([][][]float64, len(s.Blocks))}
	for b := 1; b < len(s.Blocks); b++ {
		for range s.Incoming(b) {
			c.Head[b] = append(c.Head[b], randomRow(r, len(s.HeadCandidates)))
		}
		for range s.Blocks[b].Layers {
			c.Stack[b] = append(c.Stack[b], randomRow(r, len(s.StackCandidates)))
		}
	}
	c.Final = randomRow(r, len(s.Incoming(len(s.Blocks))))
	if r.IntN(2) == 0 {
		c.Ends = randomRow(r, len(c.Final))
	}
	return c
}

func randomRow(r *rand.Rand, n int) []float64 {
	row := make([]float64, n)
	for i := range row {
		row[i] = r.Float64()
	}
	return row
}

func randomParameters(r *rand.Rand, s *space.Space, scale float64) *space.Parameters {
	p := s.NewParameters()
	for _, row := range rowsOf(p) {
		for i := range row {
			row[i] = scale * r.NormFloat64()
		}
	}
	return p
}

// rowsOf lists all rows, which share their elements with p.
func rowsOf(p *space.Parameters) [][]float64 {
	rows := append([][]float64(nil), p.Beta...)
	for _, t := range [][][][]float64{p.AlphaHead, p.AlphaStack} {
		for _, block := range t {
			rows = append(rows, block...)
		}
	}
	return rows
}

// choice is one way through a space with everything chosen; time counts skips as the table has them.
type choice struct{ probability, time float64 }

// everything lists all choices by walking the space, each layer's on its own: nothing is shared with the formula under test.
func everything(c *Costs, p *space.Parameters) []choice {
	s := c.Space
	softmaxAt := func(temperature float64, logits []float64, i int) float64 {
		sum := 0.0
		for _, v := range logits {
			sum += math.Exp((v - logits[i]) / temperature)
		}
		return 1 / sum
	}
	softmax := func(logits []float64, i int) float64 { return softmaxAt(1, logits, i) }
	temperature := 1.0
	if s.PathTemperature != 0 {
		temperature = s.PathTemperature
	}
	var all []choice
	var walk func(block int, so choice)
	walk = func(block int, so choice) {
		for _, o := range s.Outgoing(block) {
			next := choice{so.probability * softmaxAt(temperature, p.Beta[block], o.Outgoing), so.time}
			if o.To == len(s.Blocks) {
				next.time += c.Final[o.Incoming] + c.Classifier + c.Call
				all = append(all, next)
				continue
			}
			for h, time := range c.Head[o.To][o.Incoming] {
				chosen := []choice{{next.probability * softmax(p.AlphaHead[o.To-1][o.Incoming], h), next.time + time}}
				for layer, times := range c.Stack[o.To] {
					var longer []choice
					for _, before := range chosen {
						for i, time := range times {
							longer = append(longer, choice{before.probability * softmax(p.AlphaStack[o.To-1][layer], i), before.time + time})
						}
					}
					chosen = longer
				}
				for _, with := range chosen {
					walk(o.To, with)
				}
			}
		}
	}
	walk(0, choice{1, c.StemAndFirst})
	return all
}

func TestChainedIsTheMeanOverAllArchitectures(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for tested := 0; tested < 60; {
		s := randomSpace(r)
		c, p := randomCosts(r, s), randomParameters(r, s, 2)
		size := 1.0
		for _, b := range s.Blocks {
			size *= 3 * math.Pow(float64(len(s.StackCandidates)), float64(b.Layers))
		}
		if size > 20000 {
			continue
		}
		tested++
		mean, total := 0.0, 0.0
		for _, a := range everything(c, p) {
			mean += a.probability * a.time
			total += a.probability
		}
		if math.Abs(total-1) > 1e-9 {
			t.Fatalf("the probabilities add up to %g", total)
		}
		if got, _ := c.Chained(p); math.Abs(got-mean) > 1e-9*mean {
			t.Fatalf("chained cost %.12g, the mean over all architectures is %.12g", got, mean)
		}
	}
}

func TestGradientIsTheSlope(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 0))
	for range 60 {
		s := randomSpace(r)
		c, p := randomCosts(r, s), randomParameters(r, s, 2)
		_, gradient := c.Chained(p)
		rows := rowsOf(p)
		for i, g := range rowsOf(gradient) {
			for j := range g {
				const h = 1e-5
				at := rows[i][j]
				rows[i][j] = at + h
				up, _ := c.Chained(p)
				rows[i][j] = at - h
				down, _ := c.Chained(p)
				rows[i][j] = at
				if slope := (up - down) / (2 * h); math.Abs(slope-g[j]) > 1e-8 {
					t.Fatalf("element %d of row %d has gradient %.9g, the slope is %.9g", j, i, g[j], slope)
				}
			}
		}
	}
}

// A search that mixes only some candidates asks with probabilities: the cost is linear in each row.
func TestExpectedGradientIsTheSlope(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 0))
	for range 30 {
		s := randomSpace(r)
		c := randomCosts(r, s)
		p := s.NewParameters()
		for _, row := range rowsOf(p) {
			copy(row, randomRow(r, len(row)))
			row[r.IntN(len(row))] = 0
		}
		before, gradient := c.Expected(p)
		rows := rowsOf(p)
		for i, g := range rowsOf(gradient) {
			for j := range g {
				rows[i][j]++
				after, _ := c.Expected(p)
				rows[i][j]--
				if math.Abs(after-before-g[j]) > 1e-9*(1+after) {
					t.Fatalf("element %d of row %d has gradient %.9g, one more changes the cost by %.9g", j, i, g[j], after-before)
				}
			}
		}
	}
}

func TestExtremesAreThoseOfAllArchitectures(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	for tested := 0; tested < 60; {
		s := randomSpace(r)
		c := randomCosts(r, s)
		size := 1.0
		for _, b := range s.Blocks {
			size *= 3 * math.Pow(float64(len(s.StackCandidates)), float64(b.Layers))
		}
		if size > 20000 {
			continue
		}
		tested++
		// An architecture leaves skipped layers out, and may end otherwise than the super network.
		free := *c
		if c.Ends != nil {
			free.Final, free.Classifier = c.Ends, 0
		}
		free.Stack = make([][][]float64, len(c.Stack))
		for b, layers := range c.Stack {
			for _, layer := range layers {
				row := append([]float64(nil), layer...)
				if last := len(row) - 1; s.StackCandidates[last].Kind == space.Skip {
					row[last] = 0
				}
				free.Stack[b] = append(free.Stack[b], row)
			}
		}
		fastest, slowest := math.Inf(1), math.Inf(-1)
		for _, a := range everything(&free, s.NewParameters()) {
			fastest, slowest = min(fastest, a.time), max(slowest, a.time)
		}
		if got := c.Fastest(); math.Abs(got-fastest) > 1e-12 {
			t.Fatalf("fastest %g, of all architectures it is %g", got, fastest)
		}
		if got := c.Slowest(); math.Abs(got-slowest) > 1e-12 {
			t.Fatalf("slowest %g, of all architectures it is %g", got, slowest)
		}
	}
}

func TestChainedLeavesItsInput(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 0))
	s := randomSpace(r)
	c, p := randomCosts(r, s), randomParameters(r, s, 1)
	before := eachRow(p, func(row []float64) []float64 { return append([]float64(nil), row...) })
	ms, _ := c.Chained(p)
	if diff := cmp.Diff(before, p); diff != "" {
		t.Errorf("the parameters changed: %s", diff)
	}
	if again, _ := c.Chained(p); again != ms {
		t.Errorf("%g, and asked again %g", ms, again)
	}
}

func TestExtremeLogits(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 0))
	for range 50 {
		s := randomSpace(r)
		c, p := randomCosts(r, s), randomParameters(r, s, 1)
		for _, row := range rowsOf(p) {
			for i := range row {
				row[i] = 1000 * float64(1-2*r.IntN(2))
			}
		}
		ms, gradient := c.Chained(p)
		if !(ms >= c.Call && ms < 100) {
			t.Fatalf("cost %g", ms)
		}
		for _, row := range rowsOf(gradient) {
			for _, g := range row {
				if math.IsNaN(g) || math.Abs(g) > 100 {
					t.Fatalf("gradient %g", g)
				}
			}
		}
	}
}

func TestSoftmax(t *testing.T) {
	for _, c := range []struct{ logits, want []float64 }{
		{[]float64{0, 0}, []float64{0.5, 0.5}},
		{[]float64{math.Log(1), math.Log(2), math.Log(5)}, []float64{0.125, 0.25, 0.625}},
		{[]float64{1000, -1000}, []float64{1, 0}},
		{[]float64{-1000, -1000, -1000, -1000}, []float64{0.25, 0.25, 0.25, 0.25}},
		{[]float64{7}, []float64{1}},
		{nil, []float64{}},
	} {
		got := Softmax(c.logits)
		if len(got) != len(c.want) {
			t.Errorf("softmax of %v is %v", c.logits, got)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-12 {
				t.Errorf("softmax of %v is %v, want %v", c.logits, got, c.want)
			}
		}
	}
	if got := LogSoftmax([]float64{1000, -1000}); got[0] != 0 || got[1] != -2000 {
		t.Errorf("logarithms of probabilities are %v, want 0 and -2000", got)
	}
}
