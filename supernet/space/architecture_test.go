package space

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func published(t testing.TB) *Architecture {
	t.Helper()
	a, err := ReadArchitecture(filepath.Join("testdata", "published.net_config"))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A random architecture of a space: a path and a candidate per layer.
func randomArchitecture(r *rand.Rand, s *Space) *Architecture {
	path, heads, stacks := []int{0}, []Op(nil), [][]Op(nil)
	for at := 0; at < len(s.Blocks); {
		out := s.Outgoing(at)
		c := out[r.IntN(len(out))]
		ops := s.HeadOps(c)
		heads = append(heads, ops[r.IntN(len(ops))])
		if at = c.To; at == len(s.Blocks) {
			break
		}
		path = append(path, at)
		var stack []Op
		for range s.Blocks[at].Layers {
			ops := s.StackOps(at)
			stack = append(stack, ops[r.IntN(len(ops))])
		}
		stacks = append(stacks, stack)
	}
	return s.Network(path, heads, stacks)
}

// Published counts: the architecture of the paper's table, and MobileNetV2.
func TestPublishedCounts(t *testing.T) {
	for _, c := range []struct {
		name                      string
		a                         *Architecture
		multiplyAdds, parameters  float64 // millions
		tolerance, paramTolerance float64
	}{
		{"DenseNAS on TITAN XP", published(t), 361, 0, 0.5, math.Inf(1)},
		{"MobileNetV2 1.0", MobileNetV2(1, 224, 1000), 300.8, 3.505, 0.05, 0.0005},
		{"MobileNetV2 1.4", MobileNetV2(1.4, 224, 1000), 582, 6.11, 1, 0.01},
		{"MobileNetV2 0.35", MobileNetV2(0.35, 224, 1000), 59, 1.68, 1, 0.01},
	} {
		if err := c.a.Check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := float64(c.a.MultiplyAdds()) / 1e6; math.Abs(got-c.multiplyAdds) > c.tolerance {
			t.Errorf("%s has %.2f M multiply-adds, published are %g M", c.name, got, c.multiplyAdds)
		}
		if got := float64(c.a.Parameters()) / 1e6; math.Abs(got-c.parameters) > c.paramTolerance {
			t.Errorf("%s has %.3f M parameters, published are %g M", c.name, got, c.parameters)
		}
	}
}

func TestEveryNetworkOfASpaceIsValid(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 0))
	for i := range 300 {
		s := randomSpace(r)
		a := randomArchitecture(r, s)
		if err := a.Check(); err != nil {
			t.Fatalf("%v: %+v", err, a)
		}
		known := map[Op]bool{}
		for _, c := range s.Ops() {
			known[c.Op] = true
		}
		total := int64(0)
		for _, c := range a.Counts() {
			if !known[c.Op] {
				t.Fatalf("%s is not in the space", c.Op.Key())
			}
			total += int64(c.Count) * c.Op.MultiplyAdds()
		}
		if total != a.MultiplyAdds() {
			t.Fatalf("counts add up to %d multiply-adds, the layers to %d", total, a.MultiplyAdds())
		}
		// Resolution, classes and channels change as the space does.
		resolution := s.Resolution + r.IntN(20)
		larger, err := s.WithResolution(resolution)
		if err != nil {
			t.Fatal(err)
		}
		larger = larger.WithClasses(3)
		r2 := rand.New(rand.NewPCG(5, uint64(i)))
		want := randomArchitecture(r2, larger)
		got := randomArchitecture(rand.New(rand.NewPCG(5, uint64(i))), s).WithResolution(resolution).WithClasses(3)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
	if err := MobileNetV2(1, 96, 10).WithChannels(1).Check(); err != nil {
		t.Error(err)
	}
}

func TestArchitectureFileRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 0))
	folder := t.TempDir()
	for i := range 50 {
		a := randomArchitecture(r, randomSpace(r))
		if i%2 == 0 {
			a.Name = "a name, \"quoted\""
			a.Predicted = &Prediction{LatencyMS: 4.25, LowMS: 4, HighMS: 4.5, Table: strings.Repeat("0", 64), Verified: i%4 == 0}
		}
		file := filepath.Join(folder, "a.arch.json")
		if err := a.Write(file); err != nil {
			t.Fatal(err)
		}
		got, err := ReadArchitecture(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
}

func TestArchitectureFileForm(t *testing.T) {
	a := randomArchitecture(rand.New(rand.NewPCG(7, 0)), load(t, "tiny"))
	a.Predicted = &Prediction{LatencyMS: 0.5, LowMS: 0.4375, HighMS: 0.5625, Table: strings.Repeat("ab", 32)}
	for name, a := range map[string]*Architecture{"tiny.arch.json": a, "mobilenet_v2.arch.json": MobileNetV2(1, 224, 1000)} {
		var b bytes.Buffer
		if err := writeJSON(&b, a); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
		if !json.Valid(b.Bytes()) {
			t.Errorf("%s is not JSON", name)
		}
	}
}

func TestReadArchitectureRefuses(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "tiny.arch.json"))
	if err != nil {
		t.Fatal(err)
	}
	file := string(data)
	for _, c := range []struct{ old, new, message string }{
		{`"densenas.arch"`, `"densenas.lut"`, "densenas.lut"},
		{`"schema_version": 1`, `"schema_version": 7`, "newer"},
		{`"classes": 10`, `"classes": 11`, "the classifier has 10 outputs, but classes is 11"},
		{`"classes": 10`, `"classes": 10, "colour": 1`, "colour"},
		{`"resolution": 32,`, ``, `"resolution" is missing`},
		{`"resolution": 32`, `"resolution": 1025`, "resolution is 1025, allowed is 1 to 1024"},
		{`"channels": 1`, `"channels": 3`, "layers[0]: stem takes 1 channels, but the layer before gives 3"},
		{`"space": "tiny",`, ``, "an architecture has both or neither"},
		{`"path": [0`, `"path": [0,1`, "but path says"},
		{`"op":"final"`, `"op":"conv"`, `unknown op "conv"`},
		{`"op":"stem","kernel":3`, `"op":"stem","kernel":4`, "layers[0]: kernel is 4, allowed are 1, 3, 5 and 7"},
		{`"out":128`, `"out":64`, "classifier takes 128 channels, but the layer before gives 64"},
		{`"stride":1,"block":0`, `"stride":1`, "layers[1]: is in block -1 after block -1"},
		{`"low_ms":0.4375`, `"low_ms":0.75`, "predicted.latency_ms is 0.5, allowed is from low_ms 0.75"},
		{`"latency_ms":0.5`, `"latency_ms":-1`, "predicted.latency_ms is -1, allowed is a finite number from 0"},
		{`"latency_ms"`, `"latency_s"`, "latency_s"},
	} {
		text := strings.Replace(file, c.old, c.new, 1)
		if text == file {
			t.Fatalf("%q is not in the file", c.old)
		}
		_, err := ParseArchitecture("bad.arch.json", []byte(text))
		if err == nil || !strings.Contains(err.Error(), c.message) || !strings.HasPrefix(err.Error(), "bad.arch.json:") || exit.Code(err) != 2 {
			t.Errorf("%q gave %v, want %q", c.new, err, c.message)
		}
	}
	for text, message := range map[string]string{
		"\x00\x01PK":          "is neither JSON of an architecture, which begins with {, nor net_config text",
		"":                    "is neither JSON",
		"kind: densenas.arch": "is neither JSON",
		"\ufeff" + file:       "begins with a byte order mark; save it as UTF-8 without one",
		"\ufeff[[32, 16]]":    "begins with a byte order mark",
	} {
		_, err := ParseArchitecture("bad.arch.json", []byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), "bad.arch.json: "+message) || exit.Code(err) != 2 {
			t.Errorf("%.20q gave %v, want %q", text, err, message)
		}
	}
	_, err = ParseArchitecture("cut.arch.json", data[:len(data)/2])
	if err == nil || exit.Code(err) != 2 {
		t.Errorf("a truncated file gave %v", err)
	}
}

