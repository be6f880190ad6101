package supernet

import (
	"testing"

	"github.com/gomlx/compute"
	"github.com/google/go-cmp/cmp"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// several opens two clients of a runtime: of xla one backend with two, of go two backends.
func several(t *testing.T, b backends.Backend) (first compute.Backend, more []compute.Backend) {
	t.Helper()
	if b.Name == backends.Go {
		return b.Backend, []compute.Backend{backendstest.Go(t).Backend}
	}
	two, err := backends.OpenWith(backends.XLA, backends.Options{Clients: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(two.Finalize)
	if len(two.More) != 1 {
		t.Skipf("%d clients were opened: this process has one processor", 1+len(two.More))
	}
	return two.Backend, two.More
}

// TestClientsChangeNoResult holds steps on two clients, whose calls run at once, against steps on one of them.
func TestClientsChangeNoResult(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := testSpace(t)
		first, more := several(t, b)
		run := func(more []compute.Backend) (losses []float64, products []*Products, state []NamedTensor) {
			n, err := New(first, s, Options{Batch: 4, Seed: 1, Momentum: 0.9, NormMomentum: 0.1, Clients: more})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Finalize()
			batch := fixedBatch(s, 4)
			for k := range 2 {
				r, err := n.WeightStep(batch, choiceOf(s, single(k)), 0.1)
				if err != nil {
					t.Fatal(err)
				}
				a, p, err := n.ArchitectureStep(batch, choiceOf(s, mixed))
				if err != nil {
					t.Fatal(err)
				}
				losses, products = append(losses, r.Loss, a.Loss), append(products, p)
			}
			if state, err = n.State(); err != nil {
				t.Fatal(err)
			}
			return losses, products, state
		}
		losses, products, state := run(nil)
		losses2, products2, state2 := run(more)
		if !cmp.Equal(losses, losses2) || !cmp.Equal(products, products2) || !cmp.Equal(state, state2) {
			t.Errorf("one client gives losses %v, two give %v; weights equal: %t", losses, losses2, cmp.Equal(state, state2))
		}
	})
}

// TestCandidatesAreDealtEvenly: of two clients, neither has the small candidates of a layer or the large ones, nor all final
// convolutions.
func TestCandidatesAreDealtEvenly(t *testing.T) {
	s, err := space.Load("mbv2")
	if err != nil {
		t.Fatal(err)
	}
	b := backendstest.Go(t).Backend
	n, err := New(b, s, Options{Batch: 1, Clients: []compute.Backend{b}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	for _, layers := range [][][][]*weights{n.head, n.stack, {{n.final}}} {
		for _, block := range layers {
			for _, layer := range block {
				var count [2]int
				var work [2]float64
				for _, w := range layer {
					if w.op.Kind != space.Skip {
						count[w.client]++
						work[w.client] += float64(w.op.MultiplyAdds())
					}
				}
				if d := count[0] - count[1]; d < -1 || d > 1 {
					t.Errorf("%s and others: %d and %d operations", layer[0].name, count[0], count[1])
				}
				if ratio := work[0] / work[1]; len(layer) > 3 && (ratio < 0.7 || ratio > 1.4) {
					t.Errorf("%s and others: %.0f and %.0f multiply-adds", layer[0].name, work[0], work[1])
				}
			}
		}
	}
}
