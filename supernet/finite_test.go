package supernet

import (
	"math"
	"strings"
	"testing"

	"densenas/internal/backends/backendstest"
)

// What is no number is traced to the operation that it came up in, wherever that is in the network, though one step carries it to the
// weights of all others.
func TestNonFiniteNamesTheOperation(t *testing.T) {
	s := testSpace(t)
	n, err := New(backendstest.Go(t).Backend, s, Options{Batch: 4, Seed: 1, Momentum: 0.9, NormMomentum: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Finalize()
	batch, choice := fixedBatch(s, 4), choiceOf(s, single(0))
	nonFinite := func() (place, operation string) {
		t.Helper()
		place, operation, err := n.NonFinite()
		if err != nil {
			t.Fatal(err)
		}
		return place, operation
	}
	if _, err := n.WeightStep(batch, choice, 0.05); err != nil {
		t.Fatal(err)
	}
	if place, operation := nonFinite(); place != "" || operation != "" {
		t.Errorf("after a good step: %s at %s", operation, place)
	}
	good := tensorsOf(t, n)
	head := HeadPlace(s.Outgoing(0)[0], s.HeadCandidates[0])
	for place, operation := range map[string]string{
		StemPlace:                              "stem_k3_i1_o4_s1_r8",
		FirstPlace:                             "mbconv_k3_t1_i4_o4_s1_r8",
		head:                                   "mbconv_k3_t3_i4_o6_s2_r8",
		StackPlace(1, 0, s.StackCandidates[0]): "mbconv_k3_t3_i6_o6_s1_r4",
		ClassifierPlace:                        "classifier_i16_o5_r4",
	} {
		if err := n.SetState(poisoned(t, good, place)); err != nil {
			t.Fatal(err)
		}
		// As after a step whose update went too far.
		if gotPlace, gotOperation := nonFinite(); gotPlace != place || gotOperation != operation {
			t.Errorf("%s is not finite, before a step: %s at %s, want %s", place, gotOperation, gotPlace, operation)
		}
		r, err := n.WeightStep(batch, choice, 0.05)
		if err != nil {
			t.Fatal(err)
		}
		if !math.IsNaN(r.Loss) && !math.IsInf(r.Loss, 0) {
			t.Fatalf("%s is not finite, and the loss is %g", place, r.Loss)
		}
		spread := map[bool]int{}
		for _, tensor := range tensorsOf(t, n) {
			spread[finite(tensor.Data)]++
		}
		if spread[false] < 10 {
			t.Fatalf("%s is not finite, and only %d tensors are none behind the step", place, spread[false])
		}
		if gotPlace, gotOperation := nonFinite(); gotPlace != place || gotOperation != operation {
			t.Errorf("%s is not finite, behind a step: %s at %s, want %s", place, gotOperation, gotPlace, operation)
		}
	}
}

// poisoned is a state with an infinite number among the weights of a place.
func poisoned(t *testing.T, state []NamedTensor, place string) []NamedTensor {
	t.Helper()
	out := append([]NamedTensor(nil), state...)
	for i, tensor := range out {
		if strings.HasPrefix(tensor.Name, place+"/") && !strings.HasSuffix(tensor.Name, "/running") && !strings.HasSuffix(tensor.Name, "/velocity") {
			out[i].Data = append([]float32{float32(math.Inf(1))}, tensor.Data[1:]...)
			return out
		}
	}
	t.Fatalf("%s has no weights", place)
	return nil
}