func TestCheckRefusesWhatIsNoNetwork(t *testing.T) {
	for message, change := range map[string]func(a *Architecture){
		"allowed are 3 (stem, a block":                         func(a *Architecture) { a.Layers = a.Layers[:2] },
		"layers[2]: is mbconv in block 1, expected classifier": func(a *Architecture) { a.Layers = a.Layers[:3] },
		"layers[1]: is final, allowed inside the blocks": func(a *Architecture) {
			a.Layers = []Layer{a.Layers[0], {NoBlock, Op{Kind: Final, In: 32, Out: 1280, Resolution: 112}}, a.Layers[len(a.Layers)-1]}
		},
		"to 1000": func(a *Architecture) {
			long := append([]Layer(nil), a.Layers[:2]...)
			for range MaxNetworkLayers {
				long = append(long, a.Layers[1])
			}
			a.Layers = append(long, a.Layers[2:]...)
		},
		"layers[2]: mbconv takes 24 channels":      func(a *Architecture) { a.Layers[2].Op.In = 24 },
		"layers[2]: mbconv takes 111×111":          func(a *Architecture) { a.Layers[2].Op.Resolution = 111 },
		"layers[2]: a stacked layer from 16 to 24": func(a *Architecture) { a.Layers[2].Block = 0 },
		"is in block 5, expected 1":                func(a *Architecture) { a.Layers[2].Block = 5 },
		"layers[1]: is final, allowed inside":      func(a *Architecture) { a.Layers[1].Op = Op{Kind: Final, In: 32, Out: 16, Resolution: 112} },
		"layers[0]: is skip in block 0, expected stem": func(a *Architecture) {
			a.Layers[0] = Layer{0, Op{Kind: Skip, In: 3, Out: 3, Stride: 1, Resolution: 224}}
		},
		"layers[18]: is final in block 3, expected final": func(a *Architecture) { a.Layers[18].Block = 3 },
		"name has 101 bytes":                              func(a *Architecture) { a.Name = strings.Repeat("n", 101) },
		"cannot be printed":                               func(a *Architecture) { a.Name = "\x1b[2J" },
		"classes is 0":                                    func(a *Architecture) { a.Classes = 0 },
	} {
		a := MobileNetV2(1, 224, 1000)
		change(a)
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%v, want %q", err, message)
		}
		if err := a.Write(filepath.Join(t.TempDir(), "a.arch.json")); err == nil {
			t.Errorf("%q is written all the same", message)
		}
	}
}

func FuzzParseArchitecture(f *testing.F) {
	for _, name := range []string{"tiny.arch.json", "mobilenet_v2.arch.json", "published.net_config"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"kind":"densenas.arch","schema_version":1,"resolution":1,"channels":1,"classes":1,"layers":[{"op":"stem","in":-1,"out":0}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseArchitecture("fuzz", data)
		if err != nil {
			if exit.Code(err) != 2 || !strings.HasPrefix(err.Error(), "fuzz:") {
				t.Errorf("the error %q is not bad input or does not name the file", err)
			}
			return
		}
		if a.MultiplyAdds() <= 0 || a.Parameters() <= 0 {
			t.Errorf("accepted a network of %d multiply-adds and %d parameters", a.MultiplyAdds(), a.Parameters())
		}
		var b bytes.Buffer
		if err := writeJSON(&b, a); err != nil {
			t.Fatal(err)
		}
		again, err := ParseArchitecture("again", b.Bytes())
		if err != nil {
			t.Fatalf("written as %s: %v", b.Bytes(), err)
		}
		if diff := cmp.Diff(a, again); diff != "" {
			t.Errorf("changed by writing: %s", diff)
		}
	})
}

func ExampleMobileNetV2() {
	a := MobileNetV2(1, 224, 1000)
	fmt.Printf("%.0f M multiply-adds, %.1f M parameters, %d layers\n", float64(a.MultiplyAdds())/1e6, float64(a.Parameters())/1e6, len(a.Layers))
	// Output: 301 M multiply-adds, 3.5 M parameters, 20 layers
}
