// Package lowering chooses, by measuring once, how the spatial convolution of each operation is written for the compiler.
//
// Which lowering is fast depends on the device and the signature: on CPUs shifted multiply-adds win over XLA's grouped
// convolution by several times, on GPUs they may lose. A [Chooser] builds the convolution alone (in training with its
// gradients, unless the forward decides already) in every lowering, times a few laps of each, and remembers the winner, in memory and in a small file that
// later programs on the same device read. It measures nothing but this choice: its times are too rough for a table.
package lowering

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"

	"densenas/internal/device"
	"densenas/internal/files"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

const (
	kind          = "densenas.lowerings"
	schemaVersion = 1
	maxFile       = 16 << 20

	laps    = 5
	maxTime = 300 * time.Millisecond // of one lowering's laps

	clearLead = 2 // how many times as fast a forward must be to settle a choice for training
)

// Options of a Chooser.
type Options struct {
	// Device names what is measured on: choices are shared between programs that give the same name. It should hold the
	// processor, the runtime and its version.
	Device string
	// Batch is the number of images.
	Batch int
	// DType is the type of numbers of activations; the zero value is float32, which the kernel always is.
	DType dtypes.DType
	// Training measures the gradients too, where the forward alone does not settle the choice.
	Training bool
	// File is where choices are kept; empty for memory only. A file that cannot be read or written only costs time.
	File string
}

// Chooser chooses lowerings. Goroutines may share it; it measures one operation at a time.
type Chooser struct {
	mu      sync.Mutex // of choices, held while measuring
	backend compute.Backend
	options Options
	choices map[string]op.Lowering // by convolution
	time    func(o space.Op, l op.Lowering, gradients bool) (time.Duration, error)
}

// CacheFile returns the default file of choices, in the user's cache folder; empty where there is none.
func CacheFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "densenas", "lowerings.json")
}

// New returns a chooser that knows what File holds for the device.
func New(b compute.Backend, o Options) *Chooser {
	c := &Chooser{backend: b, options: o, choices: map[string]op.Lowering{}}
	c.time = c.measure
	if f, err := read(o.File); err == nil {
		c.Preset(f.Devices[c.name()])
	}
	return c
}

// Preset takes over choices made before, as [Chooser.Choices] returns them; unknown lowerings are ignored.
func (c *Chooser) Preset(choices map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, name := range choices {
		for _, l := range op.Lowerings() {
			if l.String() == name {
				c.choices[key] = l
			}
		}
	}
}

// Choices returns what has been chosen so far, by convolution.
func (c *Chooser) Choices() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]string{}
	for key, l := range c.choices {
		out[key] = l.String()
	}
	return out
}

