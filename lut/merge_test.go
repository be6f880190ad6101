package lut

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
)

// split deals the entries of a sample out to n tables.
func split(t *testing.T, n int) (whole *Table, parts []*Table) {
	whole, _ = sample(t, small)
	for i := range n {
		part, _ := sample(t, small)
		part.Entries, part.path = nil, fmt.Sprintf("part%d.lut.json", i)
		parts = append(parts, part)
	}
	for i, e := range whole.Entries {
		parts[i%n].Entries = append(parts[i%n].Entries, e)
	}
	return whole, parts
}

// keys lists what a table has, in any order.
func keys(t *Table) []string {
	var list []string
	for i := range t.Entries {
		list = append(list, fmt.Sprintf("%s %g", t.Entries[i].Name(), t.Entries[i].MedianMS))
	}
	slices.Sort(list)
	return list
}

func TestMergedShardsAreTheWhole(t *testing.T) {
	for _, n := range []int{2, 3, 8} {
		whole, parts := split(t, n)
		m, err := Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(keys(m.Table), keys(whole)) || len(m.Conflicts) != 0 || len(m.Warnings) != 0 {
			t.Errorf("%d shards: %d entries of %d, conflicts %v, warnings %q", n, len(m.Table.Entries), len(whole.Entries), m.Conflicts, m.Warnings)
		}
		if m.Table.CallMS != whole.CallMS || *m.Table.Policy != *whole.Policy {
			t.Errorf("%d shards: call %g, policy %+v", n, m.Table.CallMS, m.Table.Policy)
		}
		for i, part := range parts {
			if want := fmt.Sprintf("merged from part%d.lut.json of %d entries, identity %s", i, len(part.Entries), part.Identity()); m.Table.Notes[i] != want {
				t.Errorf("note %q, want %q", m.Table.Notes[i], want)
			}
		}
		if !slices.Equal(m.Table.Notes[n:], whole.Notes) {
			t.Errorf("notes %q", m.Table.Notes)
		}
	}
}

func TestMergeListsAllDifferences(t *testing.T) {
	_, parts := split(t, 3)
	parts[1].Threads, parts[1].Batch = 1, 8
	parts[2].Device.Governor = "powersave"
	_, err := Merge(parts...)
	want := "2 in part0.lut.json, 1 in part1.lut.json (threads); 1 in part0.lut.json, 8 in part1.lut.json (batch); " +
		`"" in part0.lut.json, powersave in part2.lut.json (device.governor)`
	if err == nil || !strings.Contains(err.Error(), want) || exit.Code(err) != exit.CodeBadInput {
		t.Errorf("error %v\nwant %s", err, want)
	}
	if _, err := Merge(parts[0]); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("one table: %v", err)
	}
}

func TestMergeKeepsTheBetterEntry(t *testing.T) {
	base := Entry{Key: "skip_i8_o8_s1_r8", MedianMS: 10, LowMS: 9, HighMS: 11, P10MS: 9, P90MS: 11, MinMS: 9, Count: 40, Rounds: 10}
	with := func(change func(*Entry)) Entry {
		e := base
		change(&e)
		return e
	}
	for _, c := range []struct {
		name     string
		a, b     Entry
		second   bool // b is kept
		conflict bool
	}{
		{"equal", base, base, false, false},
		{"narrower", base, with(func(e *Entry) { e.LowMS = 9.5 }), true, false},
		{"narrower, relative to a longer median", with(func(e *Entry) { e.MedianMS, e.LowMS, e.HighMS = 5, 4.5, 5.5 }), with(func(e *Entry) { e.MedianMS, e.LowMS, e.HighMS = 100, 91, 109 }), true, true},
		{"flagged though narrower", with(func(e *Entry) { e.LowMS, e.HighMS, e.Flags = 9.9, 10.1, []string{"noisy"} }), base, true, false},
		{"more rounds", base, with(func(e *Entry) { e.Rounds = 20 }), true, false},
		{"without an interval", Entry{Key: base.Key, MedianMS: 10}, base, true, false},
		{"unknown intervals that differ", Entry{Key: base.Key, MedianMS: 10}, Entry{Key: base.Key, MedianMS: 10.5}, false, true},
		{"intervals that do not meet", base, with(func(e *Entry) { e.MedianMS, e.LowMS, e.HighMS = 12, 11.5, 12.5 }), true, true},
	} {
		_, parts := split(t, 2)
		parts[0].Entries, parts[1].Entries = []Entry{c.a}, []Entry{c.b}
		m, err := Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		kept, left, source := c.a, c.b, 0
		if c.second {
			kept, left, source = c.b, c.a, 1
		}
		if got := m.Table.Entries; len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(kept) {
			t.Errorf("%s: kept %+v", c.name, got)
		}
		if (len(m.Conflicts) == 1) != c.conflict || len(m.Conflicts) > 1 {
			t.Errorf("%s: conflicts %+v", c.name, m.Conflicts)
		} else if c.conflict {
			if got := m.Conflicts[0]; got.KeptSource != source || got.LeftSource != 1-source || got.Ratio() != kept.MedianMS/left.MedianMS {
				t.Errorf("%s: conflict %+v", c.name, got)
			}
		}
	}
}

