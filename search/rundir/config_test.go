package rundir

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestDefaultsOfMbv2AreThePapers(t *testing.T) {
	c, err := Default("mbv2")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{Header: files.Header{Kind: "densenas.config", SchemaVersion: 1}, Space: "mbv2", Backend: "auto", Seed: 1, HeldOutShare: 0.2,
		Epochs: 150, ArchitectureEpoch: 50, Batch: 352, Rate: 0.2, MinRate: 1e-4, Momentum: 0.9, WeightDecay: 4e-5, NormMomentum: 0.1,
		ArchitectureRate: 3e-4, ArchitectureWeightDecay: 1e-3, AdamBeta1: 0.5, AdamBeta2: 0.999, Objectives: []string{ObjectiveLatency}, Base: 15, Factor: 0.15,
		MultiplyAdds: c.MultiplyAdds, Parameters: c.Parameters, DType: "f32", LUT: LUT{Batch: 1, DType: "f32", Caches: "warm"}, OtherLUTs: []OtherLUT{}}
	if diff := cmp.Diff(want, *c); diff != "" {
		t.Errorf("(-paper +default):\n%s", diff)
	}
}

// Every built-in space has its own whole and valid configuration, and any other space has the paper's.
func TestEverySpaceHasAConfiguration(t *testing.T) {
	if diff := cmp.Diff(space.Names(), builtIn()); diff != "" {
		t.Errorf("(-spaces +configurations):\n%s", diff)
	}
	for _, name := range space.Names() {
		data, err := configs.ReadFile("configs/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseConfig(name, data)
		if err != nil {
			t.Fatal(err)
		}
		if c.Space != name {
			t.Errorf("%s: is for space %s", name, c.Space)
		}
		if c.ArchitectureEpoch >= c.Epochs {
			t.Errorf("%s: the architecture is never trained", name)
		}
	}
	c, err := Default("my/own.yaml")
	if err != nil || c.Space != "my/own.yaml" || c.Epochs != 150 {
		t.Errorf("%+v, error %v", c, err)
	}
}

func TestConfigIsReadAsWritten(t *testing.T) {
	folder := t.TempDir()
	c, err := Default("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.Seed, c.Data, c.TargetLatencyMS, c.LUT = math.MaxUint64, "photos: 'ä' #1.zip", 0.1+0.2, LUT{"a b.lut.json", "0123", 96, 8, "f32", "warm", true}
	c.Objectives = []string{ObjectiveParameters, ObjectiveLatency, ObjectiveMultiplyAdds}
	c.OtherLUTs, c.MultiplyAdds = []OtherLUT{{"car.lut.json", "4567", 0.5, true}}, Counted{300, 0.25, 1.5}
	if err := c.Write(folder); err != nil {
		t.Fatal(err)
	}
	got, err := ReadConfig(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

func TestLoadKeepsDefaultsOfTheNamedSpace(t *testing.T) {
	load := func(text, space string) *Config {
		t.Helper()
		path := filepath.Join(t.TempDir(), "my.yaml")
		if err := os.WriteFile(path, []byte("kind: densenas.config\nschema_version: 1\n"+text), 0o666); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, space)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	tiny, err := Default("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c := load("epochs: 9\nlut: {batch: 4}\n", "tiny")
	if c.Epochs != 9 || c.LUT.Batch != 4 || c.Space != "tiny" || c.Batch != tiny.Batch || c.Rate != tiny.Rate {
		t.Errorf("%+v", c)
	}
	if c = load("space: tiny\n", "mbv2"); c.Space != "tiny" || c.Epochs != tiny.Epochs {
		t.Errorf("the file's space is not taken: %+v", c)
	}
}

func TestConfigRefuses(t *testing.T) {
	valid, err := configs.ReadFile("configs/tiny.yaml")
	if err != nil {
		t.Fatal(err)
	}
	line := func(field, value string) string {
		var out []string
		found := false
		for l := range strings.Lines(string(valid)) {
			if strings.HasPrefix(strings.TrimSpace(l), field+":") && !found {
				found = true
				if value == "" {
					continue
				}
				l = l[:strings.Index(l, field)] + field + ": " + value + "\n"
			}
			out = append(out, l)
		}
		if !found {
			t.Fatalf("no field %s", field)
		}
		return strings.Join(out, "")
	}
	for _, c := range []struct{ name, text, want string }{
		{"foreign", "services:\n  web: {}\n", `config.yaml: has no "kind", so it is not a densenas.config file; is it the right file?`},
		{"newer", line("schema_version", "2"), "config.yaml: has schema version 2, made by a newer densenas"},
		{"unknown", string(valid) + "learning_rate: 0.1\n", "field learning_rate is unknown; is it misspelled, or the file of another version?"},
		{"missing", line("momentum", ""), "config.yaml: field momentum is missing; such a file has every field"},
		{"missing inside", line("identity", ""), "config.yaml: field lut.identity is missing"},
		{"null", line("epochs", "null"), "config.yaml: field epochs is missing"},
		{"text", line("epochs", "many"), "cannot unmarshal !!str `many` into int"},
		{"no space", line("space", `""`), "config.yaml: space is empty; name one"},
		{"control characters", line("data", `"a\e[2J"`), `config.yaml: data "a\x1b[2J" has characters that cannot be printed`},
		{"type of numbers", line("dtype", "f16"), `config.yaml: dtype is "f16", allowed is f32 or bf16`},
		{"held-out share", line("held_out_share", "0"), "config.yaml: held_out_share is 0, allowed is 0.000001 to 0.9"},
		{"no number", line("rate", ".nan"), "config.yaml: rate is NaN, allowed is 0 to 1000"},
		{"unknown objective", line("objectives", "[energy]"), `config.yaml: objectives has "energy", known are latency, multiply-adds and parameters`},
		{"objective twice", line("objectives", "[latency, latency]"), "config.yaml: objectives has latency twice"},
		{"no objective", line("objectives", "[]"), "config.yaml: objectives is empty"},
		{"too many tables", line("other_luts", "["+strings.Repeat("{path: a, identity: b, target_latency_ms: 1, verified: false}, ", 4)+"]"), "config.yaml: other_luts has 4 tables"},
		{"missing in a table", line("other_luts", "[{path: a, identity: b, verified: false}]"), "config.yaml: field other_luts[0].target_latency_ms is missing"},
		{"target of a table", line("other_luts", "[{path: a, identity: b, target_latency_ms: -1, verified: false}]"), "config.yaml: other_luts[0].target_latency_ms is -1"},
		{"endless", line("factor", ".inf"), "config.yaml: factor is +Inf, allowed is 0 to 1000000"},
		{"rates", line("min_rate", "0.5"), "config.yaml: min_rate is 0.5, allowed is 0 to 0.1"},
		{"batch", line("batch", "-1"), "config.yaml: batch is -1, allowed is 1 to 65536"},
		{"base", line("base", "1"), "config.yaml: base is 1, allowed is 1.000001 to 1000000000000"},
		{"seed", line("seed", "-1"), "cannot unmarshal !!int `-1` into uint64"},
		{"alias", line("rate", "&a 0.1"), "anchors and aliases are not read here"},
	} {
		_, err := parseConfig("config.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || exit.Code(err) != exit.CodeBadInput || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{folder, filepath.Join(folder, "none"), file} {
		want := name + " is not a run folder, it has no config.yaml; name the -o of search run"
		if _, err := ReadConfig(name); err == nil || err.Error() != want || exit.Code(err) != exit.CodeBadInput {
			t.Errorf("error %v\nwant %s", err, want)
		}
	}
}

func TestWriteRefusesBadConfigs(t *testing.T) {
	c, err := Default("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.Epochs = 0
	folder := t.TempDir()
	if err := c.Write(folder); err == nil || !strings.Contains(err.Error(), "epochs is 0") {
		t.Errorf("error %v", err)
	}
	if names, _ := os.ReadDir(folder); len(names) != 0 {
		t.Errorf("%v was left", names)
	}
}

func FuzzConfig(f *testing.F) {
	for _, name := range builtIn() {
		data, err := configs.ReadFile("configs/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("kind: densenas.config\nschema_version: 1\nlut: {path: [}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := load("c.yaml", data, "tiny"); err != nil && (exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "c.yaml:")) {
			t.Fatalf("error without place: %v", err)
		}
		c, err := parseConfig("c.yaml", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		written, err := yaml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseConfig("again", written)
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("read %+v, once written %+v, error %v", c, again, err)
		}
	})
}
