package space

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"

	"github.com/google/go-cmp/cmp"
)

func TestEmbeddedSpacesAreValid(t *testing.T) {
	if diff := cmp.Diff([]string{"cifar", "cifar-fixed", "mbv2", "mbv2-fixed", "res", "tiny"}, Names()); diff != "" {
		t.Fatal(diff)
	}
	for _, name := range Names() {
		if s := load(t, name); s.Name != name {
			t.Errorf("space %s calls itself %s", name, s.Name)
		}
	}
}

const smallSpace = `kind: densenas.space
schema_version: 1
name: small
resolution: 32
channels: 1
classes: 10
forward: 2
stem: {kernel: 3, width: 8, stride: 2}
first: mbconv_k3_t1
head: [mbconv_k3_t3]
stack: [mbconv_k3_t3, skip]
blocks:
  - {width: 8, stride: 2, stage: 0, layers: 0}
  - {width: 16, stride: 4, stage: 1, layers: 2}
final: {width: 32, stage: 2}
`

func TestLoadFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(file, []byte(smallSpace), 0o644); err != nil {
		t.Fatal(err)
	}
	want := &Space{Name: "small", Resolution: 32, Channels: 1, Classes: 10, Forward: 2, Stem: StemLayer{Kernel: 3, Width: 8, Stride: 2}, First: Candidate{MBConv, 3, 1},
		HeadCandidates: []Candidate{{MBConv, 3, 3}}, StackCandidates: []Candidate{{MBConv, 3, 3}, {Kind: Skip}},
		Blocks: []Block{{8, 2, 0, 0}, {16, 4, 1, 2}}, Final: FinalLayer{Width: 32, Stage: 2}}
	if diff := cmp.Diff(want, load(t, file)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// What may be left out, with its default named and otherwise.
	for _, c := range []struct {
		replace []string
		change  func(*Space)
	}{
		{[]string{"stride: 2}\nfirst", "stride: 2, activation: relu6, affine: false}\npath_temperature: 1\nskip_cost: 0\nfirst", "stage: 2}", "stage: 2, derived: true}"},
			func(s *Space) { s.PathTemperature = 1 }},
		{[]string{"stride: 2}\nfirst", "stride: 2, activation: relu, affine: true}\npath_temperature: 0.9\nskip_cost: 0.1\nfirst", "stage: 2}", "stage: 2, derived: false}",
			"[mbconv_k3_t3]", "[basic]", "mbconv_k3_t1", "none"},
			func(s *Space) {
				s.Stem.Activation, s.Stem.Affine, s.PathTemperature, s.SkipCost, s.Final.SuperNetworkOnly = ReLU, true, 0.9, 0.1, true
				s.HeadCandidates, s.First = []Candidate{{Kind: Basic}}, Candidate{}
			}},
	} {
		changed := *want
		c.change(&changed)
		if err := os.WriteFile(file, []byte(strings.NewReplacer(c.replace...).Replace(smallSpace)), 0o644); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&changed, load(t, file)); diff != "" {
			t.Errorf("%v: -want +got:\n%s", c.replace, diff)
		}
	}
}

