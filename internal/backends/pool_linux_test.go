//go:build linux && cgo && !noxla && (amd64 || arm64)

package backends

import (
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestChooseWaitingTakesACoreThatDoesNotCompute(t *testing.T) {
	pairs := func(processor int) string { return strconv.Itoa(processor / 2) }
	for _, c := range []struct {
		computing, rest []int
		want            int
	}{{[]int{3}, []int{0, 1, 2}, 1}, {[]int{1, 3}, []int{0, 2}, 2}, {[]int{0}, []int{1}, 1}} {
		var computing, rest unix.CPUSet
		for _, n := range c.computing {
			computing.Set(n)
		}
		for _, n := range c.rest {
			rest.Set(n)
		}
		if got := chooseWaiting(&computing, &rest, pairs); got != c.want {
			t.Errorf("%v compute, of %v: %d waits, want %d", c.computing, c.rest, got, c.want)
		}
	}
}

func TestParallelCallsEachTaskOnce(t *testing.T) {
	for _, compilers := range []int{0, 1, 3} {
		var spread atomic.Int32
		var calls [10]atomic.Int32
		b := Backend{compilers: compilers, spread: func() { spread.Add(1) }}
		b.Parallel(len(calls), func(i int) { calls[i].Add(1) })
		for i := range calls {
			if n := calls[i].Load(); n != 1 {
				t.Errorf("%d compilers: task %d was called %d times", compilers, i, n)
			}
		}
		if n := int(spread.Load()); n != compilers && compilers > 1 {
			t.Errorf("%d of %d threads were spread", n, compilers)
		}
	}
}
