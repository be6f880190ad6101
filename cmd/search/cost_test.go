package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/search/objective"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

type printedCost struct {
	CostMS *float64 `json:"cost_ms"`
	Grad   *struct {
		Beta       [][]float64   `json:"beta"`
		AlphaHead  [][][]float64 `json:"alpha_head"`
		AlphaStack [][][]float64 `json:"alpha_stack"`
	} `json:"grad"`
}

func TestCostPrintsCostAndGradient(t *testing.T) {
	params, table := tinyFiles(t)
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	p, err := space.ReadParameters(params)
	if err != nil {
		t.Fatal(err)
	}
	measured, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	costs, err := objective.FromTable(s, measured)
	if err != nil {
		t.Fatal(err)
	}
	ms, gradient := costs.Chained(p)
	for _, grad := range []bool{false, true} {
		args := []string{"--arch-params", params, "--space", "tiny", "--lut", table}
		if grad {
			args = append(args, "--grad")
		}
		out, err := execute(t, newCostCommand(), args...)
		if err != nil {
			t.Fatal(err)
		}
		var printed printedCost
		if err := json.Unmarshal([]byte(out), &printed); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if printed.CostMS == nil || *printed.CostMS != ms {
			t.Errorf("printed %s, the cost is %g", out, ms)
		}
		if (printed.Grad != nil) != grad {
			t.Errorf("asked for the gradient: %t, printed %s", grad, out)
		}
		if !grad {
			continue
		}
		got := &space.Parameters{Space: "tiny", Beta: printed.Grad.Beta, AlphaHead: printed.Grad.AlphaHead, AlphaStack: printed.Grad.AlphaStack}
		if diff := cmp.Diff(gradient, got); diff != "" {
			t.Errorf("gradient (-want +got):\n%s", diff)
		}
	}
}

// The published figures, from files through the command.
func TestCostGolden(t *testing.T) {
	data, err := os.ReadFile(testdata.Shared(t, "golden/mbv2-chained-cost.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Params         json.RawMessage `json:"params"`
			ExpectedCostMS float64         `json:"expected_cost_ms"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	s, err := space.Load("mbv2")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(testdata.Shared(t, "luts/titanxp-mbv2-b32.densenas.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	imported, err := lut.ImportDenseNAS(f, "titanxp", s)
	if err != nil {
		t.Fatal(err)
	}
	table := filepath.Join(t.TempDir(), "t.lut.json")
	if err := imported.Write(table); err != nil {
		t.Fatal(err)
	}
	for i, c := range file.Cases {
		params := filepath.Join(t.TempDir(), "p.json")
		if err := os.WriteFile(params, c.Params, 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := execute(t, newCostCommand(), "--arch-params", params, "--space", "mbv2", "--lut", table)
		if err != nil {
			t.Fatal(err)
		}
		var printed printedCost
		if err := json.Unmarshal([]byte(out), &printed); err != nil || printed.CostMS == nil {
			t.Fatalf("%s: %v", out, err)
		}
		if math.Abs(*printed.CostMS-c.ExpectedCostMS) > 1e-5*c.ExpectedCostMS {
			t.Errorf("case %d: %g ms, published are %g", i, *printed.CostMS, c.ExpectedCostMS)
		}
	}
}

func TestCostRefuses(t *testing.T) {
	params, table := tinyFiles(t)
	s, err := space.Load("cifar")
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "cifar.params.json")
	if err := s.NewParameters().Write(foreign); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args    []string
		message string
	}{
		{nil, "missing --arch-params FILE"},
		{[]string{"--arch-params", params, "--space", "tiny"}, "missing --lut FILE"},
		{[]string{"--arch-params", foreign, "--space", "cifar", "--lut", table}, "keys missing, first: "},
		{[]string{"--arch-params", foreign, "--space", "tiny", "--lut", table}, foreign},
		{[]string{"--arch-params", params, "--space", "tiny", "--lut", foreign}, foreign},
		{[]string{"--arch-params", params, "--space", "tiny", "--lut", table, "more"}, "unexpected argument \"more\"; see `"},
	} {
		out, err := execute(t, newCostCommand(), c.args...)
		if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v gave %q, %v, want %q", c.args, out, err, c.message)
		}
	}
}
