//go:build !(cgo && !noonnxruntime && (linux || darwin))

package onnxruntime

import "errors"

// missing says why this program has no ONNX Runtime; empty where it has.
func missing() string { return "this program was built without it" }

func load(string) (*Runtime, error) { return nil, errors.New(missing()) }

// CheckSettings says whether this library takes the settings.
func (*Runtime) CheckSettings(Settings) error { return errors.New(missing()) }

// Session is a model that is ready to run.
type Session struct{}

// Load prepares a model, the content of an ONNX file.
func (*Runtime) Load([]byte, Options) (*Session, error) { return nil, errors.New(missing()) }

// Run computes the outputs from the inputs, in the order of the options.
func (*Session) Run(...Tensor) ([]Tensor, error) { return nil, errors.New(missing()) }

// Close frees the session.
func (*Session) Close() {}

// Bound is a model with the tensors that it takes and gives.
type Bound struct{}

// Bind prepares a model for calls with the same tensors.
func (*Runtime) Bind([]byte, Options, []Tensor, []Tensor) (*Bound, error) {
	return nil, errors.New(missing())
}

// Run computes the outputs from what the inputs hold now.
func (*Bound) Run() error { return errors.New(missing()) }

// Close frees the model.
func (*Bound) Close() {}
