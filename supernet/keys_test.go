package supernet

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/supernet/space"
)

// TestRunsTheOperationsThatAreMeasured compares what the super network can run with the enumeration that the profiler
// measures: the same keys, at the same number of places.
func TestRunsTheOperationsThatAreMeasured(t *testing.T) {
	for _, name := range space.Names() {
		s, err := space.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := New(nil, s, Options{Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		runs, measured := map[string]int{}, map[string]int{}
		for _, w := range n.all() {
			runs[w.op.Key()]++
		}
		for _, c := range s.Ops() {
			// Where the final convolution is the super network's alone, architectures have classifiers of their own.
			if c.Op.Kind != space.Classifier || c.Op == s.ClassifierOp() {
				measured[c.Op.Key()] += c.Count
			}
		}
		if !maps.Equal(runs, measured) {
			t.Errorf("%s: run and measured differ:\n%s", name, cmp.Diff(measured, runs))
		}
	}
}
