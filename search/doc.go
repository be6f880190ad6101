// Package search runs a differentiable architecture search over a super network, and trains what it derives.
//
// The method is DenseNAS (Fang et al., CVPR 2020): weights and architecture parameters are trained in turn.
//
//	phase "weights"        weight epochs only; one op of every mixed op sampled uniformly, in the first epochs, where so configured,
//	                       the same one always, whose weights the others then take over
//	phase "architecture"   every epoch: an architecture pass over the held-out share of the training data, two ops of
//	                       every mixed op sampled; then a weight pass over the rest, one op sampled by softmax(alpha)
//
// A weight step moves the weights of what ran by SGD. An architecture step moves the logits alpha and beta by Adam, on
// cross entropy plus factor · log(chained cost)/log(base) for each objective: the latency by one table or several,
// multiply-adds, parameters. With a target an objective's factor is a Lagrange multiplier.
// Everything about logits is plain Go in float64; only the super network's steps run on a backend.
//
// A run lives in a folder (package rundir), is saved at every epoch and when interrupted, and continues from there. The
// package reads no command line and prints nothing: progress is reported to a callback.
package search
