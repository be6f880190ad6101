package supernet

import (
	"math/rand/v2"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

func testSpace(t *testing.T) *space.Space {
	t.Helper()
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.WithResolution(16); err != nil {
		t.Fatal(err)
	}
	return s
}

func fixedBatch(s *space.Space, size int) Batch {
	r := rand.New(rand.NewPCG(1, 1))
	b := Batch{Images: make([]float32, size*s.Resolution*s.Resolution*s.Channels), Labels: make([]int32, size), Valid: size}
	for i := range b.Images {
		b.Images[i] = float32(r.NormFloat64())
	}
	for i := range b.Labels {
		b.Labels[i] = int32(i % s.Classes)
	}
	return b
}

// one is a choice of the given candidate everywhere with even path probabilities.
func choiceOf(s *space.Space, pick func(candidates int) []Pick) *Choice {
	c := &Choice{}
	for i := range s.Blocks {
		n := len(s.Outgoing(i))
		beta := make([]float64, n)
		for k := range beta {
			beta[k] = 1 / float64(n)
		}
		c.Beta = append(c.Beta, beta)
	}
	for j := 1; j < len(s.Blocks); j++ {
		var head, stack [][]Pick
		for range s.Incoming(j) {
			head = append(head, pick(len(s.HeadCandidates)))
		}
		for range s.Blocks[j].Layers {
			stack = append(stack, pick(len(s.StackCandidates)))
		}
		c.Head, c.Stack = append(c.Head, head), append(c.Stack, stack)
	}
	return c
}

func single(k int) func(int) []Pick {
	return func(n int) []Pick { return []Pick{{Candidate: min(k, n-1), Weight: 1}} }
}

func TestWeightStepsLearnAFixedBatch(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := testSpace(t)
		n, err := New(b.Backend, s, Options{Batch: 10, Seed: 1, Momentum: 0.9, WeightDecay: 4e-5, NormMomentum: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		batch, choice := fixedBatch(s, 10), choiceOf(s, single(0))
		var first, last Result
		for i := range 15 {
			if last, err = n.WeightStep(batch, choice, 0.05); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = last
			}
		}
		if last.Loss > first.Loss/4 || last.Correct < 9 {
			t.Errorf("loss went from %.3f to %.3f with %d of 10 correct; a fixed batch should be learned", first.Loss, last.Loss, last.Correct)
		}
	})
}
