package objective

import (
	"math"
	"math/rand/v2"
	"testing"

	"densenas/supernet/space"
)

// Where the architecture parameters leave no choice, the expected cost is that of the only network.
func TestCountsAreThoseOfNetworks(t *testing.T) {
	s, err := space.Load("cifar")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 0))
	for range 20 {
		p := s.NewParameters()
		path, heads, stacks := []int{0}, []space.Op(nil), [][]space.Op(nil)
		for at := 0; at < len(s.Blocks); {
			outgoing := s.Outgoing(at)
			c := outgoing[r.IntN(len(outgoing))]
			p.Beta[at][c.Outgoing] = 1e3
			ops := s.HeadOps(c)
			if at = c.To; at == len(s.Blocks) {
				heads = append(heads, ops[0])
				break
			}
			head := r.IntN(len(ops))
			p.AlphaHead[at-1][c.Incoming][head] = 1e3
			var stack []space.Op
			for layer, row := range p.AlphaStack[at-1] {
				candidate := r.IntN(len(row))
				p.AlphaStack[at-1][layer][candidate] = 1e3
				stack = append(stack, s.StackOps(at)[candidate])
			}
			path, heads, stacks = append(path, at), append(heads, ops[head]), append(stacks, stack)
		}
		a := s.Network(path, heads, stacks)
		for _, c := range []struct {
			costs *Costs
			want  int64
		}{{MultiplyAdds(s), a.MultiplyAdds()}, {Parameters(s), a.Parameters()}} {
			got, _ := c.costs.Chained(p)
			if want := float64(c.want); math.Abs(got-want) > 1e-9*want {
				t.Errorf("%g %s, the network has %g", got, c.costs.Unit, want)
			}
		}
	}
}
