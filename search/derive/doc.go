// Package derive turns the architecture parameters of a finished search into one architecture. It knows no runtime.
//
//	(Space, Parameters) → the largest alpha of every layer, the most probable path → Architecture
//	(Space, Parameters, limits on costs) → the most probable architectures that are within all limits → Architectures
//	(Space, Parameters, targets by tables or counts) → either of them, with the first table's prediction
//
// The path is found by the Viterbi algorithm over the transition probabilities softmax(beta) (Fang et al., CVPR 2020, section 3.4).
// Within limits, path and layers are chosen together, and exactly: see Within.
//
// Refused are parameters of another space or shape, and limits that no architecture of the space meets.
package derive
