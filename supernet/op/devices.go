package op

import (
	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"
)

// Total sums each of xs over the devices that run the graph, element by element; all devices get the sums. A graph of one device
// has them already.
func Total(xs ...*Node) []*Node {
	if len(xs) == 0 || xs[0].Graph().NumDevices() == 1 {
		return xs
	}
	return xs[0].Graph().Distributed().AllReduce(xs, compute.ReduceOpSum)
}

// total is [Total] of one.
func total(x *Node) *Node { return Total(x)[0] }
