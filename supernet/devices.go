package supernet

import (
	"fmt"

	"github.com/gomlx/compute"
	. "github.com/gomlx/gomlx/core/graph"

	"densenas/supernet/mesh"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// join returns the backend over the devices that share a batch: b itself where there is one.
func (o Options) join(b compute.Backend) (compute.Backend, error) {
	if o.Devices < 2 {
		return b, nil
	}
	if o.Batch%o.Devices != 0 {
		return nil, fmt.Errorf("%d devices cannot share a batch of %d evenly", o.Devices, o.Batch)
	}
	if len(o.Clients) > 0 {
		return nil, fmt.Errorf("%d devices cannot be shared by %d clients", o.Devices, 1+len(o.Clients))
	}
	return mesh.New(b, o.Devices)
}

// share is the number of images that each device computes on.
func (n *Network) share() int { return n.options.Batch / max(1, n.options.Devices) }

// form is how an operation is built.
func (n *Network) form(o space.Op) op.Form {
	return op.Form{Lowering: n.options.Lowering(o), Affine: n.affine(o), Synchronised: n.options.SynchronisedNorm}
}

// affine says whether an operation's batch norm has scale and offset: a stem's may.
func (n *Network) affine(o space.Op) bool { return o.Kind == space.Stem && n.space.Stem.Affine }

// parameters are an operation's.
func (n *Network) parameters(o space.Op) []op.Weight { return op.TrainingParameters(o, n.affine(o)) }

// moveStatistics moves an operation's running statistics towards those of a batch. Where every device has statistics of its own
// share, it is their mean: what is kept stays the same on all devices.
func (n *Network) moveStatistics(o space.Op, running, batch *Node) *Node {
	samples := n.options.Batch
	if !n.options.SynchronisedNorm {
		samples = n.share()
		if devices := batch.Graph().NumDevices(); devices > 1 {
			batch = MulScalar(op.Total(batch)[0], 1/float64(devices))
		}
	}
	return op.UpdateStatistics(o, running, batch, samples, n.options.NormMomentum)
}
