package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/rundir"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

// otherTable writes a table beside the small one on which kernels are dear and channels cheap, and returns both.
func otherTable(t *testing.T, f small) (phone, car *lut.Table, path string) {
	t.Helper()
	g := f
	g.table = filepath.Join(filepath.Dir(f.table), "car.lut.json")
	writeTable(t, g, func(table *lut.Table) {
		for i := range table.Entries {
			op, err := space.ParseKey(table.Entries[i].Key)
			if err != nil {
				t.Fatal(err)
			}
			table.Entries[i].MedianMS = 0.02 + 0.1/float64(1+op.Out)
		}
	})
	var err error
	if phone, err = lut.Read(f.table); err != nil {
		t.Fatal(err)
	}
	if car, err = lut.Read(g.table); err != nil {
		t.Fatal(err)
	}
	return phone, car, g.table
}

// A search for two devices, few multiply-adds and few parameters: every target is met by what is derived, and each objective has
// its own multiplier, in the records and in the checkpoint that an interrupted run continues from.
func TestRunMeetsTheTargetsOfSeveralObjectives(t *testing.T) {
	f := smallFiles(t)
	phone, car, carPath := otherTable(t, f)
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	// What one network needs can be met by all objectives together.
	some := s.Network([]int{0, 2}, []space.Op{s.HeadOps(s.Outgoing(0)[1])[0], s.FinalOp(s.Incoming(3)[0])}, [][]space.Op{{s.StackOps(2)[1]}})
	needs := func(table *lut.Table) string {
		p, err := table.Predict(some)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%.0fns", math.Ceil(1.001e6*p.LatencyMS))
	}
	args := func(folder string) []string {
		return f.args(folder, "--lut", carPath, "--target-latency", needs(phone)+","+needs(car), "--objective", "latency,multiply-adds,parameters",
			"--target-multiply-adds", fmt.Sprint(some.MultiplyAdds()), "--target-parameters", fmt.Sprint(some.Parameters()))
	}
	folder := filepath.Join(t.TempDir(), "run")
	out, _ := succeed(t, args(folder)...)
	if !strings.Contains(out, "ms predicted (unverified), ") || !strings.Contains(out, "ms predicted by car.lut.json (unverified)") {
		t.Errorf("printed %q", out)
	}
	c, err := rundir.ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	a, err := space.ReadArchitecture(filepath.Join(folder, rundir.ArchitectureFile))
	if err != nil {
		t.Fatal(err)
	}
	onCar, err := car.Predict(a)
	if err != nil {
		t.Fatal(err)
	}
	if a.Predicted.Table != phone.Identity() || a.Predicted.LatencyMS > c.TargetLatencyMS || onCar.LatencyMS > c.OtherLUTs[0].TargetLatencyMS ||
		a.MultiplyAdds() > some.MultiplyAdds() || a.Parameters() > some.Parameters() {
		t.Errorf("derived has %+v, %+v, %d multiply-adds, %d parameters, for the targets of %+v", a.Predicted, onCar, a.MultiplyAdds(), a.Parameters(), c)
	}
	if c.LUT.Identity != phone.Identity() || c.OtherLUTs[0].Identity != car.Identity() {
		t.Errorf("the configuration has the tables %+v and %+v", c.LUT, c.OtherLUTs)
	}
	records, _, err := rundir.ReadRecords(folder)
	if err != nil {
		t.Fatal(err)
	}
	last := records[len(records)-1]
	want := []rundir.OtherObjective{
		{Objective: rundir.ObjectiveLatency, Table: "car.lut.json", Unit: "ms", Target: c.OtherLUTs[0].TargetLatencyMS},
		{Objective: rundir.ObjectiveMultiplyAdds, Unit: "millions", Target: float64(some.MultiplyAdds()) / 1e6},
		{Objective: rundir.ObjectiveParameters, Unit: "millions", Target: float64(some.Parameters()) / 1e6},
	}
	for i, o := range last.Others {
		if !(o.Expected > 0) || math.Abs(o.Target-want[i].Target) > 1e-12 {
			t.Errorf("objective %d: %+v", i, o)
		}
		want[i].Expected, want[i].Target, want[i].Factor = o.Expected, o.Target, o.Factor
	}
	if diff := cmp.Diff(want, last.Others); diff != "" || last.ExpectedLatencyMS == 0 || last.TargetLatencyMS != c.TargetLatencyMS {
		t.Errorf("%+v (-want +got):\n%s", last, diff)
	}
	// Derived again from the folder, all targets hold; by a table that is named, only its own.
	if derived, _ := succeed(t, "derive", folder); derived != read(t, folder, rundir.ArchitectureFile) {
		t.Errorf("search derive gives\n%s", derived)
	}
	refused(t, []string{"derive", folder, "--lut", carPath, "--max-latency", "1ns"}, "needs 1e-06 ms or less")

	whole := outcome(t, folder)
	again := filepath.Join(t.TempDir(), "run")
	interrupt(t, prepare(t, args(again)), again, smallWeightSteps+smallArchitectureSteps-1)
	succeed(t, "resume", again)
	same(t, "interrupted", outcome(t, again), whole)

	// The checkpoint is of these tables and targets.
	changed := strings.Replace(read(t, folder, rundir.ConfigFile), "target_millions: "+fmt.Sprint(c.MultiplyAdds.TargetMillions), "target_millions: 1000", 1)
	write(t, filepath.Join(folder, rundir.ConfigFile), changed)
	refused(t, []string{"resume", folder}, "it differs in configuration", "Target:1e+09")
}

