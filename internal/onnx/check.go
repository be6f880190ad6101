package onnx

import (
	"fmt"
	"unicode/utf8"
)

// check says what makes the graph unsound, the first thing found.
func (g *Graph) check() error {
	known := map[string]bool{}
	define := func(what, name string) error {
		if name == "" || !utf8.ValidString(name) {
			return fmt.Errorf("%s has the name %q, which the format does not allow", what, name)
		}
		if known[name] {
			return fmt.Errorf("%s is called %q, as something before it", what, name)
		}
		known[name] = true
		return nil
	}
	for _, v := range g.Inputs {
		if err := define("an input", v.Name); err != nil {
			return err
		}
	}
	for _, t := range g.Weights {
		if err := define("a weight", t.Name); err != nil {
			return err
		}
		size := 1
		for _, d := range t.Dims {
			size *= d
		}
		if size != len(t.Data) {
			return fmt.Errorf("weight %q of shape %v has %d values", t.Name, t.Dims, len(t.Data))
		}
	}
	nodes := map[string]bool{}
	for _, n := range g.Nodes {
		if n.Name == "" || nodes[n.Name] || n.Operator == "" || len(n.Outputs) == 0 {
			return fmt.Errorf("node %q (%s) with %d outputs: a node has a name of its own, an operator and an output", n.Name, n.Operator, len(n.Outputs))
		}
		nodes[n.Name] = true
		for _, in := range n.Inputs {
			if in != "" && !known[in] {
				return fmt.Errorf("node %q takes %q, which nothing before it gives", n.Name, in)
			}
		}
		for _, out := range n.Outputs {
			if err := define(fmt.Sprintf("an output of node %q", n.Name), out); err != nil {
				return err
			}
		}
	}
	if len(g.Outputs) == 0 {
		return fmt.Errorf("graph %q has no output", g.Name)
	}
	for _, v := range g.Outputs {
		if !known[v.Name] {
			return fmt.Errorf("nothing gives the output %q", v.Name)
		}
	}
	return nil
}
