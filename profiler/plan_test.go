package profiler

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

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
