package search

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/internal/safetensors"
	"densenas/supernet"

	"github.com/google/go-cmp/cmp"
)

var testIdentity = Identity{Space: "a space", Table: "a table", Data: "images", Config: "Seed:1 Rate:0.1", Runtime: "go v1"}

func randomCheckpoint(t testing.TB, seed uint64) *Checkpoint {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	s := randomSpace(t, r)
	random, err := rand.NewPCG(seed, 1).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := &Checkpoint{
		Identity: testIdentity,
		State: State{
			Parameters: randomParameters(s, r, 1), Factors: []float64{r.Float64(), 0}, Epoch: 3, Pass: 1, Step: 7, Random: random,
			Adam:    &Adam{Steps: 5, First: randomParameters(s, r, 1e-3), Second: randomParameters(s, r, 1e-9)},
			Running: Running{Weights: Sums{1, 2, 3, 4.5}, Architecture: Sums{6, 7, 8, 9.25}, Seconds: r.Float64()},
		},
		Lowerings: map[string]string{"depthwise_k3_c12_s1_r8": "taps"},
	}
	for i, name := range []string{"stem/weight", "stem/weight/velocity", "stem/running"} {
		dims := []int{i + 1, 2}
		data := make([]float32, 2*(i+1))
		for k := range data {
			data[k] = float32(r.NormFloat64())
		}
		c.Tensors = append(c.Tensors, supernet.NamedTensor{Name: name, Dims: dims, Data: data})
	}
	return c
}

func TestCheckpointsAreReadAsWritten(t *testing.T) {
	for seed := range uint64(20) {
		c := randomCheckpoint(t, seed)
		file := filepath.Join(t.TempDir(), "c.safetensors")
		if err := c.Write(file); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCheckpoint(file, testIdentity)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
	}
}

func TestCheckpointsOfOtherRunsAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.safetensors")
	if err := randomCheckpoint(t, 1).Write(file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(i *Identity)
		want   string
	}{
		{func(i *Identity) { i.Space = "another" }, `differs in space ("a space" there, "another" here); `},
		{func(i *Identity) { i.Table = "a tablet" }, `differs in table ("table" there, "tablet" here); `},
		{func(i *Identity) { i.Data = "" }, `differs in data ("images" there, "" here); `},
		{func(i *Identity) { i.Config = "Seed:1 Rate:0.2" }, `differs in configuration ("Rate:0.1" there, "Rate:0.2" here); `},
		{func(i *Identity) { i.Runtime = "go v1 " + strings.Repeat("x", 50) }, `differs in runtime ("v1" there, "v1 ` + strings.Repeat("x", 37) + `"… here); `},
		{func(i *Identity) { i.Space, i.Data = "b", "c" }, `differs in space ("a space" there, "b" here), data ("images" there, "c" here); start a new run`},
	} {
		want := testIdentity
		c.change(&want)
		_, err := ReadCheckpoint(file, want)
		if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), file+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestDamagedCheckpointsAreRefused(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "c.safetensors")
	if err := randomCheckpoint(t, 1).Write(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(what string, data []byte, want string) {
		t.Helper()
		path := filepath.Join(folder, "damaged")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadCheckpoint(path, testIdentity)
		if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	damaged("empty", nil, "damaged")
	for _, n := range []int{4, 100, len(data) / 2, len(data) - 1} {
		damaged("truncated", data[:n], "damaged")
	}
	// Any single byte that changes is noticed.
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		changed := append([]byte(nil), data...)
		changed[r.IntN(len(changed))] ^= 1 << r.IntN(8)
		path := filepath.Join(folder, "changed")
		if err := os.WriteFile(path, changed, 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadCheckpoint(path, testIdentity); err == nil {
			// But for spaces that fill the header up.
			if whole, wrong := ReadCheckpoint(file, testIdentity); wrong != nil || !cmp.Equal(whole, got) {
				t.Fatal("a changed byte was not noticed")
			}
		}
	}

	// What is written whole, but is not a checkpoint or not one that this program can read.
	f, err := safetensors.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	rewritten := func(what string, change func(metadata map[string]string, state map[string]json.RawMessage), want string) {
		t.Helper()
		metadata := map[string]string{}
		for k, v := range f.Metadata {
			metadata[k] = v
		}
		var state map[string]json.RawMessage
		if err := json.Unmarshal([]byte(metadata["state"]), &state); err != nil {
			t.Fatal(err)
		}
		change(metadata, state)
		if _, ok := metadata["state"]; ok {
			text, err := json.Marshal(state)
			if err != nil {
				t.Fatal(err)
			}
			metadata["state"] = string(text)
		}
		path := filepath.Join(folder, "rewritten")
		if err := safetensors.Write(path, safetensors.File{Metadata: metadata, Tensors: f.Tensors}); err != nil {
			t.Fatal(err)
		}
		_, err := ReadCheckpoint(path, testIdentity)
		if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	set := func(field, value string) func(map[string]string, map[string]json.RawMessage) {
		return func(_ map[string]string, state map[string]json.RawMessage) { state[field] = json.RawMessage(value) }
	}
	rewritten("weights", func(m map[string]string, _ map[string]json.RawMessage) { m["kind"] = "densenas.weights" }, "densenas.weights")
	rewritten("a newer one", func(m map[string]string, _ map[string]json.RawMessage) { m["schema_version"] = "3" }, "made by a newer densenas")
	rewritten("an older one", func(m map[string]string, _ map[string]json.RawMessage) { m["schema_version"] = "1" }, "has schema version 1, this densenas reads 2: version 2 has a factor for every objective")
	rewritten("no version", func(m map[string]string, _ map[string]json.RawMessage) { delete(m, "schema_version") }, "schema version 0")
	rewritten("no state", func(m map[string]string, _ map[string]json.RawMessage) { delete(m, "state") }, "(state)")
	rewritten("no random state", func(_ map[string]string, s map[string]json.RawMessage) { delete(s, "random") }, "random")
	rewritten("a random state of something else", set("random", `"xyz"`), "random")
	rewritten("an unknown field", set("extra", `1`), "extra")
	rewritten("a third pass", set("pass", `2`), "out of range")
	rewritten("an epoch before the first", set("epoch", `-1`), "out of range")
	rewritten("no parameters", set("parameters", `{}`), "(parameters)")
}

// FuzzReadCheckpoint changes the state of a checkpoint whose checksum is right: what is accepted can be resumed from, or is
// refused there, and is written as it was read.
func FuzzReadCheckpoint(f *testing.F) {
	file := filepath.Join(f.TempDir(), "c.safetensors")
	if err := randomCheckpoint(f, 1).Write(file); err != nil {
		f.Fatal(err)
	}
	seed, err := safetensors.Read(file)
	if err != nil {
		f.Fatal(err)
	}
	state := seed.Metadata["state"]
	f.Add("densenas.checkpoint", "2", state)
	f.Add("densenas.checkpoint", "2", strings.Replace(state, `"epoch":3`, `"epoch":1e3`, 1))
	f.Add("densenas.checkpoint", "2", strings.Replace(state, `"random":"`, `"random":"0`, 1))
	f.Add("densenas.checkpoint", "x", `{"identity":{}}`)
	f.Add("densenas.weights", "1", "")
	s := randomSpace(f, rand.New(rand.NewPCG(1, 0)))
	f.Fuzz(func(t *testing.T, kind, version, state string) {
		in := safetensors.File{Metadata: map[string]string{"kind": kind, "schema_version": version, "state": state}, Tensors: seed.Tensors}
		c, err := parseCheckpoint("c", in)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput {
				t.Fatalf("code %d: %v", exit.Code(err), err)
			}
			return
		}
		_ = (&Search{Space: s, Options: good()}).Resume(c.State)
		file := filepath.Join(t.TempDir(), "c.safetensors")
		if err := c.Write(file); err != nil {
			t.Fatal(err)
		}
		again, err := ReadAnyCheckpoint(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("(-read +written and read):\n%s", diff)
		}
	})
}
