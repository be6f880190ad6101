package gomlxrunner

import (
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/lut"
)

// For cold caches there is an evictor, which calls pass; for warm ones there is none.
func TestColdCallsHaveAnEvictor(t *testing.T) {
	b := backendstest.Go(t)
	for caches, want := range map[string]bool{lut.Warm: false, lut.Cold: true} {
		r, err := New(b.Backend, Options{Batch: 1, Seed: 1, Caches: caches})
		if err != nil {
			t.Fatal(err)
		}
		empty, err := r.Empty()
		if err != nil {
			t.Fatal(err)
		}
		defer empty.Close()
		if _, err := empty.Run(); err != nil {
			t.Fatal(err)
		}
		if got := empty.(*call).evictor != nil; got != want {
			t.Errorf("%s: evictor %v, want %v", caches, got, want)
		}
	}
}
