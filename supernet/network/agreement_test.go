package network

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// places names the layers of testNetwork in the state of the super network of testSpace.
func places(s *space.Space) []string {
	head, final := s.Incoming(2)[1], s.Incoming(3)[0]
	return []string{
		supernet.StemPlace, supernet.FirstPlace,
		supernet.HeadPlace(head, s.HeadCandidates[1]),
		supernet.StackPlace(2, 0, s.StackCandidates[0]),
		supernet.FinalPlace(final),
		supernet.ClassifierPlace,
	}
}

// testChoice makes the super network of testSpace compute testNetwork: certain of its path and of its operations. Layers off
// the path run too, and count nothing.
func testChoice(s *space.Space) *supernet.Choice {
	one := func(k int) []supernet.Pick { return []supernet.Pick{{Candidate: k, Weight: 1}} }
	c := &supernet.Choice{
		Head:  [][][]supernet.Pick{{one(0)}, {one(0), one(1)}},
		Stack: [][][]supernet.Pick{nil, {one(0), one(1)}},
	}
	path := map[int]int{0: 2, 2: 3}
	for i := range s.Blocks {
		out := s.Outgoing(i)
		row := make([]float64, len(out))
		row[0] = 1
		for k, connection := range out {
			if to, on := path[i]; on {
				row[k] = 0
				if connection.To == to {
					row[k] = 1
				}
			}
		}
		c.Beta = append(c.Beta, row)
	}
	return c
}

// The super network, operation by operation, and the whole graph of one of its networks compute the same loss from the same
// weights, and update them alike. The scales and offsets that only the latter has start at one and zero. What was not sampled
// stays as it was: neither weight decay nor momentum moves it.
func TestSuperNetworkAgreesWithTheWholeGraph(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		s, a := testSpace(t), testNetwork(t, false)
		const size, seed, rate = 5, 3, 0.1
		n, err := supernet.New(b.Backend, s, supernet.Options{Batch: size, Seed: 99, Momentum: 0.9, WeightDecay: 1e-3, NormMomentum: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Finalize()
		trainer, err := NewTrainer(b.Backend, a, Options{Batch: size, Seed: seed, Momentum: 0.9, WeightDecay: 1e-3, NormMomentum: 0.1})
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Finalize()

		// The trainer's weights, by their names in the super network; at is where they lie in the trainer.
		var state []supernet.NamedTensor
		at := map[string]*[]*tensors.Tensor{}
		index := map[string]int{}
		flat, norm := 0, 0
		for i, o := range a.Ops() {
			place := places(s)[i]
			for k, p := range op.TrainingParameters(o, true) {
				if k < len(op.TrainingParameters(o, false)) {
					name := place + "/" + p.Name
					values, err := tensors.CopyFlatData[float32](trainer.params[flat])
					if err != nil {
						t.Fatal(err)
					}
					state = append(state, supernet.NamedTensor{Name: name, Dims: p.Dims, Data: values})
					at[name], index[name] = &trainer.params, flat
					at[name+"/velocity"], index[name+"/velocity"] = &trainer.velocity, flat
				}
				flat++
			}
			if width := op.StatisticsSize(o); width > 0 {
				name := place + "/running"
				state = append(state, supernet.NamedTensor{Name: name, Dims: []int{1, width}, Data: op.InitialStatistics(o)})
				at[name], index[name] = &trainer.running, norm
				norm++
			}
		}
		// A candidate that is not sampled, in the middle of its training.
		idle := map[string][]float32{}
		place := fmt.Sprintf("block2/connection1/%v", s.HeadCandidates[0])
		o := s.HeadOps(s.Incoming(2)[1])[0]
		keep := func(name string, dims []int, values []float32) {
			state = append(state, supernet.NamedTensor{Name: name, Dims: dims, Data: values})
			idle[name] = values
		}
		for _, p := range op.TrainingParameters(o, false) {
			keep(place+"/"+p.Name, p.Dims, supernet.Initial(seed, "weight "+p.Name, p))
			keep(place+"/"+p.Name+"/velocity", p.Dims, supernet.Initial(seed, "velocity "+p.Name, p))
		}
		keep(place+"/running", []int{1, op.StatisticsSize(o)}, op.InitialStatistics(o))
		if err := n.SetState(state); err != nil {
			t.Fatal(err)
		}

		batch := randomBatch(a, size, 4)
		stepped, err := n.WeightStep(batch, testChoice(s), rate)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := trainer.Step(batch, rate)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(stepped.Loss-whole.Loss) > 1e-5*whole.Loss || stepped.Correct != whole.Correct {
			t.Errorf("op by op: loss %.8f, %d correct; as one graph: %.8f, %d", stepped.Loss, stepped.Correct, whole.Loss, whole.Correct)
		}

		after, err := n.State()
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		for _, got := range after {
			if want, ok := idle[got.Name]; ok {
				if !slices.Equal(got.Data, want) {
					t.Errorf("%s decayed or moved, but was not sampled", got.Name)
				}
				delete(idle, got.Name)
				continue
			}
			list, ok := at[got.Name]
			if !ok {
				continue // off the path
			}
			compared++
			want, err := tensors.CopyFlatData[float32]((*list)[index[got.Name]])
			if err != nil {
				t.Fatal(err)
			}
			largest, difference := 0.0, 0.0
			for i := range want {
				largest = max(largest, math.Abs(float64(want[i])))
				difference = max(difference, math.Abs(float64(got.Data[i]-want[i])))
			}
			if !(largest > 0) || difference > 1e-4*largest {
				t.Errorf("%s: op by op and one graph differ by %g where the largest is %g", got.Name, difference, largest)
			}
		}
		if len(idle) > 0 {
			t.Errorf("%d tensors of a candidate that was not sampled are gone", len(idle))
		}
		if compared != len(at) {
			t.Errorf("%d of %d tensors compared", compared, len(at))
		}
	})
}
