package supernet

import (
	"math"
	"strings"
)

// NonFinite names the place where numbers that are none came up in the last step, and its operation; empty names: nowhere. It is by the rule of
// [NonFiniteTensor].
func (n *Network) NonFinite() (place, operation string, err error) {
	state, err := n.State()
	if err != nil {
		return "", "", err
	}
	name := NonFiniteTensor(state)
	for _, w := range n.all() {
		if strings.HasPrefix(name, w.name+"/") {
			return w.name, w.op.Key(), nil
		}
	}
	return "", "", nil
}

// NonFiniteTensor names, of the state behind a step, a tensor of the operation that numbers which are none came up in; empty: nowhere. It
// is the first, in the order of the network, of running statistics that are not finite: all that comes before it computed numbers. Where all
// statistics are finite, it is the last of weights or momentum that are not, because backward begins at the end of the network, and carries
// what is no number to all that comes before.
func NonFiniteTensor(state []NamedTensor) string {
	last := ""
	for _, t := range state {
		switch {
		case finite(t.Data):
		case strings.HasSuffix(t.Name, "/running"):
			return t.Name
		default:
			last = t.Name
		}
	}
	return last
}

func finite(values []float32) bool {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
