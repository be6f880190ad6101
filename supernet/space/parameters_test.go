package space

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/testdata"

	"github.com/google/go-cmp/cmp"
)

func randomParameters(r *rand.Rand, s *Space) *Parameters {
	p := s.NewParameters()
	rows := append([][]float64(nil), p.Beta...)
	for _, t := range [][][][]float64{p.AlphaHead, p.AlphaStack} {
		for _, block := range t {
			rows = append(rows, block...)
		}
	}
	for _, row := range rows {
		for i := range row {
			row[i] = r.NormFloat64()
		}
	}
	return p
}

func TestParametersRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 0))
	file := filepath.Join(t.TempDir(), "p.params.json")
	for range 50 {
		s := randomSpace(r)
		p := randomParameters(r, s)
		if err := p.Write(file); err != nil {
			t.Fatal(err)
		}
		got, err := ReadParameters(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := got.Check(s); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
}

func TestParametersFileForm(t *testing.T) {
	p := load(t, "tiny").NewParameters()
	file := filepath.Join(t.TempDir(), "p.params.json")
	if err := p.Write(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tiny.params.json", data)
}

func TestPublishedParametersFitTheSpace(t *testing.T) {
	data, err := os.ReadFile(testdata.Shared(t, "golden/mbv2-chained-cost.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct{ Params json.RawMessage }
	}
	if err := json.Unmarshal(data, &file); err != nil || len(file.Cases) == 0 {
		t.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	for i, c := range file.Cases {
		p, err := ParseParameters("golden", c.Params)
		if err == nil {
			err = p.Check(load(t, "mbv2"))
		}
		if err != nil {
			t.Errorf("case %d: %v", i, err)
		}
	}
}

func TestParametersCheckNamesTensorAndIndex(t *testing.T) {
	s := load(t, "tiny")
	for message, change := range map[string]func(p *Parameters){
		`of space "mbv2", not of "tiny"`:                     func(p *Parameters) { p.Space = "mbv2" },
		"beta has 5 elements, the space needs 6":             func(p *Parameters) { p.Beta = p.Beta[:5] },
		"beta[2] has 0 elements, the space needs":            func(p *Parameters) { p.Beta[2] = nil },
		"beta[0][1] is NaN, allowed is -1e+06 to 1e+06":      func(p *Parameters) { p.Beta[0][1] = math.NaN() },
		"alpha_head has 6 elements, space tiny needs 5":      func(p *Parameters) { p.AlphaHead = append(p.AlphaHead, nil) },
		"alpha_head[1] has 0 elements":                       func(p *Parameters) { p.AlphaHead[1] = nil },
		"alpha_head[1][0] has 3 elements, the space needs 2": func(p *Parameters) { p.AlphaHead[1][0] = make([]float64, 3) },
		"alpha_stack[4][1][2] is +Inf":                       func(p *Parameters) { p.AlphaStack[4][1][2] = math.Inf(1) },
		"beta[0][0] is 1e+07":                                func(p *Parameters) { p.Beta[0][0] = 1e7 },
		"alpha_stack has 0 elements":                         func(p *Parameters) { p.AlphaStack = nil },
		"alpha_stack[0] has 2 elements, the space needs 1":   func(p *Parameters) { p.AlphaStack[0] = append(p.AlphaStack[0], nil) },
	} {
		p := s.NewParameters()
		change(p)
		if err := p.Check(s); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%v, want %q", err, message)
		}
	}
	if err := s.NewParameters().Check(s); err != nil {
		t.Error(err)
	}
}

func TestReadParametersRefuses(t *testing.T) {
	for text, message := range map[string]string{
		"":   "empty",
		"[]": "",
		`{"space":"tiny","beta":[],"alpha_head":[]}`:                                                           `"alpha_stack" is missing`,
		`{"space":"tiny","beta":[["1"]],"alpha_head":[],"alpha_stack":[]}`:                                     "beta[0][0]",
		`{"space":"tiny","beta":[[1e999]],"alpha_head":[],"alpha_stack":[]}`:                                   "1e999",
		`{"space":"","beta":[],"alpha_head":[],"alpha_stack":[]}`:                                              "space has 0 bytes",
		`{"kind":"densenas.arch","schema_version":1,"space":"a"}`:                                              "densenas.arch",
		`{"kind":"densenas.params","schema_version":2,"zeta":[]}`:                                              "newer",
		`{"schema_version":1,"space":"tiny","beta":[],"alpha_head":[],"alpha_stack":[]}`:                       `no "kind"`,
		`{"kind":"densenas.params","schema_version":1,"space":"tiny","beta":[],"alpha_head":[],"gamma":[]}`:    "gamma",
		`{"space":"tiny","beta":[],"alpha_head":[],"alpha_stack":[]}{}`:                                        "after the end",
		`{"kind":"densenas.params","schema_version":1,"space":"tiny","beta":[],"alpha_head":[],"alpha_stack":`: "truncated",
	} {
		p, err := ParseParameters("p.params.json", []byte(text))
		if err == nil || !strings.Contains(err.Error(), message) || !strings.HasPrefix(err.Error(), "p.params.json") || exit.Code(err) != 2 {
			t.Errorf("%q gave %+v, %v, want %q", text, p, err, message)
		}
	}
}

func FuzzParseParameters(f *testing.F) {
	f.Add([]byte(`{"space":"tiny","beta":[[0,1]],"alpha_head":[[[0]]],"alpha_stack":[[],null]}`))
	f.Add([]byte(`{"kind":"densenas.params","schema_version":1,"space":"tiny","beta":[[0,-1e300]],"alpha_head":[],"alpha_stack":[[[1]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseParameters("fuzz", data)
		if err != nil {
			if exit.Code(err) != 2 || !strings.HasPrefix(err.Error(), "fuzz") {
				t.Errorf("the error %q is not bad input or does not name the file", err)
			}
			return
		}
		for _, name := range Names() {
			_ = p.Check(load(t, name))
		}
		if _, err := p.MarshalJSON(); err != nil {
			t.Errorf("cannot be written: %v", err)
		}
	})
}
