// Package mesh joins devices of one backend into a backend that computes on all of them at once, by XLA's SPMD (single program,
// multiple data): every device runs the same executable, on arguments of its own.
//
//	New(b, n)  ->  a backend whose buffers hold a value per device:  uploaded, the same on each (weights);
//	                                                                 by Share, a share of a batch on each
//	           ->  graphs over it, joined to the devices by Join, build what one device computes; sums over the devices are
//	               built by GoMLX's collectives
//	           ->  its executables run on all devices, and return when all are done
//
// What reads a buffer reads the first device's value: all the same where it was uploaded or summed over the devices, and of no
// meaning by itself where it is a share. Devices are not moved between, and shares not gathered. The backend below stays open.
package mesh

import (
	"errors"
	"fmt"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/distributed"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/device"
)

// Backend is a backend over several devices of another.
type Backend struct {
	compute.Backend
	mesh *distributed.DeviceMesh
}

// New joins the first devices of b, two at least. It is an error if b has fewer.
func New(b compute.Backend, devices int) (*Backend, error) {
	if there := b.NumDevices(); devices < 2 || devices > there {
		return nil, fmt.Errorf("%d devices cannot be joined: backend %s has %d, and it takes two", devices, b.Name(), there)
	}
	m, err := distributed.NewDeviceMesh([]int{devices}, []string{"data"})
	if err != nil {
		return nil, err
	}
	return &Backend{Backend: b, mesh: m}, nil
}

// Devices returns how many devices are joined.
func (b *Backend) Devices() int { return b.mesh.NumDevices() }

// Join makes a new graph over b one that runs on the devices of a mesh; another backend's graphs stay as they are.
func Join(g *graph.Graph, b compute.Backend) error {
	if m, ok := b.(*Backend); ok {
		return g.SetSPMD(m.mesh)
	}
	return nil
}

// Share uploads a batch, whose size is the first of its dimensions, to b: of a mesh, every device gets its share, in order. The
// tensor has the dimensions of a share. Other backends get the whole.
func Share[T device.Value](b compute.Backend, v []T, dims ...int) (*tensors.Tensor, error) {
	m, ok := b.(*Backend)
	if !ok {
		return device.Upload(b, v, dims...)
	}
	n := m.Devices()
	if dims[0]%n != 0 {
		return nil, fmt.Errorf("a batch of %d cannot be shared by %d devices", dims[0], n)
	}
	share := append([]int{dims[0] / n}, dims[1:]...)
	size := device.Size(share)
	shape := shapes.Make(dtypes.FromGenericsType[T](), share...)
	return fromBuffer(m.upload(func(i int) any { return v[i*size : (i+1)*size] }, shape))
}

func fromBuffer(b compute.Buffer, err error) (*tensors.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return tensors.FromBuffer(b)
}

// upload makes a buffer of what the devices get.
func (b *Backend) upload(of func(device int) any, shape shapes.Shape) (compute.Buffer, error) {
	values := &buffer{backend: b}
	for i := range b.Devices() {
		value, err := b.Backend.BufferFromFlatData(compute.DeviceNum(i), of(i), shape)
		if err != nil {
			return nil, errors.Join(err, values.Finalize())
		}
		values.devices = append(values.devices, value)
	}
	return values, nil
}

// BufferFromFlatData implements [compute.Backend]: every device gets the same.
func (b *Backend) BufferFromFlatData(_ compute.DeviceNum, flat any, shape shapes.Shape) (compute.Buffer, error) {
	return b.upload(func(int) any { return flat }, shape)
}

// HasSharedBuffers implements [compute.Backend]: the memory of several devices cannot be one slice.
func (b *Backend) HasSharedBuffers() bool { return false }

// NewSharedBuffer implements [compute.Backend].
func (b *Backend) NewSharedBuffer(compute.DeviceNum, shapes.Shape) (compute.Buffer, any, error) {
	return nil, nil, errShared
}

var errShared = errors.New("a mesh of devices has no shared buffers")

// Builder implements [compute.Backend].
func (b *Backend) Builder(name string) compute.Builder { return builder{b.Backend.Builder(name), b} }

type builder struct {
	compute.Builder
	backend *Backend
}

// Compile implements [compute.Builder].
func (b builder) Compile() (compute.Executable, error) {
	code, err := b.Builder.Compile()
	if err != nil {
		return nil, err
	}
	return executable{code, b.backend}, nil
}

type executable struct {
	compute.Executable
	backend *Backend
}

// Execute implements [compute.Executable]: inputs and outputs are buffers of the mesh.
func (e executable) Execute(inputs []compute.Buffer, donate []bool, _ compute.DeviceNum) ([]compute.Buffer, error) {
	n := e.backend.Devices()
	var in []compute.Buffer
	var given []bool
	for i := range n {
		for _, input := range inputs {
			values, ok := input.(*buffer)
			if !ok || values.backend != e.backend {
				return nil, fmt.Errorf("a buffer is not one of this mesh of %d devices", n)
			}
			in = append(in, values.devices[i])
		}
		given = append(given, donate...)
	}
	results, err := e.Executable.Execute(in, given, 0)
	if err != nil {
		return nil, err
	}
	out := make([]compute.Buffer, len(results)/n)
	for k := range out {
		values := &buffer{backend: e.backend}
		for i := range n {
			values.devices = append(values.devices, results[i*len(out)+k])
		}
		out[k] = values
	}
	return out, nil
}

// buffer holds a value per device.
type buffer struct {
	backend *Backend
	devices []compute.Buffer
}

// Backend implements [compute.Buffer].
func (b *buffer) Backend() compute.Backend { return b.backend }

// Finalize implements [compute.Buffer].
func (b *buffer) Finalize() error {
	var errs []error
	for _, value := range b.devices {
		errs = append(errs, value.Finalize())
	}
	return errors.Join(errs...)
}

// Shape implements [compute.Buffer]: that of a device's value.
func (b *buffer) Shape() (shapes.Shape, error) { return b.devices[0].Shape() }

// DeviceNum implements [compute.Buffer]: the mesh is one device to those who use it.
func (b *buffer) DeviceNum() (compute.DeviceNum, error) { return 0, nil }

// ToFlatData implements [compute.Buffer]: it reads the first device's value.
func (b *buffer) ToFlatData(flat any) error { return b.devices[0].ToFlatData(flat) }

// Data implements [compute.Buffer].
func (b *buffer) Data() (any, error) { return nil, errShared }

// CopyToDevice implements [compute.Buffer].
func (b *buffer) CopyToDevice(compute.DeviceNum) (compute.Buffer, error) {
	return nil, errors.New("a value of a mesh is on all of its devices already")
}
