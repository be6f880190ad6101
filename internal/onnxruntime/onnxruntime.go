// Package onnxruntime runs models in ONNX Runtime with float32 tensors, which are in the host's memory.
//
// A [Session] takes tensors and gives new ones. A [Bound] model has its tensors, and a call of it allocates nothing here: it is for
// measuring.
//
// The runtime is a shared library that is loaded when it is first opened, and stays for the life of the process: package library
// finds it, `make onnxruntime` gets it. It is reached through cgo; a program that is built without cgo, with the tag
// noonnxruntime, or for another system than Linux and macOS does not have it, and says so.
package onnxruntime

import (
	"fmt"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime/library"
)

// Runtime is the loaded library.
type Runtime struct {
	// Path of its file.
	Path string
	// Version of ONNX Runtime, such as "1.32.0".
	Version string
}

// Options of a session.
type Options struct {
	// Inputs and Outputs are the names of those of the model's that calls give and take, in this order.
	Inputs, Outputs []string
	Settings
}

// Tensor is a float32 tensor, row-major.
type Tensor struct {
	Dims []int
	Data []float32
}

// Find returns the library that [Open] would load for path: the file of that name, or where it is empty the one that package
// library finds. It loads nothing. A library that is not there is bad input that says how to get it.
func Find(path string) (string, error) {
	if missing := missing(); missing != "" {
		return "", exit.BadInput("ONNX Runtime is not there: %s; build with cgo and without the tag noonnxruntime, on Linux or macOS", missing)
	}
	if path != "" {
		if err := library.CheckFile(path); err != nil {
			return "", exit.BadInput("ONNX Runtime is not there: %w; name its library, or get it by `make onnxruntime`", err)
		}
		return path, nil
	}
	path, err := library.Find()
	if err != nil {
		return "", exit.BadInput("ONNX Runtime is not there: %w; get it by `make onnxruntime`, or name its library by %s", err, library.Variable)
	}
	return path, nil
}

// Open loads the library that [Find] finds. A process loads one: opening the same again is free, another one is an error.
func Open(path string) (*Runtime, error) {
	path, err := Find(path)
	if err != nil {
		return nil, err
	}
	return load(path)
}

// check compares a tensor's data with its dimensions.
func (t Tensor) check() error {
	n := 1
	for _, d := range t.Dims {
		if d < 1 {
			return fmt.Errorf("tensor of shape %v: no dimension may be below 1", t.Dims)
		}
		n *= d
	}
	if n != len(t.Data) || len(t.Dims) == 0 {
		return fmt.Errorf("tensor of shape %v has %d values", t.Dims, len(t.Data))
	}
	return nil
}
