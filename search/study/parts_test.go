package study

import (
	"slices"
	"testing"
)

// Searches come before what they are needed for, and the test after everything.
func TestPartsAreInOrder(t *testing.T) {
	parts := Parts(testConfig(t).Networks())
	var names []string
	for i, p := range parts {
		for _, after := range p.After {
			if !slices.Contains(names, after) {
				t.Errorf("%s waits for %s, which does not come before", p.Name, after)
			}
		}
		if p.Kind == KindTest && (i != len(parts)-1 || !slices.Equal(p.After, names)) {
			t.Errorf("the test is part %d of %d and waits for %v", i+1, len(parts), p.After)
		}
		names = append(names, p.Name)
	}
	of := func(name string) Part { return parts[slices.Index(names, name)] }
	if len(parts) != 3+2+20+1+1+2 { // searches, trainings of each group, inside, test
		t.Fatalf("%q", names)
	}
	if p := of("train-searched-3-seed1"); p.Seed != 1 || p.Network.Seed != 3 || !slices.Equal(p.After, []string{"search-searched-3"}) {
		t.Errorf("%+v", p)
	}
	if p := of("train-random-07-seed2"); p.Seed != 2 || len(p.After) != 0 {
		t.Errorf("%+v", p)
	}
	if p := of("train-fixed-1-seed4"); !slices.Equal(p.After, []string{"search-fixed-1"}) {
		t.Errorf("%+v", p)
	}
	if p := of("inside"); !slices.Equal(p.After, []string{"search-searched-3", "search-searched-1"}) {
		t.Errorf("%+v", p)
	}
}
