package supernet

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Options of a super network.
type Options struct {
	// Batch is the number of images of a step.
	Batch int
	// Seed decides the initial weights.
	Seed uint64
	// Lowering chooses how each operation is written; nil means taps everywhere.
	Lowering func(space.Op) op.Lowering
	// Momentum of SGD, 0.9 in the paper.
	Momentum float64
	// WeightDecay is coupled L2 decay, 4e-5 in the paper.
	WeightDecay float64
	// GradientClip is the largest norm of a weight's gradient, as a share of that of the weight; 0 for no limit, as in the paper. Decay is
	// added after it. Without residuals from block to block gradients grow from the last layer to the first, by a factor of a
	// thousand in deep networks: there a step changes the first layers by more than they are.
	GradientClip float64
	// NormMomentum is the share by which running statistics of batch norm move to those of a batch, 0.1 in the paper.
	NormMomentum float64
	// Clients are further clients of the runtime on the same host, if any: each runs an executable at a time, all at once.
	// Every operation belongs to one of them.
	Clients []compute.Backend
	// Devices of the backend share every batch, the first so many: each computes on its part, with weights of its own that are
	// kept the same; gradients are summed on the devices. Below 2, the first alone. The batch must be a multiple.
	Devices int
	// SynchronisedNorm computes the statistics of batch norm over the whole batch, where several devices share it, instead of over
	// the share of each.
	SynchronisedNorm bool
	// DType is the type of numbers of activations and of the operands of products, Float32 (the default) or BFloat16. Weights,
	// statistics and sums are float32 always.
	DType dtypes.DType
}

// Network is the super network of a space on one device of a backend.
type Network struct {
	space       *space.Space
	options     Options
	activations dtypes.DType
	devices     []device
	lanes       map[space.Op]int
	executables *executables
	stem, first *weights       // first is nil where the first block is the stem
	head        [][][]*weights // block-1, incoming connection, candidate
	stack       [][][]*weights // block-1, stacked layer, candidate
	final       []*weights     // incoming connection
	classifier  *weights
}

