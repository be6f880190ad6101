package supernet

import (
	"strings"
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
)

// TestExtend trains one candidate of every layer, then lets the others take over from it: with them, the super network computes the same.
func TestExtend(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s := testSpace(t)
		first, more := several(t, b)
		n, err := New(first, s, Options{Batch: 4, Seed: 1, Momentum: 0.9, NormMomentum: 0.1, Clients: more})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		batch, base := fixedBatch(s, 4), choiceOf(s, single(0))
		other := choiceOf(s, single(0))
		for _, block := range other.Head {
			for _, layer := range block {
				layer[0].Candidate = 1
			}
		}
		loss := func(c *Choice) float64 {
			t.Helper()
			r, err := n.Evaluate(batch, c)
			if err != nil {
				t.Fatal(err)
			}
			return r.Loss
		}
		// Before anything is trained there is nothing to take over.
		if err := n.Extend(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := n.WeightStep(batch, base, 0.1); err != nil {
				t.Fatal(err)
			}
		}
		// One step of the others, whose momentum must not outlast what it belongs to.
		if _, err := n.WeightStep(batch, other, 0.1); err != nil {
			t.Fatal(err)
		}
		want := loss(base)
		if apart := loss(other); apart-want < 1e-2 && want-apart < 1e-2 {
			t.Fatalf("the losses are %g and %g before: the test shows nothing", want, apart)
		}
		if err := n.Extend(); err != nil {
			t.Fatal(err)
		}
		if got := loss(base); got != want {
			t.Errorf("the loss with the candidates that were trained is %g, was %g", got, want)
		}
		if got := loss(other); got-want > 1e-5 || want-got > 1e-5 {
			t.Errorf("the loss with those that took over is %g, want %g", got, want)
		}
		for _, v := range tensorsOf(t, n) {
			if strings.Contains(v.Name, "mbconv_k5_t3") && strings.HasSuffix(v.Name, "/velocity") {
				t.Errorf("%s is there: momentum should start anew", v.Name)
			}
		}
		before := loss(other)
		if _, err := n.WeightStep(batch, other, 0.1); err != nil {
			t.Fatal(err)
		}
		if after := loss(other); !(after < before) {
			t.Errorf("a step of those that took over moves the loss from %g to %g", before, after)
		}
	})
}

// TestExtendOnDevices holds what candidates take over on two devices against what they do on one, and what a saved state is continued as.
func TestExtendOnDevices(t *testing.T) {
	s := testSpace(t)
	batch := fixedBatch(s, 16)
	var want []NamedTensor
	for _, devices := range []int{1, 2} {
		n := onDevices(t, s, 16, devices, true)
		if _, err := n.WeightStep(batch, choiceOf(s, single(0)), 0.01); err != nil {
			t.Fatal(err)
		}
		if err := n.Extend(); err != nil {
			t.Fatal(err)
		}
		state := tensorsOf(t, n)
		if want == nil {
			want = state
		}
		if len(state) != len(want) {
			t.Fatalf("%d tensors on %d devices, %d on one", len(state), devices, len(want))
		}
		for i, v := range state {
			for k, x := range v.Data {
				if y := want[i].Data[k]; v.Name != want[i].Name || x-y > 1e-4 || y-x > 1e-4 {
					t.Fatalf("on %d devices %s[%d] is %g, on one %s is %g", devices, v.Name, k, x, want[i].Name, y)
				}
			}
		}
		before, err := n.Evaluate(batch, choiceOf(s, single(1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := n.SetState(state); err != nil {
			t.Fatal(err)
		}
		if after, err := n.Evaluate(batch, choiceOf(s, single(1))); err != nil || after != before {
			t.Errorf("on %d devices the loss is %g with the state that was read, %g before, %v", devices, after.Loss, before.Loss, err)
		}
	}
}
