package supernet

import (
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"

	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Extend lets the candidates of every layer take over the weights of the layer's [space.Base], where they extend it and it has been
// sampled: then they compute what it does. Their momentum starts anew, as do the running statistics of channels that it does not have. Other
// candidates stay as they are. It must not be called during a step.
func (n *Network) Extend() error {
	for j := range n.head {
		for _, layer := range n.head[j] {
			if err := n.extend(layer, n.space.HeadCandidates); err != nil {
				return err
			}
		}
		for _, layer := range n.stack[j] {
			if err := n.extend(layer, n.space.StackCandidates); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Network) extend(layer []*weights, candidates []space.Candidate) error {
	index := space.Base(candidates)
	base := layer[index]
	if base.params == nil {
		return nil
	}
	params, err := values(base.params)
	if err != nil {
		return fmt.Errorf("reading %s: %w", base.name, err)
	}
	running, err := values([]*tensors.Tensor{base.running})
	if err != nil {
		return fmt.Errorf("reading %s: %w", base.name, err)
	}
	for i, w := range layer {
		if i == index || !candidates[i].Extends(candidates[index]) {
			continue
		}
		extended, err := op.Extended(base.op, w.op, params, n.drawn(w))
		if err != nil {
			return err
		}
		if err := n.restart(w, extended, op.ExtendedStatistics(base.op, w.op, running[0])); err != nil {
			return err
		}
	}
	return nil
}

// values reads tensors.
func values(ts []*tensors.Tensor) ([][]float32, error) {
	out := make([][]float32, len(ts))
	for i, t := range ts {
		var err error
		if out[i], err = tensors.CopyFlatData[float32](t); err != nil {
			return nil, err
		}
	}
	return out, nil
}
