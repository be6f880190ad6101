package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"
	"densenas/lut"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// execute runs a command by itself and returns what it printed.
func execute(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.Execute()
	return out.String(), err
}

// tinyFiles writes random architecture parameters of the tiny space and a table for it.
func tinyFiles(t *testing.T) (params, table string) {
	t.Helper()
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 0))
	p := s.NewParameters()
	for _, rows := range append(append([][][]float64{p.Beta}, p.AlphaHead...), p.AlphaStack...) {
		for _, row := range rows {
			for i := range row {
				row[i] = 2 * r.NormFloat64()
			}
		}
	}
	measured := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{32}, DType: "f32", Layout: "nhwc"}
	for _, c := range s.Ops() {
		measured.Entries = append(measured.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.01 + float64(c.Op.MultiplyAdds())*1e-5})
	}
	params, table = filepath.Join(t.TempDir(), "p.params.json"), filepath.Join(t.TempDir(), "t.lut.json")
	if err := p.Write(params); err != nil {
		t.Fatal(err)
	}
	if err := measured.Write(table); err != nil {
		t.Fatal(err)
	}
	return params, table
}

func TestDeriveCarriesThePrediction(t *testing.T) {
	params, table := tinyFiles(t)
	file := filepath.Join(t.TempDir(), "a.arch.json")
	if out, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "tiny", "--lut", table, "-o", file); err != nil || out != "" {
		t.Fatalf("%q, %v", out, err)
	}
	loose, err := space.ReadArchitecture(file)
	if err != nil {
		t.Fatal(err)
	}
	measured, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	if loose.Predicted == nil || loose.Predicted.Table != measured.Identity() {
		t.Fatalf("the architecture carries the prediction %+v", loose.Predicted)
	}
	limit := 0.75 * loose.Predicted.LatencyMS
	if _, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "tiny", "--lut", table, "--max-latency", fmt.Sprintf("%.0fns", limit*1e6), "-o", file); err != nil {
		t.Fatal(err)
	}
	tight, err := space.ReadArchitecture(file)
	if err != nil {
		t.Fatal(err)
	}
	total, _, err := measured.Network(tight)
	if err != nil || tight.Predicted.LatencyMS != total.MS || total.MS > limit {
		t.Errorf("within %g ms the architecture says %+v, the table %+v, %v", limit, tight.Predicted, total, err)
	}
	if cmp.Equal(tight.Layers, loose.Layers) {
		t.Error("the limit changed nothing")
	}
}

func TestDerivePrints(t *testing.T) {
	params, _ := tinyFiles(t)
	asJSON, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "tiny")
	if err != nil {
		t.Fatal(err)
	}
	text, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "tiny", "--format", "net_config")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(file, []byte(asJSON), 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := space.ReadArchitecture(file)
	if err != nil {
		t.Fatal(err)
	}
	if a.Space != "tiny" || a.Predicted != nil {
		t.Errorf("space %q, prediction %+v", a.Space, a.Predicted)
	}
	if want, err := a.NetConfig(); err != nil || text != want+"\n" {
		t.Errorf("printed %q, want %q, %v", text, want, err)
	}
}

func TestDeriveGolden(t *testing.T) {
	data, err := os.ReadFile(testdata.Shared(t, "golden/mbv2-chained-cost.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Params  json.RawMessage `json:"params"`
			Derived string          `json:"derived"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	for i, c := range file.Cases {
		params := filepath.Join(t.TempDir(), "p.json")
		if err := os.WriteFile(params, c.Params, 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "mbv2", "--format", "net_config")
		if err != nil || strings.TrimSpace(out) != c.Derived {
			t.Errorf("case %d: %v\n got %s\nwant %s", i, err, out, c.Derived)
		}
	}
}

func TestDeriveRefuses(t *testing.T) {
	params, table := tinyFiles(t)
	all := []string{"--arch-params", params, "--space", "tiny", "--lut", table}
	for _, c := range []struct {
		args    []string
		message string
	}{
		{nil, "--arch-params FILE and --space SPACE"},
		{[]string{"--arch-params", params}, "--space SPACE"},
		{[]string{"--arch-params", params, "--space", "cifar"}, params + `: the architecture parameters are of space "tiny", not of "cifar"`},
		{[]string{"--arch-params", params, "--space", "large"}, "unknown space \"large\": allowed are cifar, mbv2, tiny"},
		{[]string{"--arch-params", params + ".none", "--space", "tiny"}, params + ".none"},
		{[]string{"--arch-params", table, "--space", "tiny"}, table},
		{append(all[:4:4], "--max-latency", "4ms"), "add --lut FILE"},
		{append(all[:4:4], "--lut", params), params},
		{append(all[:6:6], "--max-latency", "0s"), "--max-latency is 0s, allowed is a positive duration"},
		{append(all[:6:6], "--max-latency", "-1ms"), "--max-latency is -1ms"},
		{append(all[:6:6], "--max-latency", "1us"), "the fastest takes"},
		{append(all[:6:6], "--format", "yaml"), `--format is "yaml", allowed are json and net_config`},
		{append(all[:6:6], "more"), "more"},
	} {
		file := filepath.Join(t.TempDir(), "a.arch.json")
		out, err := execute(t, newDeriveCommand(), append(c.args, "-o", file)...)
		if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), c.message) || out != "" {
			t.Errorf("%v gave %q, %v, want %q", c.args, out, err, c.message)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%v wrote a file", c.args)
		}
	}
	// The stem of the cifar space cannot be said in the text.
	s, err := space.Load("cifar")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.NewParameters().Write(params); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t, newDeriveCommand(), "--arch-params", params, "--space", "cifar", "--format", "net_config"); err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), "write it as JSON") {
		t.Errorf("a stem with stride 1 as net_config gave %v", err)
	}
}
