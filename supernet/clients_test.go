package supernet

import (
	"testing"

	"github.com/gomlx/compute"
	"github.com/google/go-cmp/cmp"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
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
