package profiler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

func settings() Settings {
	return Settings{
		Device:  lut.Device{Model: "box", Architecture: "amd64", Cores: 2},
		Runtime: lut.Runtime{Name: "go", Version: "gomlx v1"}, Threads: 2, Batch: 1, Resolutions: []int{32}, Policy: DefaultPolicy(),
	}
}

func measured(op space.Op, ms float64) Measurement {
	return Measurement{Op: op, Lowering: "taps", Summary: Summary{MedianMS: ms, LowMS: ms, HighMS: ms, P10MS: ms, P90MS: ms, MinMS: ms, Count: 10, Rounds: 10}}
}

func TestTableIsContinued(t *testing.T) {
	plan := NewPlan([]*space.Space{loadSpace(t, "tiny")}, nil)
	path := filepath.Join(t.TempDir(), "a.lut.json")
	before, err := settings().Continue(path)
	if err != nil || before != nil || len(Remaining(plan, before)) != len(plan.Items) {
		t.Fatalf("without a file: %v, %v", before, err)
	}
	table := settings().NewTable()
	first, second := plan.Items[0].Op, plan.Items[1].Op
	Add(table, []Measurement{measured(first, 1)}, Summary{MedianMS: 0.1, LowMS: 0.1, HighMS: 0.1})
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := settings().Continue(path)
	if err != nil {
		t.Fatal(err)
	}
	if rest := Remaining(plan, again); len(rest) != len(plan.Items)-1 || rest[0] != second {
		t.Errorf("%d operations remain, first %s", len(rest), rest[0].Key())
	}
	Add(again, []Measurement{measured(first, 2), measured(second, 3)}, Summary{MedianMS: 0.2, LowMS: 0.2, HighMS: 0.2})
	if len(again.Entries) != 2 || again.Entries[0].MedianMS != 2 || again.CallMS != 0.2 {
		t.Errorf("%+v", again)
	}
}

func TestOtherTablesAreNotContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lut.json")
	op := space.Op{Kind: space.Skip, In: 8, Out: 8, Stride: 1, Resolution: 8}
	for want, change := range map[string]func(*lut.Table){
		"device box2 instead of box":            func(t *lut.Table) { t.Device.Model = "box2" },
		"runtime xla instead of go":             func(t *lut.Table) { t.Runtime.Name = "xla" },
		"threads 1 instead of 2":                func(t *lut.Table) { t.Threads = 1 },
		"batch 32 instead of 1":                 func(t *lut.Table) { t.Batch = 32 },
		`resolutions "[32 64]" instead of [32]`: func(t *lut.Table) { t.Resolutions = []int{32, 64} },
		"precision 0.5 instead of 0.02":         func(t *lut.Table) { t.Policy.Precision = 0.5 },
		"cores 4 instead of 2; batch 2 instead": func(t *lut.Table) { t.Device.Cores, t.Batch = 4, 2 },
		`plugin "a plugin" instead of ""`:       func(t *lut.Table) { t.Runtime.Plugin = "a plugin" },
		"precision 0 instead of 0.02":           func(t *lut.Table) { t.Policy = nil },
	} {
		table := settings().NewTable()
		Add(table, []Measurement{measured(op, 1)}, Summary{})
		change(table)
		if err := table.Write(path); err != nil {
			t.Fatal(err)
		}
		_, err := settings().Continue(path)
		if exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v, want bad input with %q", err, want)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := settings().Continue(path); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("a truncated table: %v", err)
	}
}

func TestEntriesFitTheTable(t *testing.T) {
	m := measured(space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 3, In: 8, Out: 8, Stride: 1, Resolution: 8}, 1)
	m.Noisy = true
	table := settings().NewTable()
	Add(table, []Measurement{m}, Summary{MedianMS: 0.1, LowMS: 0.1, HighMS: 0.1})
	if err := table.Check(); err != nil {
		t.Error(err)
	}
	if e := table.Entries[0]; len(e.Flags) != 1 || e.Flags[0] != Noisy || e.Lowering != "taps" || e.MultiplyAdds != m.Op.MultiplyAdds() {
		t.Errorf("%+v", e)
	}
}
