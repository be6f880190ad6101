package profiler

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

func settings() Settings {
	return Settings{
		Device:  lut.Device{Model: "box", Architecture: "amd64", Cores: 2},
		Runtime: lut.Runtime{Name: "go", Version: "gomlx v1"}, Threads: 2, Batch: 1, Resolutions: []int{32}, DType: "f32", Policy: soon(),
	}
}

// log has one round of each operation, of so many ms, and calls of a tenth of one.
func log(t *testing.T, ops []space.Op, times ...float64) *Log {
	t.Helper()
	l := &Log{}
	for i, op := range ops {
		round := func(ms float64) []Round { return []Round{{Number: i + 1, LapsMS: []float64{ms}, SentinelMS: 1}} }
		if err := l.Add(Record{Key: op.Key(), Visit: 1, Lowering: "taps", Rounds: round(times[i]), Call: round(0.1)}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestTableIsContinued(t *testing.T) {
	plan := NewPlan([]*space.Space{loadSpace(t, "tiny")}, nil)
	path := filepath.Join(t.TempDir(), "a.lut.json")
	before, err := settings().Continue(path)
	if err != nil || before != nil {
		t.Fatalf("without a file: %v, %v", before, err)
	}
	table := settings().NewTable()
	first, second := plan.Items[0].Op, plan.Items[1].Op
	settings().Fill(table, log(t, []space.Op{first}, 1), first.Key())
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := settings().Continue(path)
	if err != nil {
		t.Fatal(err)
	}
	if rest := plan.Without(again); !slices.Equal(rest.Items, plan.Items[1:]) || !slices.Equal(rest.Resolutions, plan.Resolutions) {
		t.Errorf("%d operations remain: %v", len(rest.Items), rest)
	}
	settings().Fill(again, log(t, []space.Op{first, second}, 2, 3), first.Key())
	if len(again.Entries) != 2 || again.Entries[0].MedianMS != 2 || again.CallMS != 0.1 || again.Sentinel.Rounds != 2 {
		t.Errorf("%+v", again)
	}
}

func TestOtherTablesAreNotContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lut.json")
	op := space.Op{Kind: space.Skip, In: 8, Out: 8, Stride: 1, Resolution: 8}
	for want, change := range map[string]func(*lut.Table){
		"device.model box2 instead of box":      func(t *lut.Table) { t.Device.Model = "box2" },
		"runtime.name xla instead of go":        func(t *lut.Table) { t.Runtime.Name = "xla" },
		"threads 1 instead of 2":                func(t *lut.Table) { t.Threads = 1 },
		"batch 32 instead of 1":                 func(t *lut.Table) { t.Batch = 32 },
		`resolutions [32 64] instead of [32]`:   func(t *lut.Table) { t.Resolutions = []int{32, 64} },
		"precision 0.5 instead of 0.01":         func(t *lut.Table) { t.Policy.Precision = 0.5 },
		"cores 4 instead of 2; batch 2 instead": func(t *lut.Table) { t.Device.Cores, t.Batch = 4, 2 },
		`plugin "a plugin" instead of ""`:       func(t *lut.Table) { t.Runtime.Plugin = "a plugin" },
		"precision 0 instead of 0.01":           func(t *lut.Table) { t.Policy = nil },
	} {
		table := settings().NewTable()
		settings().Fill(table, log(t, []space.Op{op}, 1), op.Key())
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
	op := space.Op{Kind: space.MBConv, Kernel: 3, Expansion: 3, In: 8, Out: 8, Stride: 1, Resolution: 8}
	r := Record{Key: op.Key(), Visit: 1, Lowering: "taps", Noisy: true, Throttled: true}
	r.Rounds = []Round{{Number: 1, LapsMS: []float64{9}, SentinelMS: 9, Discarded: true}, {Number: 2, LapsMS: []float64{1}, SentinelMS: 1}}
	r.Call = []Round{{Number: 1, SentinelMS: 9, Discarded: true}, {Number: 2, LapsMS: []float64{0.1}, SentinelMS: 1}}
	var l Log
	if err := l.Add(r); err != nil {
		t.Fatal(err)
	}
	table := settings().NewTable()
	settings().Fill(table, &l, op.Key())
	if err := table.Check(); err != nil {
		t.Error(err)
	}
	if e := table.Entries[0]; !slices.Equal(e.Flags, []string{Noisy, Throttled}) || e.Lowering != "taps" || e.MultiplyAdds != op.MultiplyAdds() || e.MedianMS != 1 {
		t.Errorf("%+v", e)
	}
	if s := table.Sentinel; s.Rounds != 1 || s.Dropped != 1 || s.MedianMS != 1 {
		t.Errorf("%+v", s)
	}
}

// Entries of two runs that differ by what runs differ agree, and are not flagged noisy for it.
func TestEntriesAllowForWhatRunsDiffer(t *testing.T) {
	op := tiny(t).Items[0].Op
	of := func(ms float64) lut.Entry {
		var log Log
		rounds := make([]Round, 20)
		for i := range rounds {
			rounds[i] = Round{Number: i + 1, LapsMS: []float64{ms * (1 + 1e-4*float64(i))}, SentinelMS: 1}
		}
		if err := log.Add(Record{Key: op.Key(), Visit: 1, Rounds: rounds}); err != nil {
			t.Fatal(err)
		}
		table := settings().NewTable()
		settings().Fill(table, &log, op.Key())
		return table.Entries[0]
	}
	a, b := of(1), of(1.015)
	if len(a.Flags)+len(b.Flags) > 0 || b.LowMS > a.HighMS || a.LowMS >= a.MedianMS {
		t.Errorf("%+v and %+v do not agree", a, b)
	}
	if c := of(1.04); c.LowMS <= a.HighMS {
		t.Errorf("%+v and %+v agree", a, c)
	}
}
