// Package space models a densely connected search space, the architectures in it and the architecture parameters that choose
// among them, as plain data: it knows no runtime.
//
// A Space is a list of blocks, each with a width and a feature-map size, a rule that says which blocks may follow which, and
// the candidates of every layer (Fang et al., Densely Connected Search Space for More Flexible Neural Architecture Search,
// CVPR 2020, section 3). It is read from YAML; some are embedded. From it come the connections, the operations of every
// layer, and the distinct signatures of those operations, which is what a profiler measures and a super network compiles.
// Parameters are the logits of a search over a space; an Architecture is one network, out of a space or not.
//
//	YAML → Space → Op signatures → (table) …
//	Space + Parameters → (derivation) → Architecture → *.arch.json or net_config text
//
// Files come from strangers: readers are strict, bound every size before they allocate, and name the file, the place and what
// is allowed. Spaces with a connection that halves the resolution twice, with a block that no path reaches, or with operations
// outside the ranges of Op.Check are refused.
package space
