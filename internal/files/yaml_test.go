package files

import (
	"strings"
	"testing"

	"densenas/internal/exit"
)

type settings struct {
	Header `yaml:",inline"`
	Epochs int      `yaml:"epochs"`
	Rate   float64  `yaml:"rate"`
	Names  []string `yaml:"names"`
	Stages []struct {
		Layers int `yaml:"layers"`
	} `yaml:"stages"`
	Counts map[string]int `yaml:"counts"`
	Limit  *uint64        `yaml:"limit"`
}

func TestDecodeYAMLKeepsDefaults(t *testing.T) {
	v := settings{Epochs: 150, Rate: 0.2}
	if err := DecodeYAML("c.yaml", []byte("# mine\nrate: 0.1\nnames: [a, b]\n"), &v); err != nil {
		t.Fatal(err)
	}
	if v.Epochs != 150 || v.Rate != 0.1 || len(v.Names) != 2 {
		t.Errorf("decoded %+v", v)
	}
}

func TestDecodeYAMLTakesWholeNumbersInAnyNotation(t *testing.T) {
	var v settings
	if err := DecodeYAML("c.yaml", []byte("epochs: 1e2\nlimit: 2.0\nrate: 2.9\ncounts: {a: 3}\n"), &v); err != nil {
		t.Fatal(err)
	}
	if v.Epochs != 100 || *v.Limit != 2 || v.Rate != 2.9 || v.Counts["a"] != 3 {
		t.Errorf("decoded %+v", v)
	}
}

func TestDecodeYAMLRefuses(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"empty", " \n", `c.yaml: is empty; write it again`},
		{"comments alone", "# nothing\n", `c.yaml: has nothing but comments; write its fields, such as kind: …`},
		{"fraction", "rate: 0.5\nepochs: 6.9\n", `c.yaml:2: 6.9 is not a whole number; write one`},
		{"fraction in an inlined struct", "schema_version: 1.9\n", `c.yaml:1: 1.9 is not a whole number; write one`},
		{"fraction in a list of structs", "stages:\n- layers: 2\n- layers: 2.9\n", `c.yaml:3: 2.9 is not a whole number; write one`},
		{"fraction in a map", "counts: {a: 1, b: .5}\n", `c.yaml:1: .5 is not a whole number; write one`},
		{"fraction behind a pointer", "limit: 1e-3\n", `c.yaml:1: 1e-3 is not a whole number; write one`},
		{"not finite", "epochs: -.inf\n", `c.yaml:1: -.inf is not a whole number; write one`},
		{"too large to be exact", "epochs: 1e300\n", `c.yaml:1: 1e300 is not a whole number; write one`},
		{"foreign tag", "epochs: !!python/object/apply:os.system [ls]\n", `c.yaml:1:9: tags such as "!!python/object/apply:os.system" are not read here; write the value without one`},
		{"tag of its own", "names: [!secret x]\n", `c.yaml:1:9: tags such as "!secret" are not read here; write the value without one`},
		{"tag that converts", "epochs: !!int \"6\"\n", `c.yaml:1:9: tags such as "!!int" are not read here; write the value without one`},
		{"merge key", "<<: {epochs: 2}\n", `c.yaml:1:1: merge keys are not read here; write the fields out`},
		{"unknown", "epochs: 1\nrates: 2\n", `c.yaml:2: field rates is unknown; is it misspelled, or the file of another version?`},
		{"doubled", "epochs: 1\nepochs: 2\n", `c.yaml:2:1: "epochs" stands there twice, first in line 1; remove one`},
		{"type", "rate: fast\n", "c.yaml:1: cannot unmarshal !!str `fast` into float64"},
		{"syntax", "epochs: [1,\n", `c.yaml:1: did not find expected node content; this is not YAML: correct it there, or name the right file`},
		{"alias", "names: &a [x]\nother: *a\n", `c.yaml:1:8: anchors and aliases are not read here; write the value out`},
		{"two documents", "rate: 1\n---\nrate: 2\n", `c.yaml: has more than one YAML document; keep one`},
		{"deep", "names: " + strings.Repeat("[", 100) + strings.Repeat("]", 100), `c.yaml:1:71: nested deeper than 64; is it the right file?`},
		{"many keys", "names:\n" + strings.Repeat(" a: 1\n", 100000), `c.yaml:2:2: more than 1000 keys in one mapping; is it the right file?`},
		{"large", strings.Repeat("#", maxYAML+1), `c.yaml: larger than 1 MiB, the most that this kind of file may have; is it the right file?`},
	} {
		var v settings
		err := DecodeYAML("c.yaml", []byte(c.data), &v)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
		if exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: exit code %d", c.name, exit.Code(err))
		}
	}
}

func FuzzDecodeYAML(f *testing.F) {
	for _, seed := range []string{"epochs: 3\nrate: 1e-3\nnames: [a]\n", "names: &a [*a]\n", "? a\n: b\n", "--- |\n x\n", "{epochs: 1, <<: {rate: 2}}", "rate: .nan", "\t", "!!binary x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v settings
		if err := DecodeYAMLKind("c.yaml", data, "k", 1, &v); err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Fatalf("error without place: %v", err)
			}
		} else if v.Kind != "k" || v.SchemaVersion != 1 {
			t.Fatalf("accepted %+v", v)
		}
	})
}
