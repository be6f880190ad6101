package supernet

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// weights are one operation's parameters at one place of the super network, on the device.
type weights struct {
	name     string // place and candidate, such as "block3/connection1/mbconv_k3_t6"
	op       space.Op
	client   int // where the tensors are
	params   []*tensors.Tensor
	velocity []*tensors.Tensor // momentum, nil before the first update
	running  *tensors.Tensor   // running statistics, nil where the operation has no batch norm
}

// device is a client of the runtime, with what its tensors share.
type device struct {
	backend compute.Backend
	dtype   dtypes.DType // of activations
	zeros   map[string]*tensors.Tensor
}

// zero returns a shared tensor of zeros of activations, never written and never freed by a step.
func (d device) zero(dims ...int) (*tensors.Tensor, error) {
	key := fmt.Sprint(dims)
	if t := d.zeros[key]; t != nil {
		return t, nil
	}
	t, err := zeros(d.backend, d.dtype, dims...)
	if err == nil {
		d.zeros[key] = t
	}
	return t, err
}

// Initial draws the starting values of a parameter from a generator that depends on seed and name alone, so that they do
// not depend on when an operation is first sampled.
func Initial(seed uint64, name string, w op.Weight) []float32 {
	h := fnv.New64a()
	h.Write([]byte(name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	v := make([]float32, w.Size())
	for i := range v {
		v[i] = float32(w.Value)
		if w.Deviation > 0 {
			v[i] = float32(w.Deviation * r.NormFloat64())
		}
	}
	return v
}

// materialize draws the weights on first use.
func (n *Network) materialize(w *weights) error {
	if w.params != nil || w.op.Kind == space.Skip {
		return nil
	}
	return n.restart(w, n.drawn(w), op.InitialStatistics(w.op))
}

// drawn are the values that an operation's parameters start from.
func (n *Network) drawn(w *weights) [][]float32 {
	var values [][]float32
	for _, p := range n.parameters(w.op) {
		values = append(values, Initial(n.options.Seed, w.name+"/"+p.Name, p))
	}
	return values
}

// restart replaces what an operation has by the given parameters and running statistics, which may be none.
func (n *Network) restart(w *weights, params [][]float32, running []float32) error {
	b := n.devices[w.client].backend
	var uploaded []*tensors.Tensor
	upload := func(v []float32, dims ...int) error {
		t, err := transfer.Upload(b, v, dims...)
		if err != nil {
			transfer.Free(uploaded...)
			return fmt.Errorf("starting %s: %w", w.name, err)
		}
		uploaded = append(uploaded, t)
		return nil
	}
	for i, p := range n.parameters(w.op) {
		if err := upload(params[i], p.Dims...); err != nil {
			return err
		}
	}
	var statistics *tensors.Tensor
	if len(running) > 0 {
		if err := upload(running, 1, len(running)); err != nil {
			return err
		}
		last := len(uploaded) - 1
		uploaded, statistics = uploaded[:last:last], uploaded[last]
	}
	transfer.Free(w.params...)
	transfer.Free(w.velocity...)
	transfer.Free(w.running)
	w.params, w.velocity, w.running = uploaded, nil, statistics
	return nil
}

// materializeVelocity allocates momentum before the first update.
func (n *Network) materializeVelocity(w *weights) error {
	if w.velocity != nil {
		return nil
	}
	var velocity []*tensors.Tensor
	for _, p := range w.params {
		t, err := transfer.Zeros(n.devices[w.client].backend, p.Shape().Dimensions...)
		if err != nil {
			return err
		}
		velocity = append(velocity, t)
	}
	w.velocity = velocity
	return nil
}