// Choose returns the fastest lowering of o, measuring on first use. A lowering that the backend does not have is passed
// over.
func (c *Chooser) Choose(o space.Op) op.Lowering {
	if !op.HasChoice(o) {
		return op.Taps
	}
	key := convolution(o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l, ok := c.choices[key]; ok {
		return l
	}
	best, clear := c.fastest(o, false)
	if c.options.Training && !clear {
		best, _ = c.fastest(o, true)
	}
	c.choices[key] = best
	return best
}

// fastest measures every lowering, with or without gradients; clear says whether the winner leads by so much that more
// measuring would not change it. Compiling gradients is what costs, and on a CPU the forward alone decides.
func (c *Chooser) fastest(o space.Op, gradients bool) (best op.Lowering, clear bool) {
	shortest, second := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for _, l := range op.Lowerings() {
		t, err := c.time(o, l, gradients)
		if err != nil {
			continue
		}
		if t < shortest {
			best, shortest, second = l, t, shortest
		} else {
			second = min(second, t)
		}
	}
	return best, second/clearLead > shortest
}

// convolution names the spatial convolution of o: operations that differ elsewhere share its choice.
func convolution(o space.Op) string {
	switch o.Kind {
	case space.Stem:
		return fmt.Sprintf("stem_k%d_i%d_o%d_s%d_r%d", o.Kernel, o.In, o.Out, o.Stride, o.Resolution)
	case space.Basic:
		return fmt.Sprintf("full_k%d_i%d_o%d_s%d_r%d", space.BasicKernel, o.In, o.Out, o.Stride, o.Resolution)
	}
	return fmt.Sprintf("depthwise_k%d_c%d_s%d_r%d", o.Kernel, o.In*o.Expansion, o.Stride, o.Resolution)
}

// name is the key of the device's choices in the file.
func (c *Chooser) name() string {
	form := "inference"
	if c.options.Training {
		form = "training"
	}
	name := fmt.Sprintf("%s, %s, batch %d", c.options.Device, form, c.options.Batch)
	if c.options.DType == dtypes.BFloat16 {
		name += ", bf16"
	}
	return name
}

// measure returns the shortest of a few laps.
func (c *Chooser) measure(o space.Op, l op.Lowering, gradients bool) (time.Duration, error) {
	exec, err := NewExec(c.backend, func(in []*Node) []*Node {
		y := op.Spatial(o, l, in[0], in[1])
		if !gradients {
			return []*Node{y}
		}
		dx, dkernel := op.SpatialBackward(o, l, in[0], y, in[1])
		if dx == nil {
			return []*Node{y, dkernel}
		}
		return []*Node{y, dx, dkernel}
	})
	if err != nil {
		return 0, err
	}
	defer exec.Finalize()
	var args []*tensors.Tensor
	defer func() { device.Free(args...) }()
	x, kernel := op.SpatialShapes(o, c.options.Batch)
	for i, dims := range [][]int{x, kernel} {
		values := make([]float32, device.Size(dims))
		for i := range values {
			values[i] = float32(i%17)/8 - 1
		}
		upload := device.Upload[float32]
		if i == 0 && c.options.DType == dtypes.BFloat16 {
			upload = narrowed
		}
		t, err := upload(c.backend, values, dims...)
		if err != nil {
			return 0, err
		}
		args = append(args, t)
	}
	shortest := time.Duration(math.MaxInt64)
	begin := time.Now()
	for lap := -1; lap < laps; lap++ { // lap −1 compiles
		start := time.Now()
		out, err := exec.Call(device.Arguments(args)...)
		took := time.Since(start)
		if err != nil {
			return 0, err
		}
		device.Free(out...)
		if lap < 0 {
			begin = time.Now()
			continue
		}
		shortest = min(shortest, took)
		if time.Since(begin) > maxTime {
			break
		}
	}
	return shortest, nil
}

// narrowed uploads values as bfloat16.
func narrowed(b compute.Backend, values []float32, dims ...int) (*tensors.Tensor, error) {
	narrow := make([]bfloat16.BFloat16, len(values))
	for i, v := range values {
		narrow[i] = bfloat16.FromFloat32(v)
	}
	return device.Upload(b, narrow, dims...)
}

// file is the form of the choices' file.
type file struct {
	files.Header
	Devices map[string]map[string]string `json:"devices"`
}

func read(path string) (file, error) {
	var f file
	if path == "" {
		return f, os.ErrNotExist
	}
	data, err := files.ReadBounded(path, maxFile)
	if err != nil {
		return f, err
	}
	if err := files.DecodeJSON(path, data, &f); err != nil {
		return f, err
	}
	return f, f.Check(path, kind, schemaVersion)
}

// Save merges the choices into File.
func (c *Chooser) Save() error {
	choices := c.Choices()
	if c.options.File == "" || len(choices) == 0 {
		return nil
	}
	f, err := read(c.options.File)
	if err != nil || f.Devices == nil {
		// Nothing worth keeping: the file is a cache.
		f = file{Devices: map[string]map[string]string{}}
	}
	f.Header = files.Header{Kind: kind, SchemaVersion: schemaVersion}
	merged := f.Devices[c.name()]
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, choices)
	f.Devices[c.name()] = merged
	if err := os.MkdirAll(filepath.Dir(c.options.File), 0o755); err != nil {
		return err
	}
	return files.WriteAtomic(c.options.File, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(f)
	})
}
