package mesh

import (
	"slices"
	"testing"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/backends/backendstest"
	"densenas/internal/device"
)

// compiled builds x [2] · w [] on every device, and the sum of its elements on all devices.
func compiled(t *testing.T, b compute.Backend) compute.Executable {
	t.Helper()
	capture := &device.Capture{Backend: b}
	g := NewGraph(capture, "test")
	if err := Join(g, b); err != nil {
		t.Fatal(err)
	}
	x, w := Parameter(g, "x", shapes.Make(dtypes.Float32, 2)), Parameter(g, "w", shapes.Make(dtypes.Float32))
	y := Mul(x, w)
	sum := ReduceAllSum(y)
	if g.NumDevices() > 1 {
		sum = g.Distributed().AllReduceOne(sum, compute.ReduceOpSum)
	}
	if err := g.Compile(y, sum); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(capture.Code.Finalize)
	return capture.Code
}

func bufferOf(t *testing.T, b compute.Backend, x *tensors.Tensor) compute.Buffer {
	t.Helper()
	buffer, err := x.Buffer(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return buffer
}

func TestEveryDeviceComputesOnItsShare(t *testing.T) {
	plain := backendstest.Devices(t, 3).Backend
	joined, err := New(plain, 3)
	if err != nil {
		t.Fatal(err)
	}
	images := []float32{1, 2, 3, 4, 5, 6}
	x, err := Share(joined, images, 6)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(x.Shape().Dimensions, []int{2}) {
		t.Errorf("a share is %s", x.Shape())
	}
	w, err := device.Upload(joined, []float32{10})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Free(x, w)
	code := compiled(t, joined)
	out, err := code.Execute([]compute.Buffer{bufferOf(t, joined, x), bufferOf(t, joined, w)}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 2 {
		t.Fatalf("%d results, want 2", len(out))
	}
	for i := range 3 {
		share, sum := make([]float32, 2), make([]float32, 1)
		if err := out[0].(*buffer).devices[i].ToFlatData(share); err != nil {
			t.Fatal(err)
		}
		if err := out[1].(*buffer).devices[i].ToFlatData(sum); err != nil {
			t.Fatal(err)
		}
		if want := []float32{10 * images[2*i], 10 * images[2*i+1]}; !slices.Equal(share, want) || sum[0] != 210 {
			t.Errorf("device %d has %v and the sum %v, want %v and 210", i, share, sum, want)
		}
	}
	sum, err := tensors.FromBuffer(out[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := tensors.ToScalar[float32](sum); got != 210 {
		t.Errorf("the sum is read as %v", got)
	}
	device.Free(sum)
	if err := out[0].Finalize(); err != nil {
		t.Error(err)
	}

	// What is not the mesh's is refused, not read wrongly.
	other, err := device.Upload(plain, []float32{1, 2}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Free(other)
	if _, err := code.Execute([]compute.Buffer{bufferOf(t, plain, other), bufferOf(t, joined, w)}, nil, 0); err == nil {
		t.Error("a buffer of another backend was accepted")
	}
	if _, err := Share(joined, images[:5], 5); err == nil {
		t.Error("a batch was shared unevenly")
	}
}

func TestWithoutMeshNothingIsShared(t *testing.T) {
	b := backendstest.Go(t).Backend
	x, err := Share(b, []float32{1, 2}, 2)
	if err != nil {
		t.Fatal(err)
	}
	w, err := device.Upload(b, []float32{10})
	if err != nil {
		t.Fatal(err)
	}
	defer device.Free(x, w)
	out, err := compiled(t, b).Execute([]compute.Buffer{bufferOf(t, b, x), bufferOf(t, b, w)}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	sum := make([]float32, 1)
	if err := out[1].ToFlatData(sum); err != nil || sum[0] != 30 {
		t.Errorf("the sum is %v, %v", sum, err)
	}
}

func TestTooFewDevicesAreRefused(t *testing.T) {
	b := backendstest.Go(t).Backend
	for _, devices := range []int{-1, 0, 1, 2} {
		if _, err := New(b, devices); err == nil {
			t.Errorf("%d devices were joined of one", devices)
		}
	}
}