// Everything that a file can get wrong is bad input whose one line names the file, the field and what is allowed.
func TestLoadNamesFilePlaceAndWayOut(t *testing.T) {
	for _, c := range []struct{ old, new, message string }{
		{"kind: densenas.space", "kind: densenas.lut", "kind"},
		{"schema_version: 1", "schema_version: 2", "newer"},
		{"name: small\n", "", "name has 0 bytes, allowed are 1 to 100"},
		{"name: small", "name: small\nnmae: x", "nmae"},
		{"resolution: 32", "resolution: 1025", "resolution is 1025, allowed is 1 to 1024"},
		{"resolution: 32", "resolution: 3", "blocks[1].stride is 4, allowed is at most the resolution 3"},
		{"channels: 1", "channels: 0", "channels is 0, allowed is 1 to 64"},
		{"classes: 10", "classes: -1", "classes is -1, allowed is 1 to 65536"},
		{"forward: 2", "forward: 0", "forward is 0, allowed is 1 to 64"},
		{"kernel: 3, width: 8", "kernel: 2, width: 8", "stem.kernel is 2, allowed are 1, 3, 5 and 7"},
		{"width: 8, stride: 2}", "width: 8193, stride: 2}", "stem.width is 8193, allowed is 1 to 8192"},
		{"width: 8, stride: 2}", "width: 8, stride: 4}", "stem.stride is 4, allowed is 1 to 2"},
		{"first: mbconv_k3_t1", "first: skip", `first is "skip", allowed are an mbconv, basic and none`},
		{"width: 8, stride: 2}\nfirst: mbconv_k3_t1", "width: 16, stride: 2}\nfirst: none", "blocks[0] has width 8 and stride 2, allowed are the stem's 16 and 2"},
		{"first: mbconv_k3_t1", "first: none", ""},
		{"width: 8, stride: 2}", "width: 8, stride: 2, activation: tanh}", `stem.activation is "tanh", allowed is relu; without one it is ReLU6`},
		{"forward: 2", "forward: 2\npath_temperature: .nan", "path_temperature is"},
		{"forward: 2", "forward: 2\npath_temperature: -1", "path_temperature is -1, allowed is 0.01 to 100"},
		{"forward: 2", "forward: 2\nskip_cost: 1.5", "skip_cost is 1.5, allowed is 0 to 1"},
		{"first: mbconv_k3_t1", "first: conv", "first: unknown candidate"},
		{"head: [mbconv_k3_t3]", "head: []", "head has 0 candidates, allowed are 1 to 32"},
		{"head: [mbconv_k3_t3]", "head: [mbconv_k3_t3, skip]", `head[1] is "skip"`},
		{"head: [mbconv_k3_t3]", "head: [mbconv_k3_t3, mbconv_k3_t3]", `head[1] is "mbconv_k3_t3" a second time`},
		{"stack: [mbconv_k3_t3, skip]", "stack: [mbconv_k9_t3, skip]", `stack[0]: candidate "mbconv_k9_t3": kernel is 9, allowed are 3, 5 and 7`},
		{"stack: [mbconv_k3_t3, skip]", "stack: [" + strings.Repeat("skip, ", 33) + "]", "stack has 33 candidates, allowed are 1 to 32"},
		{"stage: 0, layers: 0", "stage: 0", "blocks[0].layers is missing"},
		{"stage: 1, layers: 2", "layers: 2", "blocks[1].stage is missing"},
		{"stage: 0, layers: 0", "stage: 0, layers: 1", "blocks[0].layers is 1, allowed is 0"},
		{"stage: 0, layers: 0", "stage: -1, layers: 0", "blocks[0].stage is -1, allowed is 0 to 64"},
		{"stage: 1, layers: 2", "stage: 1, layers: 33", "blocks[1].layers is 33, allowed is 0 to 32"},
		{"stage: 1, layers: 2", "stage: 2, layers: 2", "blocks[1].stage is 2, allowed are 0 (as before it) and 1"},
		{"width: 16, stride: 4", "width: 16, stride: 8", "blocks[1].stride is 8, allowed are 2 (as before it) and 4"},
		{"width: 16, stride: 4", "width: 16, stride: 6", "blocks[1].stride is 6, allowed are 2"},
		{"width: 16, stride: 4", "width: 16, stride: 1", "blocks[1].stride is 1, allowed are 2"},
		{"width: 8, stride: 2, stage", "width: 8, stride: 8, stage", "blocks[0].stride is 8, allowed are 2"},
		{"width: 8, stride: 2, stage", "width: 0, stride: 2, stage", "blocks[0].width is 0, allowed is 1 to 8192"},
		{"stage: 0, layers", "stage: 2, layers", "blocks[1].stage is 1, allowed are 2"},
		{"final: {width: 32, stage: 2}", "final: {width: 32}", "final.stage is missing"},
		{"final: {width: 32, stage: 2}", "final: {width: 32, stage: 3}", "final.stage is 3, allowed are the last block's 1 and 2"},
		{"  - {width: 16", strings.Repeat("  - {width: 16, stride: 4, stage: 1, layers: 0}\n", 63) + "  - {width: 16", "blocks has 65 entries, allowed are 1 to 64"},
		{"blocks:\n", "blocks:\n  - {width: 8, stride: 2, stage: 0, layers: 0}\n", ""},
		{"final: {width: 32, stage: 2}", "final: [1]", "cannot unmarshal"},
	} {
		text := strings.Replace(smallSpace, c.old, c.new, 1)
		if text == smallSpace {
			t.Fatalf("%q is not in the text", c.old)
		}
		file := filepath.Join(t.TempDir(), "bad.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if c.message == "" {
			if err != nil {
				t.Errorf("%q gave %v", c.new, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), file) ||
			strings.Contains(err.Error(), "\n") || exit.Code(err) != 2 {
			t.Errorf("%q gave %v, want %q", c.new, err, c.message)
		}
	}
}

func TestUnknownSpaceListsTheKnown(t *testing.T) {
	_, err := Load("mbv3")
	if err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), "cifar, cifar-fixed, mbv2, mbv2-fixed, res, tiny, or the path") {
		t.Errorf("unknown space gave %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || exit.Code(err) != 2 {
		t.Errorf("a folder gave %v", err)
	}
	if errors.Is(err, os.ErrNotExist) {
		t.Error("the error says no such file of a name that was meant as a space")
	}
}

