package profiler

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"densenas/internal/exit"
	"densenas/supernet/space"
)

func loadSpace(t *testing.T, name string) *space.Space {
	t.Helper()
	s, err := space.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPlanCountsOverSources(t *testing.T) {
	tiny := loadSpace(t, "tiny")
	alone := NewPlan([]*space.Space{tiny}, nil)
	twice := NewPlan([]*space.Space{tiny, tiny}, nil)
	if len(alone.Items) == 0 || len(alone.Items) != len(twice.Items) {
		t.Fatalf("%d operations, of the space twice %d", len(alone.Items), len(twice.Items))
	}
	for i, item := range alone.Items {
		if twice.Items[i].Op != item.Op || twice.Items[i].Count != 2*item.Count {
			t.Errorf("%s: %d places, of the space twice %d", item.Op.Key(), item.Count, twice.Items[i].Count)
		}
	}
	mobile := space.MobileNetV2(1, 224, 1000)
	both := NewPlan([]*space.Space{tiny}, []*space.Architecture{mobile})
	layers := 0
	for _, item := range both.Items[len(alone.Items):] {
		layers += item.Count
	}
	if layers != len(mobile.Layers) {
		t.Errorf("%d layers planned, MobileNetV2 has %d", layers, len(mobile.Layers))
	}
	if got := both.Resolutions; len(got) != 2 || got[0] != 32 || got[1] != 224 {
		t.Errorf("resolutions %v", got)
	}
}

func TestOnly(t *testing.T) {
	plan := NewPlan([]*space.Space{loadSpace(t, "mbv2")}, nil)
	kept, err := plan.Only("*_r7*")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range kept.Keys() {
		if !strings.Contains(key, "_r7") {
			t.Errorf("%s is no match", key)
		}
	}
	if len(kept.Items) == 0 || len(kept.Items) >= len(plan.Items) {
		t.Errorf("%d of %d kept", len(kept.Items), len(plan.Items))
	}
	for _, pattern := range []string{"*_r8", "[", "x"} {
		if _, err := plan.Only(pattern); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("pattern %q: %v, want bad input", pattern, err)
		}
	}
}

// Plans, statistics and fingerprints are of use without a runtime, in reports too.
func TestNoRuntimeIsLinked(t *testing.T) {
	packages := []string{"densenas/profiler", "densenas/devices", "densenas/internal/backends/plugin"}
	out, err := exec.Command("go", append([]string{"list", "-deps"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(string(out))
	for _, name := range packages {
		if !slices.Contains(listed, name) {
			t.Errorf("%s is not listed", name)
		}
	}
	for _, name := range listed {
		if strings.HasPrefix(name, "github.com/gomlx/") {
			t.Errorf("%s is linked", name)
		}
	}
}

func TestShardsAreThePlan(t *testing.T) {
	plan := NewPlan([]*space.Space{loadSpace(t, "mbv2")}, nil)
	for _, of := range []int{1, 2, 8, 31} {
		seen := map[space.Op]int{}
		var shortest, longest time.Duration
		for part := 1; part <= of; part++ {
			shard := plan.Shard(part, of)
			var all time.Duration
			at := -1
			for _, item := range shard.Items {
				seen[item.Op]++
				_, one := Guess(item.Op, 1, "xla", soon())
				all += one
				// In the order of the plan.
				next := slices.Index(plan.Items, item)
				if next <= at {
					t.Fatalf("part %d of %d: %s is out of order, or has other places", part, of, item.Op.Key())
				}
				at = next
			}
			if part == 1 || all < shortest {
				shortest = all
			}
			longest = max(longest, all)
			if !slices.Equal(shard.Resolutions, plan.Resolutions) {
				t.Errorf("resolutions %v", shard.Resolutions)
			}
		}
		if len(seen) != len(plan.Items) {
			t.Errorf("%d parts have %d of %d operations", of, len(seen), len(plan.Items))
		}
		for op, n := range seen {
			if n != 1 {
				t.Errorf("%s is in %d of %d parts", op.Key(), n, of)
			}
		}
		if float64(longest) > 1.15*float64(shortest) {
			t.Errorf("%d parts take %v to %v", of, shortest, longest)
		}
	}
	if empty := plan.Shard(1000, 1000); len(empty.Items) != 0 {
		t.Errorf("%d operations in part 1000", len(empty.Items))
	}
}
