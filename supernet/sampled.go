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

// sampled lists what a step that ends with the given role calls for a choice, in the order of the calls. It may list a
// little more.
func (n *Network) sampled(c *Choice, last Role) []Executable {
	return n.visit(last, func(layers [][]*weights, choices [][]Pick, layer int) []*weights {
		var picked []*weights
		for _, p := range choices[layer] {
			picked = append(picked, layers[layer][p.Candidate])
		}
		return picked
	}, c)
}

// Executables lists all that steps that end with the given role can call, whatever they sample: [Update] for weight steps,
// [Backward] for architecture steps, [Evaluate] for evaluations. They are in the order in which a step calls them.
func (n *Network) Executables(last Role) []Executable {
	return n.visit(last, func(layers [][]*weights, _ [][]Pick, layer int) []*weights { return layers[layer] }, nil)
}

// visit lists the executables of the operations that pick returns for each layer.
func (n *Network) visit(last Role, pick func(layers [][]*weights, choices [][]Pick, layer int) []*weights, c *Choice) []Executable {
	s := n.space
	var order []space.Op
	var forward list
	role := Forward
	if last == Evaluate {
		role = Evaluate
	}
	add := func(ws ...*weights) {
		for _, w := range ws {
			order = append(order, w.op)
			forward.add(w.op, role)
		}
	}
	entry := n.entry()
	add(entry...)
	for j := 1; j < len(s.Blocks); j++ {
		var heads, stacks [][]Pick
		if c != nil {
			heads, stacks = c.Head[j-1], c.Stack[j-1]
		}
		for layer := range n.head[j-1] {
			add(pick(n.head[j-1], heads, layer)...)
		}
		for layer := range n.stack[j-1] {
			add(pick(n.stack[j-1], stacks, layer)...)
		}
	}
	add(n.final...)
	forward.add(n.classifier.op, last)
	if last == Evaluate {
		return forward.keys
	}
	for i := len(order) - 1; i >= 0; i-- {
		o := order[i]
		if last == Update || i >= len(entry) {
			forward.add(o, Backward)
		}
		if last == Update && o.Kind != space.Skip {
			forward.add(o, Update)
		}
	}
	return forward.keys
}
