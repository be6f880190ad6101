package profiler

import "testing"

// Every line of more memory than caches have is written in each pass.
func TestEvictorPassesThroughMemory(t *testing.T) {
	e := NewEvictor()
	for range 3 {
		e.Pass()
	}
	for i := 0; i < len(e.memory); i += 8 {
		if e.memory[i] != 3 {
			t.Fatalf("line %d was written %d times in 3 passes", i/8, e.memory[i])
		}
	}
	if len(e.memory)*8 != evicted {
		t.Errorf("%d numbers", len(e.memory))
	}
	(*Evictor)(nil).Pass() // leaves the caches as they are
}
