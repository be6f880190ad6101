// Package supernet runs the super network: every block and connection of a space at once, mixed by path probabilities,
// with only the sampled operations of each layer.
//
// XLA compiles static graphs, and what is sampled changes at every step. So the unit of compilation is the operation: one
// executable for its forward, one for its backward with the update of its weights, and one for the backward of an
// architecture step, cached by signature and shared by all places where that signature occurs. Go calls them in the order
// of the sampled path; what flows between the calls stays on the device. Operations that are not sampled cost nothing:
// their weights are not even allocated before they are first drawn.
//
//	Choice (which ops, with which weights)  ->  forward, block by block: out(j) = Σ beta · head(out(i)), then the stack
//	                                        ->  final 1×1 of the last blocks, pooled, classifier, loss
//	                                        ->  backward in the opposite order; WeightStep updates weights by SGD,
//	                                            ArchitectureStep returns the inner products that the gradients of
//	                                            alpha and beta are made of
//
// The package knows no latency, no logits and no schedule: the architecture parameters live in package search, as plain
// numbers. A Network must be used from one goroutine at a time; it runs
// independent calls at once itself.
package supernet
