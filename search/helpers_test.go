package search

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"densenas/search/dataset"
	"densenas/search/objective"
	"densenas/supernet"
	"densenas/supernet/space"
)

// randomSpace is a small space with blocks that are joined in several ways.
func randomSpace(t testing.TB, r *rand.Rand) *space.Space {
	t.Helper()
	candidates := []space.Candidate{
		{Kind: space.MBConv, Kernel: 3, Expansion: 3}, {Kind: space.MBConv, Kernel: 3, Expansion: 6},
		{Kind: space.MBConv, Kernel: 5, Expansion: 3}, {Kind: space.MBConv, Kernel: 7, Expansion: 6}, {Kind: space.Skip},
	}
	s := &space.Space{
		Name: "random", Resolution: 16, Channels: 3, Classes: 4, Forward: 1 + r.IntN(4),
		Stem:           space.StemLayer{Kernel: 3, Width: 4, Stride: 1},
		First:          space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1},
		HeadCandidates: candidates[:1+r.IntN(4)], StackCandidates: candidates[r.IntN(4):],
		Blocks: []space.Block{{Width: 4, Stride: 1}},
	}
	last := s.Blocks[0]
	for range 1 + r.IntN(5) {
		last.Width, last.Layers = 1+r.IntN(16), r.IntN(3)
		if r.IntN(3) == 0 {
			last.Stage++
			if last.Stride < 8 {
				last.Stride *= 2
			}
		}
		s.Blocks = append(s.Blocks, last)
	}
	s.Final = space.FinalLayer{Width: 8, Stage: last.Stage + r.IntN(2)}
	if s.Forward > 2 {
		s.PathTemperature = 0.7
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// randomParameters are normal, with the given deviation.
func randomParameters(s *space.Space, r *rand.Rand, deviation float64) *space.Parameters {
	p := s.NewParameters()
	each(p, nil, func(row []float64, _ [][]float64) {
		for i := range row {
			row[i] = deviation * r.NormFloat64()
		}
	})
	return p
}

// flatten lists all logits.
func flatten(p *space.Parameters) []float64 {
	var out []float64
	each(p, nil, func(row []float64, _ [][]float64) { out = append(out, row...) })
	return out
}

// pointers lists where the logits are, in the order of flatten.
func pointers(p *space.Parameters) []*float64 {
	var out []*float64
	each(p, nil, func(row []float64, _ [][]float64) {
		for i := range row {
			out = append(out, &row[i])
		}
	})
	return out
}

// randomCosts are latencies between 0 and 1 ms of everything in a space.
func randomCosts(s *space.Space, r *rand.Rand) *objective.Costs {
	n := len(s.Blocks)
	row := func(size int) []float64 {
		out := make([]float64, size)
		for i := range out {
			out[i] = 0.1 + 0.9*r.Float64()
		}
		return out
	}
	c := &objective.Costs{Space: s, Unit: "ms", Head: make([][][]float64, n), Stack: make([][][]float64, n), StemAndFirst: 0.5, Classifier: 0.2, Call: 0.01}
	for b := 1; b < n; b++ {
		for range s.Incoming(b) {
			c.Head[b] = append(c.Head[b], row(len(s.HeadCandidates)))
		}
		for range s.Blocks[b].Layers {
			c.Stack[b] = append(c.Stack[b], row(len(s.StackCandidates)))
		}
	}
	c.Final = row(len(s.Incoming(n)))
	return c
}

// latency is an objective with the paper's weight and no target.
func latency(c *objective.Costs) Objective { return Objective{Costs: c, Base: 15, Factor: 0.15} }

// pictures opens a folder of 8×8 images: two classes, count of each for training and two for the test.
func pictures(t *testing.T, count int) *dataset.Dataset {
	t.Helper()
	folder := t.TempDir()
	r := rand.New(rand.NewPCG(9, 9))
	for _, part := range []struct {
		name  string
		count int
	}{{"train", count}, {"test", 2}} {
		for _, class := range []struct {
			name  string
			level int
		}{{"dark", 20}, {"light", 200}} {
			dir := filepath.Join(folder, part.name, class.name)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range part.count {
				img := image.NewGray(image.Rect(0, 0, 8, 8))
				for at := range img.Pix {
					img.Pix[at] = uint8(class.level + r.IntN(30))
				}
				img.SetGray(0, 0, color.Gray{uint8(i)})
				var data bytes.Buffer
				if err := png.Encode(&data, img); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), data.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	d, err := dataset.Open(folder, dataset.Options{Resolution: 8, Channels: 1, Seed: 1, HeldOutShare: 0.25, Augmentation: dataset.NoAugmentation, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// picksOf lists the picks of every layer of a choice.
func picksOf(c *supernet.Choice) [][]supernet.Pick {
	var out [][]supernet.Pick
	for j := range c.Head {
		out = append(append(out, c.Head[j]...), c.Stack[j]...)
	}
	return out
}
