package network

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/device"
	"densenas/supernet"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Options of training from scratch.
type Options struct {
	// Batch is the number of images of a step.
	Batch int
	// Seed decides the initial weights.
	Seed uint64
	// Start are the weights to begin with, layer by layer; a layer without Params, and every layer where Start is nil, is drawn.
	Start []Weights
	// Momentum of SGD.
	Momentum float64
	// WeightDecay is coupled L2 decay of convolutions' and the classifier's weights; scales, offsets and biases have none.
	WeightDecay float64
	// NormMomentum is the share by which running statistics move to those of a batch.
	NormMomentum float64
	// LabelSmoothing is the share of a label's weight that is spread over all classes.
	LabelSmoothing float64
	// Mixup compiles steps that can mix images, for [Trainer.StepMixed].
	Mixup bool
	// Lowering chooses how operations are written.
	Lowering Lowering
}

// Trainer trains one architecture, with affine batch norm, as one compiled graph: forward, loss, backward and update.
type Trainer struct {
	backend  compute.Backend
	ops      []space.Op
	options  Options
	exec     *Exec
	params   []*tensors.Tensor // of all layers, flat
	velocity []*tensors.Tensor // alike
	running  []*tensors.Tensor // of the layers with batch norm
}

// NewTrainer takes or draws initial weights; the graph is compiled at the first step.
func NewTrainer(b compute.Backend, a *space.Architecture, o Options) (made *Trainer, err error) {
	t := &Trainer{backend: b, ops: a.Ops(), options: o}
	if o.Start != nil && len(o.Start) != len(t.ops) {
		return nil, fmt.Errorf("weights to start from of %d layers, the architecture has %d", len(o.Start), len(t.ops))
	}
	defer func() {
		if err != nil {
			t.Finalize()
		}
	}()
	var sizes []int
	var decays []bool
	for i, layer := range t.ops {
		ps := op.TrainingParameters(layer, true)
		sizes = append(sizes, len(ps))
		start, err := t.start(i)
		if err != nil {
			return nil, err
		}
		for k, p := range ps {
			decays = append(decays, p.Deviation > 0)
			value, err := device.Upload(b, start.Params[k], p.Dims...)
			if err != nil {
				return nil, err
			}
			t.params = append(t.params, value)
			velocity, err := device.Zeros(b, p.Dims...)
			if err != nil {
				return nil, err
			}
			t.velocity = append(t.velocity, velocity)
		}
		if n := op.StatisticsSize(layer); n > 0 {
			running, err := device.Upload(b, start.Statistics, 1, n)
			if err != nil {
				return nil, err
			}
			t.running = append(t.running, running)
		}
	}
	t.exec, err = NewExec(b, func(in []*Node) []*Node { return t.step(in, sizes, decays) })
	return t, err
}

// start are the weights that a layer begins with.
func (t *Trainer) start(layer int) (Weights, error) {
	o := t.ops[layer]
	ps := op.TrainingParameters(o, true)
	if t.options.Start != nil && t.options.Start[layer].Params != nil {
		w := t.options.Start[layer]
		fits := len(w.Params) == len(ps) && len(w.Statistics) == op.StatisticsSize(o)
		for k := 0; fits && k < len(ps); k++ {
			fits = len(w.Params[k]) == ps[k].Size()
		}
		if !fits {
			return Weights{}, fmt.Errorf("layer %d (%s): the weights to start from do not fit", layer, o.Key())
		}
		return w, nil
	}
	w := Weights{Statistics: op.InitialStatistics(o)}
	for _, p := range ps {
		w.Params = append(w.Params, supernet.Initial(t.options.Seed, layerName(layer, p.Name), p))
	}
	return w, nil
}

func layerName(layer int, parameter string) string {
	return fmt.Sprintf("layer%d/%s", layer, parameter)
}

