package supernet

import (
	"math"
	"strings"
)

// NonFinite names the first place, in the order of the network, whose running statistics are not finite, and its operation: what
// comes before it computed numbers. Statistics say it rather than weights, because one step's backward carries what is no number to the
// weights of all operations. Where all statistics are finite, it is the first place with weights that are not; empty names: none.
func (n *Network) NonFinite() (place, operation string, err error) {
	state, err := n.State()
	if err != nil {
		return "", "", err
	}
	finite := func(t NamedTensor) bool {
		for _, v := range t.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return false
			}
		}
		return true
	}
	for _, statistics := range []bool{true, false} {
		for _, t := range state {
			if strings.HasSuffix(t.Name, "/running") != statistics || finite(t) {
				continue
			}
			for _, w := range n.all() {
				if strings.HasPrefix(t.Name, w.name+"/") {
					return w.name, w.op.Key(), nil
				}
			}
		}
	}
	return "", "", nil
}
