package network

import (
	"math/rand/v2"
	"testing"

	"densenas/supernet"
	"densenas/supernet/space"
)

// testSpace is small, because compiling is what takes the time here. Block 1 can be passed by.
func testSpace(t *testing.T) *space.Space {
	t.Helper()
	k3 := space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 3}
	s := &space.Space{
		Name: "test", Resolution: 8, Channels: 2, Classes: 3, Forward: 2,
		Stem:            space.StemLayer{Kernel: 3, Width: 4, Stride: 1},
		First:           space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1},
		HeadCandidates:  []space.Candidate{k3, {Kind: space.MBConv, Kernel: 3, Expansion: 6}},
		StackCandidates: []space.Candidate{k3, {Kind: space.Skip}},
		Blocks:          []space.Block{{Width: 4, Stride: 1}, {Width: 6, Stride: 2}, {Width: 8, Stride: 2, Stage: 1, Layers: 2}},
		Final:           space.FinalLayer{Width: 12, Stage: 2},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// testNetwork leads from block 0 to block 2 at once, by the second head candidate, with one stacked layer and, where wanted,
// a skip behind it.
func testNetwork(t *testing.T, withSkip bool) *space.Architecture {
	t.Helper()
	s := testSpace(t)
	head, final := s.Incoming(2)[1], s.Incoming(3)[0]
	stack := s.StackOps(2)
	a := s.Network([]int{0, 2}, []space.Op{s.HeadOps(head)[1], s.FinalOp(final)}, [][]space.Op{{stack[0]}})
	if withSkip {
		n := len(a.Layers) - 2
		layers := append([]space.Layer(nil), a.Layers[:n]...)
		a.Layers = append(append(layers, space.Layer{Block: 2, Op: stack[1]}), a.Layers[n:]...)
	}
	if err := a.Check(); err != nil {
		t.Fatal(err)
	}
	return a
}

// randomBatch are images of noise; labels take turns.
func randomBatch(a *space.Architecture, size int, seed uint64) supernet.Batch {
	r := rand.New(rand.NewPCG(seed, 1))
	b := supernet.Batch{Images: make([]float32, size*a.Resolution*a.Resolution*a.Channels), Labels: make([]int32, size), Valid: size}
	for i := range b.Images {
		b.Images[i] = float32(r.NormFloat64())
	}
	for i := range b.Labels {
		b.Labels[i] = int32(i % a.Classes)
	}
	return b
}