// New prepares the super network of s, whose resolution, channels and classes are those of training. Weights are drawn
// when an operation is first sampled, and executables compiled when first called.
func New(b compute.Backend, s *space.Space, o Options) (*Network, error) {
	if o.Batch < 1 {
		return nil, fmt.Errorf("batch is %d, must be at least 1", o.Batch)
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	if o.Lowering == nil {
		o.Lowering = func(space.Op) op.Lowering { return op.Taps }
	}
	b, err := o.join(b)
	if err != nil {
		return nil, err
	}
	activations, err := o.activationsType()
	if err != nil {
		return nil, err
	}
	n := &Network{
		space: s, options: o, activations: activations,
		stem:       &weights{name: StemPlace, op: s.StemOp()},
		classifier: &weights{name: ClassifierPlace, op: s.ClassifierOp()},
	}
	if s.HasFirst() {
		n.first = &weights{name: FirstPlace, op: s.FirstOp()}
	}
	for _, b := range append([]compute.Backend{b}, o.Clients...) {
		n.devices = append(n.devices, device{backend: b, dtype: activations, zeros: map[string]*tensors.Tensor{}})
	}
	n.executables = newExecutables(n.program, func(key Executable) compute.Backend { return n.devices[n.client(key.Op)].backend })
	place := func(ops []space.Op, name func(candidate int) string) []*weights {
		ws := make([]*weights, len(ops))
		for i, o := range ops {
			ws[i] = &weights{name: name(i), op: o}
		}
		return ws
	}
	for j := 1; j < len(s.Blocks); j++ {
		var head, stack [][]*weights
		for _, c := range s.Incoming(j) {
			head = append(head, place(s.HeadOps(c), func(i int) string { return HeadPlace(c, s.HeadCandidates[i]) }))
		}
		for l := range s.Blocks[j].Layers {
			stack = append(stack, place(s.StackOps(j), func(i int) string { return StackPlace(j, l, s.StackCandidates[i]) }))
		}
		n.head, n.stack = append(n.head, head), append(n.stack, stack)
	}
	for _, c := range s.Incoming(len(s.Blocks)) {
		n.final = append(n.final, &weights{name: FinalPlace(c), op: s.FinalOp(c)})
	}
	n.assign()
	return n, nil
}

// lanesOfAStep is how many operations of a layer run at once, given as many clients. It is not the number of clients, so that
// results do not depend on it.
const lanesOfAStep = 2

// assign deals the operations to lanes: the candidates of a layer from the least work to the most, one to this, two to the other,
// two to this, and so on, so that lanes have about the same work and the two that an architecture step samples are likely to run
// at once. The final convolutions go in turn; what else there is goes to the first lane.
func (n *Network) assign() {
	n.lanes = map[space.Op]int{}
	for _, layers := range [][][][]*weights{n.head, n.stack} {
		for _, block := range layers {
			for _, layer := range block {
				byWork := slices.DeleteFunc(slices.Clone(layer), func(w *weights) bool { return w.op.Kind == space.Skip })
				slices.SortStableFunc(byWork, func(a, b *weights) int { return cmp.Compare(a.op.MultiplyAdds(), b.op.MultiplyAdds()) })
				for i, w := range byWork {
					if _, known := n.lanes[w.op]; !known {
						n.lanes[w.op] = (i + 1) / 2 % lanesOfAStep
					}
				}
			}
		}
	}
	for i, w := range n.final {
		n.lanes[w.op] = i % lanesOfAStep
	}
	for _, w := range n.all() {
		w.client = n.client(w.op)
	}
}

// client is the index of the device that an operation belongs to.
func (n *Network) client(o space.Op) int { return n.lanes[o] % len(n.devices) }

// laneOf is the lane that one of a layer's picks is added up in. A pick that is alone needs no lane of its own: its sum would
// only have to be added to that of the others.
func (n *Network) laneOf(w *weights, picks int) int {
	if picks == 1 {
		return 0
	}
	return n.lanes[w.op]
}

// Statistics returns what has been executed and compiled so far.
func (n *Network) Statistics() Statistics { return n.executables.snapshot() }

// ResetCalls forgets the calls that [Network.Statistics] has counted so far.
func (n *Network) ResetCalls() { n.executables.reset() }

// Compile compiles executables and waits for them, calling progress, where it is not nil, with how many are ready.
func (n *Network) Compile(ctx context.Context, keys []Executable, progress func(done, total int)) error {
	n.executables.request(keys, false)
	return n.executables.await(ctx, keys, progress)
}

// CompileAhead has executables compiled in the background, after those that steps wait for.
func (n *Network) CompileAhead(keys []Executable) { n.executables.request(keys, false) }

// Materialize draws the weights of every operation, before they are first sampled.
func (n *Network) Materialize() error {
	for _, w := range n.all() {
		if err := n.materialize(w); err != nil {
			return err
		}
	}
	return nil
}

// Finalize frees all device memory and executables.
func (n *Network) Finalize() {
	n.executables.finalize()
	for _, w := range n.all() {
		transfer.Free(w.params...)
		transfer.Free(w.velocity...)
		transfer.Free(w.running)
	}
	for _, d := range n.devices {
		for _, t := range d.zeros {
			transfer.Free(t)
		}
	}
}

// entry lists the weights before the first connection.
func (n *Network) entry() []*weights {
	if n.first == nil {
		return []*weights{n.stem}
	}
	return []*weights{n.stem, n.first}
}

// all lists the weights of every place, in a fixed order.
func (n *Network) all() []*weights {
	ws := n.entry()
	for j := range n.head {
		for _, layer := range append(n.head[j][:len(n.head[j]):len(n.head[j])], n.stack[j]...) {
			ws = append(ws, layer...)
		}
	}
	return append(append(ws, n.final...), n.classifier)
}

// NamedTensor is one tensor of the super network's state.
type NamedTensor struct {
	Name string // such as "block3/connection1/mbconv_k3_t6/expand", with "/velocity" behind it for its momentum
	Dims []int
	Data []float32
}

// State reads everything that training has changed, in a fixed order; operations that were never sampled are absent.
func (n *Network) State() ([]NamedTensor, error) {
	var out []NamedTensor
	for _, w := range n.all() {
		for _, part := range n.parts(w) {
			if *part.tensor == nil {
				continue
			}
			data, err := tensors.CopyFlatData[float32](*part.tensor)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", part.name, err)
			}
			out = append(out, NamedTensor{part.name, part.dims, data})
		}
	}
	return out, nil
}

