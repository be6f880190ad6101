package derive

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"
	"densenas/supernet/space"
)

func load(t testing.TB, name string) *space.Space {
	t.Helper()
	s, err := space.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// goldenParameters are the published implementation's, with what it derived from them.
func goldenParameters(t testing.TB) (params []*space.Parameters, derived []string) {
	t.Helper()
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
	for _, c := range file.Cases {
		p, err := space.ParseParameters("golden", c.Params)
		if err != nil {
			t.Fatal(err)
		}
		params, derived = append(params, p), append(derived, c.Derived)
	}
	return params, derived
}

func TestPlainDerivesThePublishedArchitectures(t *testing.T) {
	s := load(t, "mbv2")
	params, derived := goldenParameters(t)
	for i, p := range params {
		a, err := Plain(s, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Check(); err != nil {
			t.Errorf("case %d: %v", i, err)
		}
		if got, err := a.NetConfig(); err != nil || got != derived[i] {
			t.Errorf("case %d: %v\n got %s\nwant %s", i, err, got, derived[i])
		}
	}
}

func TestPlainTakesTheFirstOfEquals(t *testing.T) {
	s := load(t, "tiny")
	a, err := Plain(s, s.NewParameters())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.Layers[2 : len(a.Layers)-2] {
		if l.Op.Kernel != 3 || l.Op.Expansion != 3 {
			t.Errorf("with all alphas equal, %s was chosen before the first candidate", l.Op.Key())
		}
	}
}

func TestPlainLeavesSkipsOut(t *testing.T) {
	s := load(t, "tiny")
	p := s.NewParameters()
	for _, block := range p.AlphaStack {
		for _, layer := range block {
			layer[len(layer)-1] = 1
		}
	}
	a, err := Plain(s, p)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(a.Layers), len(a.Path)+3; got != want {
		t.Errorf("%d layers along %v, want %d: no stacked ones", got, a.Path, want)
	}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
}

func TestPlainRefusesForeignParameters(t *testing.T) {
	_, err := Plain(load(t, "tiny"), load(t, "cifar").NewParameters())
	if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), `of space "cifar"`) {
		t.Errorf("parameters of another space gave %v", err)
	}
}