// Which entry is kept does not depend on the order of the tables, unless they are equally good.
func TestMergeIsOfAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 30 {
		_, parts := split(t, 3)
		for i := range parts {
			parts[i].Entries = nil
			full, _ := sample(t, small)
			for _, e := range full.Entries {
				if rng.IntN(3) == 0 {
					continue
				}
				e.MedianMS *= 1 + rng.Float64()
				e.LowMS, e.HighMS = e.MedianMS*(0.9+0.1*rng.Float64()), e.MedianMS*(1+0.1*rng.Float64())
				parts[i].Entries = append(parts[i].Entries, e)
			}
		}
		forward, err := Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		backward, err := Merge(parts[2], parts[1], parts[0])
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(keys(forward.Table), keys(backward.Table)) || len(forward.Conflicts) != len(backward.Conflicts) {
			t.Fatal("another order of the tables, another union")
		}
	}
}

func TestMergePlacesAreApart(t *testing.T) {
	_, parts := split(t, 2)
	here, there := Layer(1, 0), Layer(1, 1)
	parts[0].Entries = []Entry{{Key: "skip_i8_o8_s1_r8", MedianMS: 1, Position: &here}}
	parts[1].Entries = []Entry{{Key: "skip_i8_o8_s1_r8", MedianMS: 2, Position: &there}}
	m, err := Merge(parts...)
	if err != nil || len(m.Table.Entries) != 2 || len(m.Conflicts) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestMergeUnitesSettings(t *testing.T) {
	_, parts := split(t, 2)
	parts[0].Resolutions, parts[1].Resolutions = []int{32, 224}, []int{96, 224}
	parts[0].Warnings, parts[1].Warnings = []string{"a", "b"}, []string{"b", "c"}
	parts[1].Policy.Seed, parts[1].Policy.MinRounds = 2, 20
	parts[0].CallMS, parts[1].CallMS = 0.5, 0.6
	parts[1].CallLowMS, parts[1].CallHighMS = 0.59, 0.61
	parts[0].Verification = verification()
	parts[0].Sentinel = &Sentinel{Key: "skip_i8_o8_s1_r8", MedianMS: 1, DriftP10: 0.98, DriftP90: 1.02, Rounds: 30, Dropped: 1}
	parts[1].Sentinel = &Sentinel{Key: "skip_i8_o8_s1_r8", MedianMS: 1.2, DriftP10: 0.99, DriftP90: 1.01, Rounds: 10, Dropped: 2}
	m, err := Merge(parts...)
	if err != nil {
		t.Fatal(err)
	}
	out := m.Table
	if !slices.Equal(out.Resolutions, []int{32, 96, 224}) || !slices.Equal(out.Warnings, []string{"a", "b", "c"}) {
		t.Errorf("resolutions %v, warnings %q", out.Resolutions, out.Warnings)
	}
	if *out.Policy != (Policy{Precision: 0.01}) || parts[0].Policy.MinRounds != 10 {
		t.Errorf("policy %+v, that of the first table %+v", out.Policy, parts[0].Policy)
	}
	if out.CallMS != 0.6 || out.CallLowMS != 0.59 || len(m.Conflicts) != 0 {
		t.Errorf("call %g, conflicts %v", out.CallMS, m.Conflicts)
	}
	if out.Verified() || !parts[0].Verified() || !strings.Contains(strings.Join(m.Warnings, "\n"), "part0.lut.json: its verification is left out") {
		t.Errorf("verified %t, warnings %q", out.Verified(), m.Warnings)
	}
	if !strings.Contains(strings.Join(m.Warnings, "\n"), "part1.lut.json: its sentinel took 1.2 times as long as that of part0.lut.json") {
		t.Errorf("warnings %q", m.Warnings)
	}
	s := out.Sentinel
	if s == nil || !near(s.MedianMS, 1.05) || !near(s.DriftP10, 0.98/1.05) || !near(s.DriftP90, 1.01*1.2/1.05) || s.Rounds != 40 || s.Dropped != 3 {
		t.Errorf("sentinel %+v", s)
	}
	parts[1].Sentinel.Key = "skip_i9_o9_s1_r8"
	if m, err = Merge(parts...); err != nil || m.Table.Sentinel != nil || !strings.Contains(strings.Join(m.Warnings, "\n"), "do not have the same sentinel") {
		t.Errorf("other sentinels: %v, %v", m, err)
	}
	parts[0].CallMS, parts[0].CallLowMS, parts[0].CallHighMS = 0.1, 0.1, 0.1
	if m, err = Merge(parts...); err != nil || len(m.Conflicts) != 1 || m.Conflicts[0].Kept.Key != EmptyCall {
		t.Errorf("calls that disagree: %v, %v", m, err)
	}
}
