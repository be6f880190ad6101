package gomlxrunner

import (
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/lut"
)

// For cold caches every line of the memory is written before each call; for warm ones there is none.
func TestColdCallsPassThroughMemory(t *testing.T) {
	b := backendstest.Go(t)
	for caches, want := range map[string]int{lut.Warm: 0, lut.Cold: evicted / 8} {
		r, err := New(b.Backend, Options{Batch: 1, Seed: 1, Caches: caches})
		if err != nil {
			t.Fatal(err)
		}
		empty, err := r.Empty()
		if err != nil {
			t.Fatal(err)
		}
		defer empty.Close()
		for range 3 {
			if _, err := empty.Run(); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.evict) != want {
			t.Errorf("%s: %d numbers are passed through, want %d", caches, len(r.evict), want)
		}
		for i := 0; i < len(r.evict); i += 8 {
			if r.evict[i] != 3 {
				t.Fatalf("%s: line %d was written %d times in 3 calls", caches, i/8, r.evict[i])
			}
		}
	}
}
