package study

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"densenas/internal/exit"
)

const configText = `kind: densenas.study.config
schema_version: 1
band: 0.1
searched: {search_seeds: [3, 1], training_seeds: [1]}
random: {networks: 10, seed: 5, training_seeds: [1, 2]}
fixed: {space: cifar-fixed, search_seeds: [1], training_seeds: [4]}
mobilenet_v2: {halvings: 3, training_seeds: [1]}
training: {epochs: 2, rate: 0.05}
search:
  kind: densenas.config
  schema_version: 1
  space: cifar
  data: pictures.zip
  epochs: 4
  architecture_epoch: 1
  target_latency_ms: 0.5
  lut: {path: cifar.lut.json}
`

func testConfig(t testing.TB) *Config {
	t.Helper()
	c, err := parse("study.yaml", []byte(configText), func(*Config) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigHasDefaultsForTheRest(t *testing.T) {
	c := testConfig(t)
	d, err := Default("cifar")
	if err != nil {
		t.Fatal(err)
	}
	if c.Training.Epochs != 2 || c.Training.Batch != d.Training.Batch || c.Search.Epochs != 4 || c.Search.Batch != d.Search.Batch || c.Ranking != d.Ranking {
		t.Errorf("%+v", c)
	}
	if c.TargetMS() != 0.5 || c.LowMS() != 0.45 || c.HeldOutSeed() != 3 {
		t.Errorf("band %g to %g, held out by %d", c.LowMS(), c.TargetMS(), c.HeldOutSeed())
	}
	searched, fixed := c.SearchOf(GroupSearched, 7), c.SearchOf(GroupFixed, 8)
	if searched.Space != "cifar" || searched.Seed != 7 || fixed.Space != "cifar-fixed" || fixed.Seed != 8 || fixed.Epochs != 4 || c.Search.Space != "cifar" {
		t.Errorf("searches %+v and %+v", searched, fixed)
	}
}

func TestConfigIsReadAsWritten(t *testing.T) {
	folder := t.TempDir()
	c := testConfig(t)
	if err := c.Write(folder); err != nil {
		t.Fatal(err)
	}
	got, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	if differ, err := c.Differences(got); err != nil || len(differ) > 0 {
		t.Errorf("%v, %v", differ, err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	got.Searched.SearchSeeds, got.Search.LUT.Identity, got.Band = []uint64{3, 2}, "abc", 0.2
	differ, err := c.Differences(got)
	if want := []string{"band (0.1 and 0.2)", "searched.search_seeds ([3, 1] and [3, 2])", `search.lut.identity ("" and abc)`}; err != nil || !slices.Equal(differ, want) {
		t.Errorf("%q, %v, want %q", differ, err, want)
	}
}

// The study of the space for small images is valid, and has networks enough for what it is to show.
func TestStudyOfSmallImages(t *testing.T) {
	c, err := Load(filepath.Join("..", "..", "scripts", "study.yaml"), func(c *Config) {
		if c.Search.LUT.Path != "" || c.Search.Data != "" {
			t.Errorf("names %q and %q", c.Search.LUT.Path, c.Search.Data)
		}
		c.Search.LUT.Path, c.Search.Data = "a.lut.json", "a.zip"
	})
	if err != nil {
		t.Fatal(err)
	}
	ranked, groups := 0, map[Group]bool{}
	for _, n := range c.Networks() {
		groups[n.Group] = true
		if n.Group == GroupSearched || n.Group == GroupRandom {
			ranked++
		}
	}
	if ranked < 12 || len(groups) != len(Groups) || len(c.Searched.SearchSeeds) < 2 {
		t.Errorf("%d networks are ranked, of groups %v", ranked, groups)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range [][3]string{
		{"kind: densenas.study.config", "kind: densenas.study", "is of kind"},
		{"schema_version: 1\nband", "schema_version: 2\nband", "schema version"},
		{"  kind: densenas.config", "  kind: densenas.lut", "(search): is of kind"},
		{"band:", "bands:", "bands"},
		{"band: 0.1", "band: 0.1\nband: 0.1", "band"},
		{"band: 0.1", "band: 0", "band is 0, allowed is"},
		{"band: 0.1", "band: .nan", "band"},
		{"[3, 1]", "[]", "searched.search_seeds has 0"},
		{"[3, 1]", "[3, 3]", "searched.search_seeds has 3, allowed are seeds from 1, each once"},
		{"[3, 1]", "[0]", "searched.search_seeds has 0, allowed are seeds from 1"},
		{"networks: 10", "networks: 1", "random.networks is 1"},
		{"space: cifar-fixed, ", "", "fixed.space is empty"},
		{"training_seeds: [4]", "training_seeds: []", "fixed.training_seeds has 0"},
		{"halvings: 3", "halvings: 6", "mobilenet_v2.halvings is 6"},
		{"epochs: 2, rate", "epochs: 0, rate", "training.epochs is 0"},
		{"rate: 0.05", "rate: 0", "training.rate is 0"},
		{"architecture_epoch: 1", "architecture_epoch: 4", "search.architecture_epoch is 4"},
		{"target_latency_ms: 0.5", "target_latency_ms: 0", "search.target_latency_ms is 0"},
		{"lut: {path: cifar.lut.json}", "objectives: [parameters]", "search.objectives"},
		{"data: pictures.zip", `data: ""`, "search.data is empty"},
	} {
		text := strings.Replace(configText, c[0], c[1], 1)
		if text == configText {
			t.Fatalf("%q is not in the configuration", c[0])
		}
		path := filepath.Join(t.TempDir(), "my.yaml")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, func(*Config) {}); err == nil || exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v, want %q", c[1], err, c[2])
		}
	}
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not the folder of a study") {
		t.Errorf("an empty folder gave %v", err)
	}
	// What a folder's file leaves out would have another meaning once a default is another.
	folder := t.TempDir()
	if err := testConfig(t).Write(folder); err != nil {
		t.Fatal(err)
	}
	if c, err := Read(folder); err != nil || !reflect.DeepEqual(c.Search, testConfig(t).Search) {
		t.Errorf("%+v, %v", c, err)
	}
	whole, err := os.ReadFile(filepath.Join(folder, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	partly := strings.Replace(string(whole), "    momentum: 0.9\n", "", 1)
	if partly == string(whole) {
		t.Fatalf("no momentum of 4 spaces in\n%s", whole)
	}
	if err := os.WriteFile(filepath.Join(folder, ConfigFile), []byte(partly), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(folder); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "field training.momentum is missing") && !strings.Contains(err.Error(), "field search.momentum is missing") {
		t.Errorf("a folder's configuration without a field: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(configText))
	f.Add([]byte("kind: densenas.study.config\nschema_version: 1\nsearch: {kind: densenas.config, schema_version: 1, space: tiny\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("c.yaml", data, func(*Config) {})
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "c.yaml") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		names := map[string]bool{}
		for _, p := range Parts(c.Networks()) {
			if names[p.Name] || !filepath.IsLocal(p.Name) || len(p.Name) > maxName {
				t.Fatalf("%q is no name of its own", p.Name)
			}
			names[p.Name] = true
		}
		written, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse("again", written, func(*Config) {})
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("%+v was read again as %+v, error %v", c, again, err)
		}
	})
}
