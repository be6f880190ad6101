package supernet

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/supernet/op"
	"densenas/supernet/space"
)

// weights are one operation's parameters at one place of the super network, on the device.
type weights struct {
	name     string // place and candidate, such as "block3/connection1/mbconv_k3_t6"
	op       space.Op
	params   []*tensors.Tensor
	velocity []*tensors.Tensor // momentum, nil before the first update
	running  *tensors.Tensor   // running statistics, nil where the operation has no batch norm
}

// device moves values to one device of a backend.
type device struct {
	backend compute.Backend
	zeros   map[string]*tensors.Tensor
}

// upload copies flat float32 values to the device.
func (d *device) upload(v []float32, dims ...int) (*tensors.Tensor, error) {
	t := tensors.FromFlatDataAndDimensions(v, dims...)
	if err := t.MaterializeOnDevice(d.backend, true, 0); err != nil {
		return nil, err
	}
	return t, nil
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// allocate returns a new tensor of zeros.
func (d *device) allocate(dims ...int) (*tensors.Tensor, error) {
	return d.upload(make([]float32, size(dims)), dims...)
}

// zero returns a shared tensor of zeros, never written and never freed by a step.
func (d *device) zero(dims ...int) (*tensors.Tensor, error) {
	key := fmt.Sprint(dims)
	if t := d.zeros[key]; t != nil {
		return t, nil
	}
	t, err := d.allocate(dims...)
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
	var params []*tensors.Tensor
	for _, p := range op.TrainingParameters(w.op, false) {
		t, err := n.device.upload(Initial(n.options.Seed, w.name+"/"+p.Name, p), p.Dims...)
		if err != nil {
			return err
		}
		params = append(params, t)
	}
	if size := op.StatisticsSize(w.op); size > 0 && w.running == nil {
		v, at := make([]float32, size), 0
		for _, width := range op.NormWidths(w.op) { // mean 0, variance 1
			for i := range width {
				v[at+width+i] = 1
			}
			at += 2 * width
		}
		t, err := n.device.upload(v, 1, size)
		if err != nil {
			return err
		}
		w.running = t
	}
	w.params = params
	return nil
}

// materializeVelocity allocates momentum before the first update.
func (n *Network) materializeVelocity(w *weights) error {
	if w.velocity != nil {
		return nil
	}
	var velocity []*tensors.Tensor
	for _, p := range w.params {
		t, err := n.device.allocate(p.Shape().Dimensions...)
		if err != nil {
			return err
		}
		velocity = append(velocity, t)
	}
	w.velocity = velocity
	return nil
}

// free releases device memory, which Go's collector does not see.
func free(ts ...*tensors.Tensor) {
	for _, t := range ts {
		if t != nil {
			// An error here means that the buffer is gone already.
			_ = t.FinalizeAll()
		}
	}
}
