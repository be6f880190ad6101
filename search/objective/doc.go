// Package objective models what a search has in mind besides accuracy: the latency, multiply-adds or parameters that a super network's
// architecture parameters let one expect, and how they move with each of them. It is plain float64 arithmetic on a few hundred numbers and knows no runtime.
//
//	(Space, lookup table) or (Space) → Costs; (Costs, Parameters) → expected latency in ms and its gradient
//
// The expectation is the chained cost of Fang et al., CVPR 2020, section 3.3: from the last block to the first, with every
// layer's candidates mixed by softmax(alpha) and every block's continuations by softmax(beta). It is linear in each layer's
// and each block's probabilities, so it is the mean latency of architectures drawn from them.
//
// Refused are tables that lack an operation of the space.
package objective
