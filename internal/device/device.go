// Package device moves values between Go and the first device of a backend, and frees them: device memory is invisible to
// Go's garbage collector, so whoever receives a tensor frees it.
package device

import (
	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/compute/dtypes/float16"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
)

// Value is an element type that is moved to devices.
type Value interface {
	float32 | int32 | bfloat16.BFloat16 | float16.Float16
}

// Upload copies flat values to the device, which alone has them then.
func Upload[T Value](b compute.Backend, v []T, dims ...int) (*tensors.Tensor, error) {
	t := tensors.FromFlatDataAndDimensions(v, dims...)
	if err := t.ToDevice(b, 0); err != nil {
		return nil, err
	}
	return t, nil
}

// Zeros allocates a float32 tensor of zeros on the device.
func Zeros(b compute.Backend, dims ...int) (*tensors.Tensor, error) {
	if !b.HasSharedBuffers() {
		return Upload(b, make([]float32, Size(dims)), dims...)
	}
	buffer, flat, err := b.NewSharedBuffer(0, shapes.Make(dtypes.Float32, dims...))
	if err != nil {
		return nil, err
	}
	clear(flat.([]float32))
	return tensors.FromBuffer(buffer)
}

// Copy copies a tensor from another client of the same host, whose memory it reads in place. Where the client can share memory
// with Go, it is written in place too: a client takes what is handed to it, if that is large, only when none of its calls runs.
func Copy(b compute.Backend, t *tensors.Tensor) (*tensors.Tensor, error) {
	from, err := t.Backend()
	if err != nil {
		return nil, err
	}
	buffer, err := t.Buffer(from, 0)
	if err != nil {
		return nil, err
	}
	flat, err := buffer.Data()
	if err != nil {
		return nil, err
	}
	var copied compute.Buffer
	if b.HasSharedBuffers() {
		var to any
		if copied, to, err = b.NewSharedBuffer(0, t.Shape()); err == nil {
			copy(dtypes.UnsafeByteSliceFromAny(to), dtypes.UnsafeByteSliceFromAny(flat))
		}
	} else {
		copied, err = b.BufferFromFlatData(0, flat, t.Shape())
	}
	if err != nil {
		return nil, err
	}
	return tensors.FromBuffer(copied)
}

// Size returns the number of elements of a shape.
func Size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// Free releases the memory of tensors; nil ones, and those freed before, are passed over.
func Free(ts ...*tensors.Tensor) {
	for _, t := range ts {
		if t != nil {
			// An error means that the buffer is gone already.
			_ = t.FinalizeAll()
		}
	}
}

// Arguments lists tensors as arguments of an executable.
func Arguments(ts ...[]*tensors.Tensor) []any {
	var out []any
	for _, group := range ts {
		for _, t := range group {
			out = append(out, t)
		}
	}
	return out
}
