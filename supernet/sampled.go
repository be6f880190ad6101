package supernet

import "densenas/supernet/space"

// list collects executables, each once, in the order in which they first come.
type list struct {
	seen map[Executable]bool
	keys []Executable
}

func (l *list) add(o space.Op, role Role) {
	key := Executable{o, role}
	if l.seen == nil {
		l.seen = map[Executable]bool{}
	}
	if !l.seen[key] {
		l.seen[key] = true
		l.keys = append(l.keys, key)
	}
}

// sumOf is the executable that adds two outputs of a block.
func sumOf(s *space.Space, block int) Executable {
	width := s.Blocks[block].Width
	return Executable{space.Op{Kind: space.Skip, In: width, Out: width, Stride: 1, Resolution: s.OutResolution(block)}, Sum}
}

// sampled lists what a step with a backward of the given role calls for a choice, in the order of the calls. It may list a
// little more.
func (n *Network) sampled(c *Choice, backward Role) []Executable {
	return n.visit(backward, func(layers [][]*weights, choices [][]Pick, layer int) []*weights {
		var picked []*weights
		for _, p := range choices[layer] {
			picked = append(picked, layers[layer][p.Candidate])
		}
		return picked
	}, c)
}

// Executables lists all that steps with a backward of the given role can call, whatever they sample: [Evaluate] for none. They
// are in the order in which a step calls them.
func (n *Network) Executables(backward Role) []Executable {
	return n.visit(backward, func(layers [][]*weights, _ [][]Pick, layer int) []*weights { return layers[layer] }, nil)
}

// visit lists the executables of the operations that pick returns for each layer.
func (n *Network) visit(backward Role, pick func(layers [][]*weights, choices [][]Pick, layer int) []*weights, c *Choice) []Executable {
	s := n.space
	var order []space.Op
	var forward list
	role := Forward
	if backward == Evaluate {
		role = Evaluate
	}
	add := func(ws ...*weights) {
		for _, w := range ws {
			order = append(order, w.op)
			forward.add(w.op, role)
		}
	}
	add(n.stem, n.first)
	for j := 1; j < len(s.Blocks); j++ {
		var heads, stacks [][]Pick
		if c != nil {
			heads, stacks = c.Head[j-1], c.Stack[j-1]
		}
		several := false
		for layer := range n.head[j-1] {
			ws := pick(n.head[j-1], heads, layer)
			several = several || len(ws) > 1
			add(ws...)
		}
		for layer := range n.stack[j-1] {
			ws := pick(n.stack[j-1], stacks, layer)
			several = several || len(ws) > 1
			add(ws...)
		}
		if several {
			key := sumOf(s, j)
			forward.add(key.Op, key.Role)
		}
	}
	add(n.final...)
	forward.add(n.classifier.op, backward)
	if backward == Evaluate {
		return forward.keys
	}
	for i := len(order) - 1; i >= 0; i-- {
		if o := order[i]; backward == WeightBackward || o != n.stem.op && o != n.first.op {
			forward.add(o, backward)
		}
	}
	return forward.keys
}
