package backends

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestChooseProcessorsTakesDifferentCoresFirst(t *testing.T) {
	var allowed unix.CPUSet
	for processor := 2; processor < 8; processor++ {
		allowed.Set(processor)
	}
	pairs := func(processor int) string { return strconv.Itoa(processor / 2) }
	for n, want := range map[int][]int{1: {7}, 2: {5, 7}, 4: {3, 5, 6, 7}, 9: {2, 3, 4, 5, 6, 7}} {
		chosen := chooseProcessors(&allowed, n, pairs)
		if chosen.Count() != len(want) {
			t.Fatalf("%d of 6: chose %d", n, chosen.Count())
		}
		for _, processor := range want {
			if !chosen.IsSet(processor) {
				t.Errorf("%d of 6: %d is not chosen", n, processor)
			}
		}
	}
}