func TestABuiltInNameStandsForOneSpace(t *testing.T) {
	tiny, err := embedded.ReadFile("spaces/tiny.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mine.yaml")
	for text, message := range map[string]string{
		string(tiny): "",
		strings.Replace(string(tiny), "forward: 4", "forward: 3", 1): "choose another name",
		strings.Replace(smallSpace, "name: small", "name: mbv2", 1):  "choose another name",
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file)
		if message == "" && err != nil || message != "" && (err == nil || exit.Code(err) != 2 || !strings.Contains(err.Error(), message)) {
			t.Errorf("%v, want %q", err, message)
		}
	}
}

func FuzzParseSpace(f *testing.F) {
	for _, name := range Names() {
		data, err := embedded.ReadFile("spaces/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(smallSpace))
	f.Add([]byte("kind: densenas.space\nschema_version: 1\nblocks: [{}, {}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse("fuzz.yaml", data)
		if err != nil {
			if exit.Code(err) != 2 || !strings.HasPrefix(err.Error(), "fuzz.yaml") {
				t.Errorf("the error %q is not bad input or does not name the file", err)
			}
			return
		}
		if s.Paths() < 1 || s.Weights() < 1 {
			t.Errorf("accepted a space of %d paths and %d weights", s.Paths(), s.Weights())
		}
		for _, c := range s.Ops() {
			if err := c.Op.Check(); err != nil {
				t.Fatalf("accepted a space with %s: %v", c.Op.Key(), err)
			}
		}
	})
}

// The fixed spaces have one path, and MobileNetV2 in it: its widths, strides and operations are among what can be chosen.
func TestFixedSpacesHoldMobileNetV2(t *testing.T) {
	for name, width := range map[string]float64{"mbv2-fixed": 1, "cifar-fixed": 0.5} {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Paths(); n != 1 {
			t.Errorf("%s has %d paths", name, n)
		}
		var want []int
		mobile := MobileNetV2(width, s.Resolution, s.Classes)
		layers := make([]int, len(s.Blocks))
		for _, l := range mobile.Layers {
			if l.Block != NoBlock {
				if l.Block == len(want) {
					want = append(want, l.Op.Out)
				} else {
					layers[l.Block]++
				}
			}
		}
		if len(want) != len(s.Blocks) || s.Stem.Width != mobile.Layers[0].Op.Out {
			t.Fatalf("%s: %d blocks, stem %+v", name, len(s.Blocks), s.Stem)
		}
		for i, b := range s.Blocks {
			if b.Width != want[i] || b.Layers < layers[i] {
				t.Errorf("%s: block %d is %+v, MobileNetV2's has %d channels and %d stacked layers", name, i, b, want[i], layers[i])
			}
		}
		// The last halvings are at the same blocks.
		for i := 2; i < len(s.Blocks); i++ {
			halves := false
			for _, l := range mobile.Layers {
				halves = halves || l.Block == i && l.Op.Stride == 2
			}
			if got := s.Blocks[i].Stride == 2*s.Blocks[i-1].Stride; got != halves {
				t.Errorf("%s: block %d halves the resolution: %t, MobileNetV2's: %t", name, i, got, halves)
			}
		}
	}
	s, err := Load("mbv2-fixed")
	if err != nil {
		t.Fatal(err)
	}
	// Operation by operation.
	mobile := MobileNetV2(1, 224, 1000)
	measured := map[string]bool{}
	for _, c := range s.Ops() {
		measured[c.Op.Key()] = true
	}
	for _, op := range mobile.Ops() {
		if !measured[op.Key()] {
			t.Errorf("%s is not among the operations of %s", op.Key(), s.Name)
		}
	}
}
