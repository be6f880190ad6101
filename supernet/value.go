package supernet

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gomlx/gomlx/core/tensors"

	transfer "densenas/internal/device"
)

// value is what a call of an executable will return: tensors on the device, there once the call is done. It counts who still
// needs them, and frees them after the last.
type value struct {
	client  int // whose the tensors are
	tensors []*tensors.Tensor
	err     error
	users   atomic.Int32
	kept    bool // tensors are not freed here

	mu      sync.Mutex
	there   bool                      // tensors and err are final
	waiting []*call                   // for that
	copies  map[int][]*tensors.Tensor // on other clients
}

// newValue returns a value that its producer, a call on a client, and the caller use.
func newValue(client int) *value {
	v := &value{client: client}
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
	v := &value{client: client, tensors: ts, kept: true, there: true}
	v.users.Store(1)
	return v
}

// settle makes the value final, by its producer.
func (v *value) settle(ts []*tensors.Tensor, err error) {
	v.mu.Lock()
	v.tensors, v.err, v.there = ts, err, true
	waiting := v.waiting
	v.waiting = nil
	v.mu.Unlock()
	for _, c := range waiting {
		c.arrived()
	}
	v.release()
}

// tell has the call told when the value is there.
func (v *value) tell(c *call) {
	v.mu.Lock()
	if !v.there {
		v.waiting = append(v.waiting, c)
		c = nil
	}
	v.mu.Unlock()
	if c != nil {
		c.arrived()
	}
}

// on returns the tensors on a client, copied once where they are another's. The value must be there.
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