// step builds forward, loss, backward and update. In: images, labels, mask, rate, with mixup the images' share, parameters, velocities,
// running statistics. Out: loss, correct, new parameters, velocities and running statistics.
func (t *Trainer) step(in []*Node, sizes []int, decays []bool) []*Node {
	x, labels, mask, rate := in[0], in[1], in[2], in[3]
	in = in[4:]
	entropy := func(logits *Node) (loss, correct, gradient *Node) {
		return op.CrossEntropy(logits, labels, mask, t.options.LabelSmoothing)
	}
	if t.options.Mixup {
		share := in[0]
		in = in[1:]
		mix := func(own, other *Node) *Node { return Add(Mul(share, own), Mul(OneMinus(share), other)) }
		x = mix(x, following(x))
		entropy = func(logits *Node) (loss, correct, gradient *Node) {
			loss, correct, gradient = op.CrossEntropy(logits, labels, mask, t.options.LabelSmoothing)
			otherLoss, _, otherGradient := op.CrossEntropy(logits, following(labels), mask, t.options.LabelSmoothing)
			return mix(loss, otherLoss), correct, mix(gradient, otherGradient)
		}
	}
	n := len(t.params)
	params, velocity, running := in[:n], in[n:2*n], in[2*n:]
	byLayer := group(params, sizes)
	form := func(o space.Op) op.Form { return op.Form{Lowering: t.options.Lowering.of(o), Affine: true} }
	inputs, saved := make([]*Node, len(t.ops)), make([][]*Node, len(t.ops))
	for i, o := range t.ops {
		inputs[i] = x
		x, saved[i] = op.Forward(o, form(o), x, byLayer[i])
	}
	loss, correct, gradient := entropy(x)
	byLayerGradient := make([][]*Node, len(t.ops))
	for i := len(t.ops) - 1; i >= 0; i-- {
		gradient, byLayerGradient[i] = op.Backward(t.ops[i], form(t.ops[i]), inputs[i], gradient, byLayer[i], saved[i])
	}
	var newParams, newVelocity, newRunning []*Node
	for i, o := range t.ops {
		for _, g := range byLayerGradient[i] {
			k, decay := len(newParams), 0.0
			if decays[k] {
				decay = t.options.WeightDecay
			}
			w, v := op.SGD(params[k], velocity[k], g, rate, t.options.Momentum, decay)
			newParams, newVelocity = append(newParams, w), append(newVelocity, v)
		}
		if batch := op.Statistics(o, saved[i]); batch != nil {
			r := running[len(newRunning)]
			newRunning = append(newRunning, op.UpdateStatistics(o, r, batch, t.options.Batch, t.options.NormMomentum))
		}
	}
	out := append([]*Node{loss, correct}, newParams...)
	return append(append(out, newVelocity...), newRunning...)
}

// following puts in the place of every element of a batch the next one, and the first in the last's.
func following(batch *Node) *Node {
	return Concatenate([]*Node{Slice(batch, AxisRange(1)), Slice(batch, AxisRange(0, 1))}, 0)
}

// Step trains on one full batch at the given learning rate.
func (t *Trainer) Step(b supernet.Batch, rate float64) (supernet.Result, error) {
	return t.StepMixed(b, rate, 1)
}

// StepMixed trains on one full batch whose images and labels are mixed, each with the next of the batch; share is that of the own image
// and label, 0 to 1. Correct counts the answers that are an image's own label. Without [Options.Mixup] share must be 1.
func (t *Trainer) StepMixed(b supernet.Batch, rate, share float64) (supernet.Result, error) {
	if !t.options.Mixup && share != 1 {
		return supernet.Result{}, fmt.Errorf("a share of %g without mixup", share)
	}
	in, err := upload(t.backend, b, t.ops[0], t.options.Batch)
	if err != nil {
		return supernet.Result{}, err
	}
	defer device.Free(in...)
	args := append(device.Arguments(in), float32(rate))
	if t.options.Mixup {
		args = append(args, float32(share))
	}
	args = append(args, device.Arguments(t.params, t.velocity, t.running)...)
	out, err := t.exec.Call(args...)
	if err != nil {
		return supernet.Result{}, fmt.Errorf("training step: %w", err)
	}
	defer device.Free(out[:2]...)
	for _, old := range [][]*tensors.Tensor{t.params, t.velocity, t.running} {
		device.Free(old...)
	}
	n := len(t.params)
	updated := group(out[2:], []int{n, n, len(t.running)})
	t.params, t.velocity, t.running = updated[0], updated[1], updated[2]
	return result(out), nil
}

// tensor is one of a trainer's.
type tensor struct {
	name string
	dims []int
	at   **tensors.Tensor
}

// tensors lists all that training changes, by names such as "layer3/depthwise.scale", with "/velocity" behind it for its momentum, and
// "layer3/running" for the statistics of batch norm.
func (t *Trainer) tensors() []tensor {
	var list []tensor
	param, norm := 0, 0
	for i, o := range t.ops {
		for _, p := range op.TrainingParameters(o, true) {
			name := layerName(i, p.Name)
			list = append(list, tensor{name, p.Dims, &t.params[param]}, tensor{name + "/velocity", p.Dims, &t.velocity[param]})
			param++
		}
		if n := op.StatisticsSize(o); n > 0 {
			list = append(list, tensor{layerName(i, "running"), []int{1, n}, &t.running[norm]})
			norm++
		}
	}
	return list
}

