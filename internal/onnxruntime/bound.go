//go:build cgo && !noonnxruntime && (linux || darwin)

package onnxruntime

import (
	"fmt"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"densenas/internal/exit"
)

// Bound is a model with the tensors that it takes and gives. Use it from one goroutine.
type Bound struct {
	session *ort.AdvancedSession
	values  []ort.Value
}

// Bind prepares a model for calls with the same tensors: what the inputs hold is read in each call, and the outputs, which have the
// shapes of the model's, are written in place. One that the runtime does not take is an error.
func (r *Runtime) Bind(model []byte, o Options, inputs, outputs []Tensor) (*Bound, error) {
	if len(model) == 0 || len(o.Inputs) == 0 || len(o.Outputs) == 0 {
		return nil, tooFew(model, o)
	}
	options, err := newOptions(o.Settings)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	b := &Bound{}
	for _, t := range slices.Concat(inputs, outputs) {
		value, err := t.value()
		if err != nil {
			b.Close()
			return nil, err
		}
		b.values = append(b.values, value)
	}
	session, err := ort.NewAdvancedSessionWithONNXData(model, o.Inputs, o.Outputs, b.values[:len(inputs)], b.values[len(inputs):], options)
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("ONNX Runtime %s refuses the model: %s", r.Version, exit.OneLine(err.Error()))
	}
	b.session = session
	return b, nil
}

// Run computes the outputs from what the inputs hold now.
func (b *Bound) Run() error {
	if err := b.session.Run(); err != nil {
		return fmt.Errorf("ONNX Runtime: %s", exit.OneLine(err.Error()))
	}
	return nil
}

// Close frees the model. The tensors' data stay the caller's.
func (b *Bound) Close() {
	if b.session != nil {
		b.session.Destroy()
	}
	for _, value := range b.values {
		value.Destroy()
	}
}
