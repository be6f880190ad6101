package supernet

import (
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
)

// activationsType returns the type of numbers of activations: of what flows between operations and what they keep, and of the
// operands of products. Weights, statistics, and sums over a batch are float32 always.
func (o Options) activationsType() (dtypes.DType, error) {
	switch o.DType {
	case dtypes.InvalidDType, dtypes.Float32:
		return dtypes.Float32, nil
	case dtypes.BFloat16:
		return o.DType, nil
	}
	return 0, fmt.Errorf("activations cannot be %s, only float32 and bfloat16", o.DType)
}

// maps lays out arguments that are activations.
func (n *Network) maps(p *program, dims ...[]int) {
	for _, d := range dims {
		p.layout(n.activations, d...)
	}
}

// saved lays out what a forward keeps for its backward: activations and, behind them, the statistics of the batch.
func (n *Network) saved(p *program, dims [][]int) {
	for i, d := range dims {
		if i == len(dims)-1 {
			p.floats(d)
		} else {
			n.maps(p, d)
		}
	}
}

// wide converts to float32, in which sums are formed.
func wide(x *Node) *Node { return ConvertDType(x, dtypes.Float32) }

// narrow converts to the type of activations.
func (n *Network) narrow(x *Node) *Node { return ConvertDType(x, n.activations) }

// zeros allocates activations.
func zeros(b compute.Backend, dtype dtypes.DType, dims ...int) (*tensors.Tensor, error) {
	if dtype == dtypes.BFloat16 {
		return transfer.Upload(b, make([]bfloat16.BFloat16, transfer.Size(dims)), dims...)
	}
	return transfer.Zeros(b, dims...)
}