// SetState replaces the state by one that [Network.State] returned for the same space. Operations that are absent start
// anew when they are first sampled.
func (n *Network) SetState(state []NamedTensor) error {
	type target struct {
		w *weights
		part
	}
	targets := map[string]target{}
	for _, w := range n.all() {
		for _, p := range n.parts(w) {
			transfer.Free(*p.tensor)
			*p.tensor = nil
			targets[p.name] = target{w, p}
		}
		w.params, w.velocity = nil, nil
	}
	for _, t := range state {
		to, ok := targets[t.Name]
		if !ok {
			return fmt.Errorf("tensor %q is not one of space %s", t.Name, n.space.Name)
		}
		if transfer.Size(t.Dims) != len(t.Data) || fmt.Sprint(t.Dims) != fmt.Sprint(to.dims) {
			return fmt.Errorf("tensor %q has shape %v with %d values, want %v", t.Name, t.Dims, len(t.Data), to.dims)
		}
		value, err := transfer.Upload(n.devices[to.w.client].backend, t.Data, t.Dims...)
		if err != nil {
			return err
		}
		to.set(to.w, value)
	}
	for _, w := range n.all() {
		if err := n.complete(w); err != nil {
			return err
		}
	}
	return nil
}

// complete reports an operation of which only a part is there.
func (n *Network) complete(w *weights) error {
	if w.params == nil && w.velocity == nil && w.running == nil {
		return nil
	}
	want := len(n.parameters(w.op))
	whole := func(ts []*tensors.Tensor) bool { return len(ts) == want && !slices.Contains(ts, nil) }
	if !whole(w.params) || w.velocity != nil && !whole(w.velocity) || op.StatisticsSize(w.op) > 0 && w.running == nil {
		return fmt.Errorf("some tensors of %s are there and others are not", w.name)
	}
	return nil
}

// part is one tensor of an operation's weights.
type part struct {
	name   string
	dims   []int
	tensor **tensors.Tensor
	set    func(w *weights, t *tensors.Tensor)
}

func (n *Network) parts(w *weights) []part {
	list := n.parameters(w.op)
	var out []part
	at := func(ts []*tensors.Tensor, i int) **tensors.Tensor {
		if ts == nil {
			return new(*tensors.Tensor)
		}
		return &ts[i]
	}
	put := func(ts *[]*tensors.Tensor, i int, t *tensors.Tensor) {
		if *ts == nil {
			*ts = make([]*tensors.Tensor, len(list))
		}
		(*ts)[i] = t
	}
	for i, p := range list {
		out = append(out,
			part{w.name + "/" + p.Name, p.Dims, at(w.params, i), func(w *weights, t *tensors.Tensor) { put(&w.params, i, t) }},
			part{w.name + "/" + p.Name + "/velocity", p.Dims, at(w.velocity, i), func(w *weights, t *tensors.Tensor) { put(&w.velocity, i, t) }})
	}
	if size := op.StatisticsSize(w.op); size > 0 {
		out = append(out, part{w.name + "/running", []int{1, size}, &w.running, func(w *weights, t *tensors.Tensor) { w.running = t }})
	}
	return out
}
