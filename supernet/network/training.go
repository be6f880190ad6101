package network

import (
	"fmt"

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
	// Momentum of SGD.
	Momentum float64
	// WeightDecay is coupled L2 decay of convolutions' and the classifier's weights; scales, offsets and biases have none.
	WeightDecay float64
	// NormMomentum is the share by which running statistics move to those of a batch.
	NormMomentum float64
	// LabelSmoothing is the share of a label's weight that is spread over all classes.
	LabelSmoothing float64
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

// NewTrainer draws initial weights; the graph is compiled at the first step.
func NewTrainer(b compute.Backend, a *space.Architecture, o Options) (*Trainer, error) {
	t := &Trainer{backend: b, ops: a.Ops(), options: o}
	var sizes []int
	var decays []bool
	for i, layer := range t.ops {
		ps := op.TrainingParameters(layer, true)
		sizes = append(sizes, len(ps))
		for _, p := range ps {
			decays = append(decays, p.Deviation > 0)
			name := fmt.Sprintf("layer%d/%s", i, p.Name)
			value, err := device.Upload(b, supernet.Initial(o.Seed, name, p), p.Dims...)
			if err != nil {
				return nil, err
			}
			velocity, err := device.Zeros(b, p.Dims...)
			if err != nil {
				return nil, err
			}
			t.params, t.velocity = append(t.params, value), append(t.velocity, velocity)
		}
		if n := op.StatisticsSize(layer); n > 0 {
			running, err := device.Upload(b, op.InitialStatistics(layer), 1, n)
			if err != nil {
				return nil, err
			}
			t.running = append(t.running, running)
		}
	}
	var err error
	t.exec, err = NewExec(b, func(in []*Node) []*Node { return t.step(in, sizes, decays) })
	return t, err
}

// step builds forward, loss, backward and update. In: images, labels, mask, rate, parameters, velocities, running
// statistics. Out: loss, correct, new parameters, velocities and running statistics.
func (t *Trainer) step(in []*Node, sizes []int, decays []bool) []*Node {
	x, labels, mask, rate := in[0], in[1], in[2], in[3]
	n := len(t.params)
	params, velocity, running := in[4:4+n], in[4+n:4+2*n], in[4+2*n:]
	byLayer := group(params, sizes)
	form := func(o space.Op) op.Form { return op.Form{Lowering: t.options.Lowering.of(o), Affine: true} }
	inputs, saved := make([]*Node, len(t.ops)), make([][]*Node, len(t.ops))
	for i, o := range t.ops {
		inputs[i] = x
		x, saved[i] = op.Forward(o, form(o), x, byLayer[i])
	}
	loss, correct, gradient := op.CrossEntropy(x, labels, mask, t.options.LabelSmoothing)
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

// Step trains on one full batch at the given learning rate.
func (t *Trainer) Step(b supernet.Batch, rate float64) (supernet.Result, error) {
	in, err := upload(t.backend, b, t.ops[0], t.options.Batch)
	if err != nil {
		return supernet.Result{}, err
	}
	defer device.Free(in...)
	args := append(device.Arguments(in), float32(rate))
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
	t.exec.Finalize()
}
