package lowering

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"
	"github.com/google/go-cmp/cmp"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

var example = space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 3, In: 4, Out: 6, Stride: 2, Resolution: 8}

func TestChoosesTheFasterAndRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache", "lowerings.json")
	o := Options{Device: "test", Batch: 2, Training: true, File: path}
	for _, want := range op.Lowerings() {
		calls := 0
		c := New(nil, Options{Device: want.String(), Batch: 2, File: path})
		c.time = func(_ space.Op, l op.Lowering, _ bool) (time.Duration, error) {
			calls++
			if l == want {
				return time.Millisecond, nil
			}
			return time.Second, nil
		}
		if got := c.Choose(example); got != want {
			t.Errorf("chose %s, want %s", got, want)
		}
		wider := example
		wider.Out = 24 // the same depthwise convolution
		c.Choose(wider)
		if calls != len(op.Lowerings()) {
			t.Errorf("measured %d times, want once for each lowering", calls)
		}
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
		again := New(nil, Options{Device: want.String(), Batch: 2, File: path})
		if diff := cmp.Diff(c.Choices(), again.Choices()); diff != "" {
			t.Errorf("choices were not kept:\n%s", diff)
		}
	}
	if c := New(nil, o); len(c.Choices()) != 0 {
		t.Errorf("another device got %v", c.Choices())
	}
	if c := New(nil, Options{Device: "taps", Batch: 2, DType: dtypes.BFloat16, File: path}); len(c.Choices()) != 0 {
		t.Errorf("another type of numbers got %v", c.Choices())
	}
}

// TestGradientsDecideWhereTheForwardDoesNot has a lowering that is a little slower forward and much faster backward.
func TestGradientsDecideWhereTheForwardDoesNot(t *testing.T) {
	times := map[op.Lowering]map[bool]time.Duration{
		op.Taps:    {false: 10, true: 100},
		op.Grouped: {false: 15, true: 40},
	}
	for training, want := range map[bool]op.Lowering{false: op.Taps, true: op.Grouped} {
		c := New(nil, Options{Training: training})
		c.time = func(_ space.Op, l op.Lowering, gradients bool) (time.Duration, error) {
			return times[l][gradients], nil
		}
		if got := c.Choose(example); got != want {
			t.Errorf("training %t: chose %s, want %s", training, got, want)
		}
	}
}

func TestALoweringThatFailsIsPassedOver(t *testing.T) {
	c := New(nil, Options{})
	c.time = func(_ space.Op, l op.Lowering, _ bool) (time.Duration, error) {
		if l == op.Taps {
			return 0, errors.New("not here")
		}
		return time.Second, nil
	}
	if got := c.Choose(example); got != op.Grouped {
		t.Errorf("chose %s, which fails", got)
	}
}

func TestADamagedFileOnlyCostsTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lowerings.json")
	if err := os.WriteFile(path, []byte(`{"kind": "densenas.lo`), 0o644); err != nil {
		t.Fatal(err)
	}
	c := New(nil, Options{Device: "d", File: path})
	c.Preset(map[string]string{"depthwise_k3_c12_s2_r8": "grouped", "other": "from the future"})
	if c.Choose(example) != op.Grouped {
		t.Error("a preset choice was not used")
	}
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	if got := New(nil, Options{Device: "d", File: path}).Choices(); len(got) != 1 {
		t.Errorf("after saving over a damaged file: %v", got)
	}
}

func TestMeasuresOnEveryBackend(t *testing.T) {
	backendstest.Each(t, func(t *testing.T, b backends.Backend) {
		for _, o := range []space.Op{example, {Kind: space.Stem, Kernel: 3, In: 1, Out: 4, Stride: 2, Resolution: 8}} {
			for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
				c := New(b.Backend, Options{Batch: 2, DType: dtype})
				for _, gradients := range []bool{false, true} {
					for _, l := range op.Lowerings() {
						if d, err := c.measure(o, l, gradients); err != nil || d <= 0 {
							t.Errorf("%s in %s, %s: %v, %v", o.Key(), dtype, l, d, err)
						}
					}
				}
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"kind":"densenas.lowerings","schema_version":1,"devices":{"d":{"depthwise_k3_c12_s2_r8":"taps"}}}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		c := New(nil, Options{Device: "d", File: path})
		for _, name := range c.Choices() {
			if name != "taps" && name != "grouped" {
				t.Errorf("read the lowering %q", name)
			}
		}
	})
}
