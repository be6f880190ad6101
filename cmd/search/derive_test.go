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
	"densenas/search/rundir"
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

func TestDeriveTop(t *testing.T) {
	params, table := tinyFiles(t)
	args := []string{"--arch-params", params, "--space", "tiny", "--lut", table, "--max-latency", "4ms"}
	alone, err := execute(t, newDeriveCommand(), args...)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "a", "best")
	if out, err := execute(t, newDeriveCommand(), append(args, "--top", "12", "-o", folder)...); err != nil || out != "" {
		t.Fatalf("%q, %v", out, err)
	}
	var texts, documents strings.Builder
	for i := range 12 {
		file := filepath.Join(folder, fmt.Sprintf("%02d.arch.json", i+1))
		a, err := space.ReadArchitecture(file)
		if err != nil {
			t.Fatal(err)
		}
		if a.Predicted.LatencyMS > 4 {
			t.Errorf("%s: %g ms are predicted", file, a.Predicted.LatencyMS)
		}
		text, err := a.NetConfig()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(documents.String(), read(t, file)) {
			t.Errorf("%s comes twice", text)
		}
		fmt.Fprintln(&texts, text)
		documents.WriteString(read(t, file))
	}
	if first := read(t, folder, "01.arch.json"); first != alone {
		t.Errorf("the first is\n%s\nalone it is\n%s", first, alone)
	}
	if out, err := execute(t, newDeriveCommand(), append(args, "--top", "12")...); err != nil || out != documents.String() {
		t.Errorf("printed is\n%s\n%v", out, err)
	}
	if out, err := execute(t, newDeriveCommand(), append(args, "--top", "12", "--format", "net_config")...); err != nil || out != texts.String() {
		t.Errorf("printed is\n%s\n%v", out, err)
	}
	for want, more := range map[string][]string{
		"--top is 0, allowed is 1 to 1000": {"--top", "0"},
		"exists already":                   {"--top", "2", "-o", folder},
	} {
		if _, err := execute(t, newDeriveCommand(), append(args, more...)...); err == nil || exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", more, err)
		}
	}
	// The fastest goes through one or the other of two blocks that are equal.
	fastest, _ := succeed(t, "range", "--space", "tiny", "--lut", table, "--format", "json")
	var r rangeResult
	if err := json.Unmarshal([]byte(fastest), &r); err != nil {
		t.Fatal(err)
	}
	limit := fmt.Sprintf("%.0fns", r.FastestMS*1e6+1)
	out, err := execute(t, newDeriveCommand(), append(args, "--top", "1000", "--format", "net_config", "--max-latency", limit)...)
	if err != nil || !strings.HasPrefix(out, "only 2 architectures are there, of the 1000 asked for\n[[") || strings.Count(out, "\n") != 3 {
		t.Errorf("%q, %v", out, err)
	}
	// Without a table nothing is a limit.
	out, err = execute(t, newDeriveCommand(), "--arch-params", params, "--space", "tiny", "--top", "3", "--format", "net_config")
	if err != nil || strings.Count(out, "\n") != 3 {
		t.Errorf("%q, %v", out, err)
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
		{[]string{"--arch-params", params, "--space", "large"}, "unknown space \"large\": allowed are cifar, cifar-fixed, mbv2, mbv2-fixed, res, tiny"},
		{[]string{"--arch-params", params + ".none", "--space", "tiny"}, params + ".none"},
		{[]string{"--arch-params", table, "--space", "tiny"}, table},
		{append(all[:4:4], "--max-latency", "4ms"), "add --lut FILE"},
		{append(all[:4:4], "--lut", params), params},
		{append(all[:6:6], "--max-latency", "0s"), "--max-latency is 0s, allowed is a positive duration"},
		{append(all[:6:6], "--max-latency", "-1ms"), "--max-latency is -1ms"},
		{append(all[:6:6], "--max-latency", "1us"), "the least is"},
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
	if _, err := execute(t, newDeriveCommand(), append(all, "-o", filepath.Join(table, "a.arch.json"))...); exit.Code(err) != 2 {
		t.Errorf("an output under a file gave %v", err)
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

// runFolder is a folder as search run leaves it, of the tiny space with random parameters.
func runFolder(t *testing.T, target float64) (folder, params, table string) {
	t.Helper()
	params, table = tinyFiles(t)
	measured, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	s, err := space.Load("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c, err := rundir.Default("tiny")
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	c.SpaceFingerprint, c.LUT.Path, c.LUT.Identity, c.TargetLatencyMS = s.Fingerprint(), table, measured.Identity(), target
	if err := c.Write(folder); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(params)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, rundir.ParametersFile), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return folder, params, table
}

// A run folder stands for the flags that it can answer, its target included; flags go before it.
func TestDeriveOfARunFolder(t *testing.T) {
	free, params, table := runFolder(t, 0)
	all := []string{"--arch-params", params, "--space", "tiny", "--lut", table}
	derived := func(args ...string) string {
		t.Helper()
		out, err := execute(t, newDeriveCommand(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	plain := derived(all...)
	if got := derived(free); got != plain {
		t.Errorf("of a run without a target:\n%s\nwant what its parameters and table give:\n%s", got, plain)
	}
	var file struct {
		Predicted space.Prediction `json:"predicted"`
	}
	if err := json.Unmarshal([]byte(plain), &file); err != nil || !(file.Predicted.LatencyMS > 0) {
		t.Fatalf("%s\n%v", plain, err)
	}
	target := 0.75 * file.Predicted.LatencyMS
	// The same parameters and table come from the same seed.
	aimed, params, table := runFolder(t, target)
	all = []string{"--arch-params", params, "--space", "tiny", "--lut", table}
	within := derived(append(all[:6:6], "--max-latency", fmt.Sprintf("%.9fms", target))...)
	if within == plain {
		t.Fatal("the limit changes nothing, so nothing can be shown by it")
	}
	if got := derived(aimed); got != within {
		t.Errorf("of a run with a target:\n%s\nwant what is within it:\n%s", got, within)
	}
	if got := derived(aimed, "--max-latency", "1h"); got != plain {
		t.Errorf("with a longer --max-latency:\n%s\nwant:\n%s", got, plain)
	}

	slower, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	for i := range slower.Entries {
		slower.Entries[i].MedianMS *= 2
	}
	other := filepath.Join(t.TempDir(), "other.lut.json")
	if err := slower.Write(other); err != nil {
		t.Fatal(err)
	}
	if got, want := derived(free, "--lut", other), derived(append(all[:4:4], "--lut", other)...); got != want || got == plain {
		t.Errorf("with another table:\n%s\nwant:\n%s", got, want)
	}
}

func TestDeriveRefusesRunFolders(t *testing.T) {
	refused := func(message string, args ...string) {
		t.Helper()
		out, err := execute(t, newDeriveCommand(), args...)
		if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), message) || strings.Contains(err.Error(), "\n") || out != "" {
			t.Errorf("%v gave %q, %v, want %q", args, out, err, message)
		}
	}
	edit := func(folder string, change func(c *rundir.Config)) {
		t.Helper()
		c, err := rundir.ReadConfig(folder)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		if err := c.Write(folder); err != nil {
			t.Fatal(err)
		}
	}
	refused("config.yaml", filepath.Join(t.TempDir(), "none"))
	folder, _, table := runFolder(t, 0)
	refused("unexpected argument", folder, folder)
	refused("the least is", folder, "--max-latency", "1us")
	refused("--max-latency is 0s", folder, "--max-latency", "0s")
	refused(`of space "tiny", not of "cifar"`, folder, "--space", "cifar")

	// What is read is not written over, be it named by a flag or by the run.
	for _, input := range []string{table, filepath.Join(folder, rundir.ParametersFile), filepath.Join(folder, rundir.ConfigFile)} {
		before := read(t, input)
		refused("would overwrite the input "+input, folder, "-o", input)
		if read(t, input) != before {
			t.Errorf("%s was written over", input)
		}
	}
	refused("would overwrite the input "+table, folder, "--lut", table, "-o", table)

	measured, err := lut.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	measured.Entries[0].MedianMS *= 1.001
	if err := measured.Write(table); err != nil {
		t.Fatal(err)
	}
	refused(table+": is not the table that "+folder+" searched with", folder)
	if _, err := execute(t, newDeriveCommand(), folder, "--lut", table); err != nil {
		t.Errorf("a table that is named is taken as it is, but: %v", err)
	}

	folder, _, _ = runFolder(t, 0)
	edit(folder, func(c *rundir.Config) { c.SpaceFingerprint = strings.Repeat("0", 64) })
	refused("tiny: is not the space that "+folder+" searched", folder)
	folder, _, _ = runFolder(t, 0)
	edit(folder, func(c *rundir.Config) { c.LUT.Path = "" })
	refused("add --lut FILE", folder, "--max-latency", "1ms")
	folder, _, _ = runFolder(t, 0)
	edit(folder, func(c *rundir.Config) { c.LUT.Resolution = 64 })
	refused("keys missing", folder)
	folder, _, _ = runFolder(t, 0)
	if err := os.Remove(filepath.Join(folder, rundir.ParametersFile)); err != nil {
		t.Fatal(err)
	}
	refused(rundir.ParametersFile, folder)
}
