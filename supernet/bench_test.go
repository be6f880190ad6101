package supernet

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// BenchmarkWeightStepByCandidates shows that a step costs the same however many candidates a layer has: what is not sampled
// costs nothing. The sampled ones are the same three each time, so that the sampled work is too. Compare the lines of processes
// with each other: memory is that of the process.
func BenchmarkWeightStepByCandidates(b *testing.B) {
	backend := backendstest.XLA(b)
	for _, candidates := range []int{3, 6, 12} {
		b.Run(fmt.Sprint(candidates), func(b *testing.B) {
			s, err := space.Load("tiny")
			if err != nil {
				b.Fatal(err)
			}
			s.Name = "bench"
			s.HeadCandidates, s.StackCandidates = nil, nil
			for _, expansion := range []int{3, 6, 2, 4}[:(candidates+2)/3] {
				for _, kernel := range []int{3, 5, 7} {
					c := space.Candidate{Kind: space.MBConv, Kernel: kernel, Expansion: expansion}
					s.HeadCandidates, s.StackCandidates = append(s.HeadCandidates, c), append(s.StackCandidates, c)
				}
			}
			n, err := New(backend.Backend, s, Options{Batch: 16, Seed: 1, Momentum: 0.9})
			if err != nil {
				b.Fatal(err)
			}
			defer n.Finalize()
			batch, r := fixedBatch(s, 16), rand.New(rand.NewPCG(1, 1))
			step := func() {
				choice := choiceOf(s, func(n int) []Pick { return []Pick{{Candidate: r.IntN(min(n, 3)), Weight: 1}} })
				if _, err := n.WeightStep(batch, choice, 0.01); err != nil {
					b.Fatal(err)
				}
			}
			// Weights are allocated when an operation is first sampled: sample all of them before.
			for range 25 {
				step()
			}
			for b.Loop() {
				step()
			}
			b.ReportMetric(residentMB(b), "MB")
		})
	}
}