// State reads everything that training changes, in a fixed order.
func (t *Trainer) State() ([]supernet.NamedTensor, error) {
	var out []supernet.NamedTensor
	for _, part := range t.tensors() {
		data, err := tensors.CopyFlatData[float32](*part.at)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", part.name, err)
		}
		out = append(out, supernet.NamedTensor{Name: part.name, Dims: part.dims, Data: data})
	}
	return out, nil
}

// NonFinite names the layer, counted from 0, in which numbers that are none came up in the last step, and its operation; empty: nowhere. It
// is by the rule of [supernet.NonFiniteTensor].
func (t *Trainer) NonFinite() (layer, operation string, err error) {
	state, err := t.State()
	if err != nil {
		return "", "", err
	}
	layer, _, _ = strings.Cut(supernet.NonFiniteTensor(state), "/")
	for i, o := range t.ops {
		if layerName(i, "") == layer+"/" {
			return layer, o.Key(), nil
		}
	}
	return "", "", nil
}

// SetState replaces the state by one that [Trainer.State] returned for the same architecture.
func (t *Trainer) SetState(state []supernet.NamedTensor) error {
	list := t.tensors()
	if len(state) != len(list) {
		return fmt.Errorf("%d tensors, the architecture has %d", len(state), len(list))
	}
	for i, part := range list {
		s := state[i]
		if s.Name != part.name || !slices.Equal(s.Dims, part.dims) || len(s.Data) != device.Size(part.dims) {
			return fmt.Errorf("tensor %q has shape %v with %d values, want %q of %v", s.Name, s.Dims, len(s.Data), part.name, part.dims)
		}
	}
	for i, part := range list {
		value, err := device.Upload(t.backend, state[i].Data, part.dims...)
		if err != nil {
			return err
		}
		device.Free(*part.at)
		*part.at = value
	}
	return nil
}

// Weights are one layer's of a trained network, batch norm kept.
type Weights struct {
	// Params are the flat values of the layer's [op.TrainingParameters] with affine batch norm.
	Params [][]float32
	// Statistics are batch norm's running statistics, packed as [op.Statistics] describes; nil without batch norm.
	Statistics []float32
}

// Weights returns the layers' weights.
func (t *Trainer) Weights() ([]Weights, error) {
	out := make([]Weights, len(t.ops))
	param, norm := 0, 0
	for i, o := range t.ops {
		for range op.TrainingParameters(o, true) {
			v, err := tensors.CopyFlatData[float32](t.params[param])
			if err != nil {
				return nil, err
			}
			out[i].Params = append(out[i].Params, v)
			param++
		}
		if op.StatisticsSize(o) > 0 {
			var err error
			if out[i].Statistics, err = tensors.CopyFlatData[float32](t.running[norm]); err != nil {
				return nil, err
			}
			norm++
		}
	}
	return out, nil
}

// Fold folds the layers' batch norm with its running statistics: for each of a's layers the flat values of its
// [op.InferenceParameters].
func Fold(a *space.Architecture, weights []Weights) ([][][]float32, error) {
	if len(weights) != len(a.Layers) {
		return nil, fmt.Errorf("weights of %d layers, the architecture has %d", len(weights), len(a.Layers))
	}
	out := make([][][]float32, len(weights))
	for i, o := range a.Ops() {
		var err error
		if out[i], err = op.Fold(o, weights[i].Params, weights[i].Statistics); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return out, nil
}

// Finalize frees all device memory.
func (t *Trainer) Finalize() {
	device.Free(t.params...)
	device.Free(t.velocity...)
	device.Free(t.running...)
	if t.exec != nil {
		t.exec.Finalize()
	}
}

// result reads loss and count of correct answers, the first two outputs of an executable.
func result(out []*tensors.Tensor) supernet.Result {
	return supernet.Result{
		Loss:    float64(tensors.ToScalar[float32](out[0])),
		Correct: int(tensors.ToScalar[float32](out[1])),
	}
}

// upload returns images, labels and mask on the device; stem is the operation that they enter.
func upload(b compute.Backend, batch supernet.Batch, stem space.Op, size int) ([]*tensors.Tensor, error) {
	if err := batch.Check(size, stem.Resolution, stem.In); err != nil {
		return nil, err
	}
	images, err := device.Upload(b, batch.Images, size, stem.Resolution, stem.Resolution, stem.In)
	if err != nil {
		return nil, err
	}
	labels, err := device.Upload(b, batch.Labels, size)
	if err != nil {
		device.Free(images)
		return nil, err
	}
	mask, err := device.Upload(b, batch.Mask(), size)
	if err != nil {
		device.Free(images, labels)
		return nil, err
	}
	return []*tensors.Tensor{images, labels, mask}, nil
}
