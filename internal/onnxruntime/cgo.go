//go:build cgo && !noonnxruntime && (linux || darwin)

package onnxruntime

import (
	"fmt"
	"path/filepath"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"densenas/internal/exit"
)

// missing says why this program has no ONNX Runtime; empty where it has.
func missing() string { return "" }

// The library's environment is one per process.
var (
	loading sync.Mutex
	loaded  *Runtime
)

func load(path string) (*Runtime, error) {
	// A bare name would be looked up elsewhere.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	loading.Lock()
	defer loading.Unlock()
	if loaded != nil {
		if loaded.Path != path {
			return nil, fmt.Errorf("open %s: this process has loaded %s already, and can have one ONNX Runtime only", path, loaded.Path)
		}
		return loaded, nil
	}
	ort.SetSharedLibraryPath(path)
	// Errors come back as errors; its remarks on the machine are of no use.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return nil, exit.BadInput("ONNX Runtime cannot be loaded from %s: %s; name a library of version 1.24 or newer, as `make onnxruntime` gets one", path, exit.OneLine(err.Error()))
	}
	loaded = &Runtime{Path: path, Version: ort.GetVersion()}
	return loaded, nil
}

// Session is a model that is ready to run. It may be used by several goroutines.
type Session struct {
	session *ort.DynamicAdvancedSession
	outputs int
}

// Load prepares a model, the content of an ONNX file. One that the runtime does not take is an error.
func (r *Runtime) Load(model []byte, o Options) (*Session, error) {
	if len(model) == 0 || len(o.Inputs) == 0 || len(o.Outputs) == 0 {
		return nil, tooFew(model, o)
	}
	options, err := newOptions(o.Settings)
	if err != nil {
		return nil, err
	}
	defer options.Destroy()
	session, err := ort.NewDynamicAdvancedSessionWithONNXData(model, o.Inputs, o.Outputs, options)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime %s refuses the model: %s", r.Version, exit.OneLine(err.Error()))
	}
	return &Session{session, len(o.Outputs)}, nil
}

// Run computes the outputs from the inputs, in the order of the options.
func (s *Session) Run(inputs ...Tensor) ([]Tensor, error) {
	values := make([]ort.Value, len(inputs))
	for i, in := range inputs {
		value, err := in.value()
		if err != nil {
			return nil, err
		}
		defer value.Destroy()
		values[i] = value
	}
	results := make([]ort.Value, s.outputs)
	defer func() {
		for _, value := range results {
			if value != nil {
				value.Destroy()
			}
		}
	}()
	if err := s.session.Run(values, results); err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %s", exit.OneLine(err.Error()))
	}
	outputs := make([]Tensor, len(results))
	for i, value := range results {
		tensor, ok := value.(*ort.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("output %d of the model is not of float32", i)
		}
		for _, d := range tensor.GetShape() {
			outputs[i].Dims = append(outputs[i].Dims, int(d))
		}
		outputs[i].Data = tensor.GetData()
	}
	return outputs, nil
}

// Close frees the session.
func (s *Session) Close() { s.session.Destroy() }

// value is the tensor as ONNX Runtime sees it, over the same data.
func (t Tensor) value() (*ort.Tensor[float32], error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	dims := make([]int64, len(t.Dims))
	for k, d := range t.Dims {
		dims[k] = int64(d)
	}
	value, err := ort.NewTensor(ort.NewShape(dims...), t.Data)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %s", exit.OneLine(err.Error()))
	}
	return value, nil
}
