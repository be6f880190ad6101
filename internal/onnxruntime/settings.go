package onnxruntime

import (
	"slices"
	"strings"

	"densenas/internal/exit"
)

// Settings of a session change how long its calls take. The zero value is what ONNX Runtime does by itself on the CPU.
type Settings struct {
	// Provider executes the operators that it knows, and the CPU the others: one of [Providers]; cpu where it is empty.
	Provider string
	// Optimization is how much of a graph is rewritten for speed: one of [Optimizations]; all where it is empty.
	Optimization string
	// NoArena takes memory from the system and gives it back, instead of keeping it for the next call.
	NoArena bool
	// Threads that one operator is spread over, the caller's among them; 0 (the default): one per core.
	Threads int
	// Processors are those that the threads beside the caller's are bound to, one each, by the system's numbers from 0; nil: not
	// bound.
	Processors []int
}

// CPU is the provider that every library has.
const CPU = "cpu"

// Providers are those that can be asked for. A library has the ones that it was built with.
func Providers() []string {
	return []string{CPU, "coreml", "cuda", "qnn", "xnnpack"}
}

// Optimizations of graphs: none, basic (what is redundant), extended (fused operators) and all (also the layout of data).
func Optimizations() []string { return []string{"none", "basic", "extended", All} }

// All is the optimization that ONNX Runtime does by itself.
const All = "all"

// Check refuses names that are not known, as bad input.
func (s Settings) Check() error {
	if s.Provider == "nnapi" {
		return exit.BadInput("provider nnapi cannot be asked for by its name in ONNX Runtime's C interface, which other programs than Android's apps use; take xnnpack, qnn or cpu")
	}
	if s.Provider != "" && !slices.Contains(Providers(), s.Provider) {
		return exit.BadInput("provider %.40q of ONNX Runtime is not known, only %s", s.Provider, strings.Join(Providers(), ", "))
	}
	if s.Optimization != "" && !slices.Contains(Optimizations(), s.Optimization) {
		return exit.BadInput("optimization %.40q of ONNX Runtime is not known, only %s", s.Optimization, strings.Join(Optimizations(), ", "))
	}
	if s.Processors != nil && len(s.Processors) != s.Threads-1 {
		return exit.BadInput("%d processors for the threads beside the caller's, of %d threads; give one for each, or none", len(s.Processors), s.Threads)
	}
	return nil
}
