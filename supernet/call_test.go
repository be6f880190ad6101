package supernet

import (
	"slices"
	"testing"
)

// TestQueueServesTheLowestNumberFirst: of the calls that are due. One that waits for an argument is not.
func TestQueueServesTheLowestNumberFirst(t *testing.T) {
	q := newQueue()
	v := newValue(0)
	for _, c := range []*call{{number: 3}, {number: 1}, {number: 0, args: []*value{v, v}}, {number: 2}} {
		c.queue = q
		c.arrange()
	}
	var got []int
	got = append(got, q.next().number, q.next().number)
	v.settle(nil, nil)
	got = append(got, q.next().number, q.next().number)
	if !slices.Equal(got, []int{1, 2, 0, 3}) {
		t.Errorf("served in the order %v", got)
	}
	q.close()
	if c := q.next(); c != nil {
		t.Errorf("served %d after all", c.number)
	}
}
