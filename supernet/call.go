package supernet

import (
	"container/heap"
	"sync"
	"sync/atomic"

	"github.com/gomlx/gomlx/core/tensors"
)

// call is one call of an executable in a step. It is due once all its arguments are there.
type call struct {
	key     Executable
	number  int // its turn among those that are due: the lowest goes first
	args    []*value
	done    func(out []*tensors.Tensor, err error)
	queue   *queue
	missing atomic.Int32 // arguments that are not there yet, and one more until all were asked for
}

// arrange has the call put into its queue when it is due, which may be now.
func (c *call) arrange() {
	c.missing.Store(int32(len(c.args)) + 1)
	for _, v := range c.args {
		v.tell(c)
	}
	c.arrived()
}

// arrived counts an argument that is there.
func (c *call) arrived() {
	if c.missing.Add(-1) == 0 {
		c.queue.push(c)
	}
}

// queue holds the calls of one client that are due. A call that ends puts those that only waited for it here before its client
// takes the next one. So what leads on is never overtaken by what merely was due before.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond
	due    calls
	closed bool
}

func newQueue() *queue {
	q := &queue{}
	q.filled.L = &q.mu
	return q
}

func (q *queue) push(c *call) {
	q.mu.Lock()
	heap.Push(&q.due, c)
	q.mu.Unlock()
	q.filled.Signal()
}

// next takes the call with the lowest number, and waits for one if none is due. It is nil when the queue was closed.
func (q *queue) next() *call {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.due) == 0 {
		if q.closed {
			return nil
		}
		q.filled.Wait()
	}
	return heap.Pop(&q.due).(*call)
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.filled.Broadcast()
}

// calls is a heap, the lowest number first.
type calls []*call

func (c calls) Len() int           { return len(c) }
func (c calls) Less(i, j int) bool { return c[i].number < c[j].number }
func (c calls) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *calls) Push(x any)        { *c = append(*c, x.(*call)) }

func (c *calls) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return x
}
