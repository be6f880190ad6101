package supernet

import (
	"math"
	"testing"

	"github.com/gomlx/compute"

	"densenas/internal/backends/backendstest"
	"densenas/supernet/space"
)

// smallSpace has one of each that devices share differently. Compiling it for several numbers of devices is what takes the time.
func smallSpace(t *testing.T) *space.Space {
	t.Helper()
	s := testSpace(t)
	s.HeadCandidates = s.HeadCandidates[:1]
	s.Blocks = s.Blocks[:2]
	s.Final.Stage = s.Blocks[1].Stage + 1
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// pairs samples two candidates where there are two.
func pairs(n int) []Pick {
	if n == 1 {
		return single(0)(n)
	}
	return mixed(n)
}

// onDevices makes a network whose batches are shared by so many virtual devices.
func onDevices(t *testing.T, s *space.Space, batch, devices int, synchronised bool) *Network {
	t.Helper()
	n, err := New(backendstest.Devices(t, devices).Backend, s, Options{
		Batch: batch, Seed: 1, Momentum: 0.9, WeightDecay: 1e-4, NormMomentum: 0.1, Devices: devices, SynchronisedNorm: synchronised,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Finalize)
	return n
}

func tensorsOf(t *testing.T, n *Network) []NamedTensor {
	t.Helper()
	state, err := n.State()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// TestDevicesAgree trains the same batch on one, two and four devices that synchronise batch norm: together they must compute
// what one computes.
func TestDevicesAgree(t *testing.T) {
	s := smallSpace(t)
	batch := fixedBatch(s, 16)
	padded := batch
	padded.Valid = 3 // of the first device's images: the others have nothing but padding
	type run struct {
		state         []NamedTensor // after one step
		products      *Products
		first, padded Result
		losses        []float64
	}
	on := func(devices int) (r run) {
		n := onDevices(t, s, 16, devices, true)
		for i := range 20 {
			result, err := n.WeightStep(batch, choiceOf(s, single(0)), 0.01)
			if err != nil {
				t.Fatal(err)
			}
			r.losses = append(r.losses, result.Loss)
			if i > 0 {
				continue
			}
			r.state = tensorsOf(t, n)
			if r.first, r.products, err = n.ArchitectureStep(batch, choiceOf(s, pairs)); err != nil {
				t.Fatal(err)
			}
			if r.padded, _, err = n.ArchitectureStep(padded, choiceOf(s, pairs)); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	one := on(1)
	for _, devices := range []int{2, 4} {
		r := on(devices)
		near := func(what string, got, want, tolerance float64) {
			t.Helper()
			if !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
				t.Errorf("%s is %.7g on %d devices, %.7g on one", what, got, devices, want)
			}
		}
		for i, tensor := range r.state {
			if e := relativeError(tensor.Data, one.state[i].Data); !(e < 1e-5) {
				t.Errorf("%s differs by %.2g after a step on %d devices", tensor.Name, e, devices)
			}
		}
		for i, loss := range r.losses {
			near("a weight step's loss", loss, one.losses[i], 1e-3)
		}
		near("the first loss", r.losses[0], one.losses[0], 1e-5)
		near("an architecture step's loss", r.first.Loss, one.first.Loss, 1e-5)
		near("the loss of few images", r.padded.Loss, one.padded.Loss, 1e-5)
		if r.first.Correct != one.first.Correct || r.padded.Correct != one.padded.Correct {
			t.Errorf("%d and %d are correct on %d devices, %d and %d on one", r.first.Correct, r.padded.Correct, devices, one.first.Correct, one.padded.Correct)
		}
		for k, product := range r.products.Stack[0][0] {
			near("a product", product, one.products.Stack[0][0][k], 1e-3)
		}
	}
}

// relativeError is that of a tensor as a whole.
func relativeError(got, want []float32) float64 {
	deviation, scale := 0.0, 0.0
	for i := range want {
		deviation += math.Pow(float64(got[i]-want[i]), 2)
		scale += math.Pow(float64(want[i]), 2)
	}
	if scale == 0 {
		return math.Sqrt(deviation)
	}
	return math.Sqrt(deviation / scale)
}

// TestDevicesKeepTheirOwnStatistics holds two devices, whose batch norm sees its own share only, against one device that gets
// the shares in turn.
func TestDevicesKeepTheirOwnStatistics(t *testing.T) {
	s := smallSpace(t)
	batch, choice := fixedBatch(s, 16), choiceOf(s, single(0))
	step := func(n *Network, b Batch) float64 {
		t.Helper()
		r, err := n.WeightStep(b, choice, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		return r.Loss
	}
	two, one := onDevices(t, s, 16, 2, false), onDevices(t, s, 8, 1, false)
	got := step(two, batch)
	state := tensorsOf(t, two)

	want, means := 0.0, map[string][]float32{}
	for half := range 2 {
		if err := one.SetState(nil); err != nil {
			t.Fatal(err)
		}
		values := len(batch.Images) / 2
		want += step(one, Batch{Images: batch.Images[half*values:][:values], Labels: batch.Labels[half*8:][:8], Valid: 8}) / 2
		for _, tensor := range tensorsOf(t, one) {
			if means[tensor.Name] == nil {
				means[tensor.Name] = make([]float32, len(tensor.Data))
			}
			for i, v := range tensor.Data {
				means[tensor.Name][i] += v / 2
			}
		}
	}
	if !(math.Abs(got-want) < 1e-5*want) {
		t.Errorf("the loss is %.7g, that of the halves %.7g", got, want)
	}
	// What a step of SGD changes is linear in the gradient, and the gradient of a mean is the mean of the gradients.
	for _, tensor := range state {
		if e := relativeError(tensor.Data, means[tensor.Name]); !(e < 1e-5) {
			t.Errorf("%s differs by %.2g from the mean of the halves", tensor.Name, e)
		}
	}

	next := step(two, batch)
	if err := two.SetState(state); err != nil {
		t.Fatal(err)
	}
	if again := step(two, batch); again != next {
		t.Errorf("the step after the first has the loss %v, from its state again %v", next, again)
	}
}

func TestDevicesRefused(t *testing.T) {
	s := testSpace(t)
	b := backendstest.Go(t).Backend
	for name, o := range map[string]Options{
		"more than there are": {Batch: 4, Devices: 2},
		"uneven":              {Batch: 5, Devices: 2},
		"clients":             {Batch: 4, Devices: 2, Clients: []compute.Backend{b}},
	} {
		if n, err := New(b, s, o); err == nil {
			n.Finalize()
			t.Errorf("%s: accepted", name)
		}
	}
}
