package supernet

import (
	"math"
	"strings"
)

// NonFinite names the place where numbers that are none came up in the last step, and its operation; empty names: nowhere. It is
// the first place, in the order of the network, whose running statistics are not finite: all that comes before it computed numbers. Where
// all statistics are finite, it is the last place with weights or momentum that are not, because backward begins at the end of the
// network, and carries what is no number to all places before.
func (n *Network) NonFinite() (place, operation string, err error) {
	state, err := n.State()
	if err != nil {
		return "", "", err
	}
	broken := map[string]bool{}
	for _, t := range state {
		broken[t.Name] = !finite(t.Data)
	}
	var last *weights
	for _, w := range n.all() {
		for _, p := range n.parts(w) {
			switch {
			case !broken[p.name]:
			case strings.HasSuffix(p.name, "/running"):
				return w.name, w.op.Key(), nil
			default:
				last = w
			}
		}
	}
	if last == nil {
		return "", "", nil
	}
	return last.name, last.op.Key(), nil
}

func finite(values []float32) bool {
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
