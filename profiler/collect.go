package profiler

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// litter is what may pile up on the heap before it is collected, between laps.
	litter = 64 << 20
	// backstop is what may pile up within a lap before the runtime collects nevertheless, lest memory run out.
	backstop = 2 << 30
)

// collector keeps Go's garbage collection out of what is timed: it is off, and tidy runs it in between.
type collector struct {
	sample []metrics.Sample
	after  uint64 // bytes on the heap after the last collection
}

func newCollector() *collector {
	return &collector{sample: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
}

// hold collects now, and turns collection off until the function that it returns is called.
func (c *collector) hold() (release func()) {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(-1)
	c.collect()
	if limit == math.MaxInt64 {
		debug.SetMemoryLimit(int64(c.after) + backstop)
	}
	return func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// tidy collects if there is much to collect.
func (c *collector) tidy() {
	if c.heap() > c.after+litter {
		c.collect()
	}
}

func (c *collector) collect() {
	runtime.GC()
	c.after = c.heap()
}

// heap is the size of all objects, dead ones too.
func (c *collector) heap() uint64 {
	metrics.Read(c.sample)
	return c.sample[0].Value.Uint64()
}