// A fixed factor goes for what has no target, and is refused where that is nothing.
func TestFixedFactor(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	refused(t, f.args(folder, "--factor", "0.3", "--target-latency", "1s"), "--factor would not count")
	refused(t, f.args(folder, "--factor", "-1"), "factor is -1")
	missing(t, folder)
	succeed(t, f.args(folder, "--factor", "0.3", "--objective", "latency,parameters", "--target-parameters", "1M")...)
	c, err := rundir.ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	if c.Factor != 0.3 || c.Parameters.Factor == 0.3 {
		t.Errorf("the factors are %g of latency, %g of parameters", c.Factor, c.Parameters.Factor)
	}
	records, _, err := rundir.ReadRecords(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[1:] {
		if r.Factor != 0.3 {
			t.Errorf("epoch %d has the factor %g", r.Epoch, r.Factor)
		}
	}
}

// Without latency among the objectives there is no table.
func TestRunWithoutTable(t *testing.T) {
	f := smallFiles(t)
	folder := filepath.Join(t.TempDir(), "run")
	args := func(more ...string) []string {
		return append([]string{"run", "--space", f.space, "--data", f.data, "--config", f.config, "--backend", "go", "-o", folder, "--objective", "multiply-adds"}, more...)
	}
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, args("--lut", f.table), "--objective multiply-adds,latency")
	refused(t, args("--target-latency", "1ms"), "--objective multiply-adds,latency")
	refused(t, args("--target-parameters", "1M"), "--target-parameters is a target of an objective that is not asked for", "--objective multiply-adds,parameters")
	refused(t, args("--target-multiply-adds", "1"), "the target of 1e-06 M multiply-adds is below the smallest architecture of space small")
	refused(t, args("--objective", "energy"), `objectives has "energy"`)
	// Both are above what is possible, each by itself.
	smallest := s.MultiplyAdds()
	out, _ := succeed(t, args("--target-multiply-adds", fmt.Sprint(smallest))...)
	if strings.Contains(out, "predicted") {
		t.Errorf("printed %q", out)
	}
	a, err := space.ReadArchitecture(filepath.Join(folder, rundir.ArchitectureFile))
	if err != nil || a.Predicted != nil || a.MultiplyAdds() > smallest {
		t.Errorf("%+v, %v", a, err)
	}
	records, _, err := rundir.ReadRecords(folder)
	if err != nil {
		t.Fatal(err)
	}
	if last := records[len(records)-1]; last.ExpectedLatencyMS != 0 || last.Factor != 0 || len(last.Others) != 1 || last.Others[0].Objective != rundir.ObjectiveMultiplyAdds {
		t.Errorf("%+v", last)
	}
	if derived, _ := succeed(t, "derive", folder); derived != read(t, folder, rundir.ArchitectureFile) {
		t.Errorf("search derive gives\n%s", derived)
	}
}

func TestRunRefusesTargetsThatCannotBeMetTogether(t *testing.T) {
	f := smallFiles(t)
	_, _, car := otherTable(t, f)
	folder := filepath.Join(t.TempDir(), "run")
	var least [2]string
	for i, table := range []string{f.table, car} {
		var out bytes.Buffer
		err := run(context.Background(), f.with(table).args(folder, "--target-latency", "1ns"), &out, &out)
		if exit.Code(err) != exit.CodeBadInput {
			t.Fatal(err)
		}
		words := strings.Fields(err.Error())
		least[i] = words[len(words)-1]
	}
	refused(t, f.args(folder, "--lut", car, "--target-latency", least[0]+","+least[1]), "no architecture of space small is within all limits at once")
	refused(t, f.args(folder, "--lut", car, "--target-latency", "1ms"), "--target-latency has 1 targets for 2 tables")
	refused(t, f.args(folder, "--lut", f.table), f.table+" is given twice")
	if _, err := os.Stat(folder); err == nil {
		t.Error("a folder was left")
	}
}
