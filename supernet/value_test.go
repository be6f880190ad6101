package supernet

import (
	"runtime"
	"slices"
	"testing"
)

func TestSlotsServeTheLowestNumberFirst(t *testing.T) {
	s := &slots{free: 1}
	s.acquire(0)
	served := make(chan int, 3)
	for i, number := range []int{3, 1, 2} {
		go func() {
			s.acquire(number)
			served <- number
			s.release()
		}()
		for queued := 0; queued <= i; runtime.Gosched() {
			s.mu.Lock()
			queued = len(s.waiting)
			s.mu.Unlock()
		}
	}
	s.release()
	got := []int{<-served, <-served, <-served}
	if !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("3, 1 and 2 waited and were served in the order %v", got)
	}
}
