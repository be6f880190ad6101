//go:build cgo && !noonnxruntime && (linux || darwin)

package onnxruntime

import (
	"fmt"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"

	"densenas/internal/exit"
)

// levels of optimization by their names.
var levels = map[string]ort.GraphOptimizationLevel{
	"none": ort.GraphOptimizationLevelDisableAll, "basic": ort.GraphOptimizationLevelEnableBasic,
	"extended": ort.GraphOptimizationLevelEnableExtended, All: ort.GraphOptimizationLevelEnableAll,
}

// providers that need no options of their own, by the names that ONNX Runtime has for them.
var providers = map[string]string{"coreml": "CoreML", "qnn": "QNN"}

// CheckSettings says, before any model is loaded, whether this library takes the settings. What it does not take is bad input.
func (*Runtime) CheckSettings(s Settings) error {
	options, err := newOptions(s)
	if err != nil {
		return err
	}
	options.Destroy()
	return nil
}

// newOptions are the options of a session with these settings. The caller destroys them.
func newOptions(s Settings) (*ort.SessionOptions, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %s", exit.OneLine(err.Error()))
	}
	if err := set(options, s); err != nil {
		options.Destroy()
		return nil, err
	}
	return options, nil
}

// set puts settings into options.
func set(options *ort.SessionOptions, s Settings) error {
	if err := options.SetIntraOpNumThreads(s.Threads); err != nil {
		return fmt.Errorf("ONNX Runtime does not take %d threads: %s", s.Threads, exit.OneLine(err.Error()))
	}
	if s.Optimization != "" {
		if err := options.SetGraphOptimizationLevel(levels[s.Optimization]); err != nil {
			return fmt.Errorf("ONNX Runtime does not take the optimization %s: %s", s.Optimization, exit.OneLine(err.Error()))
		}
	}
	if err := options.SetCpuMemArena(!s.NoArena); err != nil {
		return fmt.Errorf("ONNX Runtime: %s", exit.OneLine(err.Error()))
	}
	if len(s.Processors) > 0 {
		numbers := make([]string, len(s.Processors))
		for i, n := range s.Processors {
			numbers[i] = strconv.Itoa(n + 1) // it counts from 1
		}
		if err := options.AddSessionConfigEntry("session.intra_op_thread_affinities", strings.Join(numbers, ";")); err != nil {
			return fmt.Errorf("ONNX Runtime does not bind threads to the processors %v: %s", s.Processors, exit.OneLine(err.Error()))
		}
	}
	if err := appendProvider(options, s); err != nil {
		return exit.BadInput("this library of ONNX Runtime has no provider %s: %s; name a library that was built with it, or another provider", s.Provider, strings.TrimSuffix(exit.OneLine(err.Error()), "."))
	}
	return nil
}

func appendProvider(options *ort.SessionOptions, s Settings) error {
	switch s.Provider {
	case "", CPU:
		return nil
	case "cuda":
		cuda, err := ort.NewCUDAProviderOptions()
		if err != nil {
			return err
		}
		defer cuda.Destroy()
		return options.AppendExecutionProviderCUDA(cuda)
	case "xnnpack":
		return options.AppendExecutionProvider("XNNPACK", map[string]string{"intra_op_num_threads": strconv.Itoa(max(s.Threads, 1))})
	}
	return options.AppendExecutionProvider(providers[s.Provider], nil)
}

// tooFew says what a model lacks.
func tooFew(model []byte, o Options) error {
	return fmt.Errorf("load a model of %d bytes, %d inputs, %d outputs: each must be at least 1", len(model), len(o.Inputs), len(o.Outputs))
}
