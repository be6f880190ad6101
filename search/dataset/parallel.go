package dataset

import (
	"context"
	"sync"
	"sync/atomic"
)

// parallel calls do(0) … do(n-1) from workers goroutines and waits for them. After an error or the end of ctx it begins no
// more calls, and returns the error of the lowest index that failed, or ctx's.
func parallel(ctx context.Context, workers, n int, do func(i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var mutex sync.Mutex
	failed := n
	var failure error
	var running sync.WaitGroup
	for range min(workers, n) {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					mutex.Lock()
					if i < failed {
						failed, failure = i, err
					}
					mutex.Unlock()
					cancel(err)
				}
			}
		})
	}
	running.Wait()
	if failure != nil {
		return failure
	}
	return ctx.Err()
}

// counter adds up what several goroutines have done and reports it, one report at a time.
type counter struct {
	mutex       sync.Mutex
	done, total int
	report      func(done, total int)
}

func newCounter(total int, report func(done, total int)) *counter {
	if report == nil {
		report = func(int, int) {}
	}
	return &counter{total: total, report: report}
}

func (c *counter) add(n int) {
	if n == 0 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.done += n
	c.report(c.done, c.total)
}
