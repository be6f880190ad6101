package supernet

import (
	"container/heap"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
)

// value is what a call of an executable will return: tensors on the device, there once the call is done. It counts who still
// needs them, and frees them after the last.
type value struct {
	ready   chan struct{} // closed when the rest is final
	client  int           // whose the tensors are
	tensors []*tensors.Tensor
	err     error
	users   atomic.Int32
	kept    bool // tensors are not freed here

	mu     sync.Mutex
	copies map[int][]*tensors.Tensor // on other clients
}

// newValue returns a value that its producer, a call on a client, and the caller use.
func newValue(client int) *value {
	v := &value{ready: make(chan struct{}), client: client}
	v.users.Store(2)
	return v
}

// valueOf wraps a tensor that is on a client.
func valueOf(client int, t *tensors.Tensor) *value {
	v := keep(client, t)
	v.kept = false
	return v
}

// keep wraps tensors that are on a client and that someone else frees.
func keep(client int, ts ...*tensors.Tensor) *value {
	v := &value{ready: make(chan struct{}), client: client, tensors: ts, kept: true}
	v.users.Store(1)
	close(v.ready)
	return v
}

// settle makes the value final, by its producer.
func (v *value) settle(ts []*tensors.Tensor, err error) {
	v.tensors, v.err = ts, err
	close(v.ready)
	v.release()
}

// on returns the tensors on a client, copied once where they are another's. The value must be ready.
func (v *value) on(client int, devices []device) ([]*tensors.Tensor, error) {
	if client == v.client {
		return v.tensors, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if ts := v.copies[client]; ts != nil {
		return ts, nil
	}
	var ts []*tensors.Tensor
	for _, t := range v.tensors {
		copied, err := transfer.Copy(devices[client].backend, t)
		if err != nil {
			transfer.Free(ts...)
			return nil, err
		}
		ts = append(ts, copied)
	}
	if v.copies == nil {
		v.copies = map[int][]*tensors.Tensor{}
	}
	v.copies[client] = ts
	return ts, nil
}

// retain adds a user, who calls release.
func (v *value) retain() *value {
	v.users.Add(1)
	return v
}

// release takes a user away; nil is nobody's.
func (v *value) release() {
	if v == nil || v.users.Add(-1) > 0 {
		return
	}
	if !v.kept {
		transfer.Free(v.tensors...)
	}
	for _, ts := range v.copies {
		transfer.Free(ts...)
	}
}

// lanes are parts of a sum that are added up at once, see [Network.laneOf]. Whoever takes the sum takes all lanes and adds them: a
// call of its own for that would take longer, and all that comes after would wait for it.
type lanes []*value

// lane returns the sum of a lane; nil in it is zero.
func (l *lanes) lane(i int) **value {
	for len(*l) <= i {
		*l = append(*l, nil)
	}
	return &(*l)[i]
}

// retain adds a user of all lanes, who calls release.
func (l lanes) retain() lanes {
	for _, v := range l {
		if v != nil {
			v.retain()
		}
	}
	return slices.Clone(l)
}

func (l *lanes) release() {
	for _, v := range *l {
		v.release()
	}
	*l = nil
}

// slots lets a limited number of calls run at once. Those that wait go in the order of their numbers: the program's, in which
// what leads on comes first.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting queue
}

func (s *slots) acquire(number int) {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	heap.Push(&s.waiting, waiter{number, turn})
	s.mu.Unlock()
	<-turn
}

func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	close(heap.Pop(&s.waiting).(waiter).turn)
}

type waiter struct {
	number int
	turn   chan struct{}
}

// queue is a heap of waiters, the lowest number first.
type queue []waiter

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].number < q[j].number }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(w any)        { *q = append(*q, w.(waiter)) }

func (q *queue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	*q = (*q)[:last]
	return w
}
