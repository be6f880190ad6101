package search

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/safetensors"
	"densenas/supernet"
	"densenas/supernet/space"
)

const (
	checkpointKind    = "densenas.checkpoint"
	checkpointVersion = 2 // version 1 had one factor
)

// Identity names everything that a checkpoint is only good for. Fields are opaque texts; two runs match where all are equal.
type Identity struct {
	Space string `json:"space"` // fingerprint of the space as trained
	// Architecture is the digest of the network that is trained, where it is one.
	Architecture string `json:"architecture,omitempty"`
	Table        string `json:"table"`   // identities of the lookup tables
	Data         string `json:"data"`    // identity of the data set
	Config       string `json:"config"`  // of the configuration
	Runtime      string `json:"runtime"` // name and version of the runtime
}

// differences lists the fields in which two identities differ.
func (a Identity) differences(b Identity) []string {
	var out []string
	for _, f := range []struct{ name, a, b string }{
		{"space", a.Space, b.Space}, {"architecture", a.Architecture, b.Architecture}, {"table", a.Table, b.Table}, {"data", a.Data, b.Data},
		{"configuration", a.Config, b.Config}, {"runtime", a.Runtime, b.Runtime},
	} {
		if f.a != f.b {
			there, here := apart(f.a, f.b)
			out = append(out, fmt.Sprintf("%s (%s there, %s here)", f.name, there, here))
		}
	}
	return out
}

// apart returns what two texts hold from the first word on in which they differ, cut short.
func apart(a, b string) (string, string) {
	word := 0 // where it begins
	for i := 0; i < min(len(a), len(b)) && a[i] == b[i]; i++ {
		if a[i] == ' ' {
			word = i + 1
		}
	}
	brief := func(s string) string {
		if len(s) > word+40 {
			return fmt.Sprintf("%.40q…", s[word:])
		}
		return strconv.Quote(s[word:])
	}
	return brief(a), brief(b)
}

// Checkpoint is all of a search's state.
type Checkpoint struct {
	Identity Identity
	State    State
	// Lowerings are those chosen by timing: a run continues with the same.
	Lowerings map[string]string
	// Tensors is the super network's state.
	Tensors []supernet.NamedTensor
}

// checkpointState is the JSON form of the state in the metadata.
type checkpointState struct {
	Identity   Identity          `json:"identity"`
	Parameters json.RawMessage   `json:"parameters"`
	AdamSteps  int               `json:"adam_steps"`
	AdamFirst  json.RawMessage   `json:"adam_first"`
	AdamSecond json.RawMessage   `json:"adam_second"`
	Factors    []float64         `json:"factors"` // of the objectives
	Epoch      int               `json:"epoch"`
	Pass       int               `json:"pass"`
	Step       int               `json:"step"`
	Random     string            `json:"random"` // hexadecimal
	Running    Running           `json:"running"`
	Lowerings  map[string]string `json:"lowerings"`
}

// Write writes the checkpoint, atomically: what stood at path stays whole until the new one is.
func (c *Checkpoint) Write(path string) error {
	s := checkpointState{
		Identity: c.Identity, AdamSteps: c.State.Adam.Steps, Factors: c.State.Factors, Epoch: c.State.Epoch, Pass: c.State.Pass,
		Step: c.State.Step, Random: hex.EncodeToString(c.State.Random), Running: c.State.Running, Lowerings: c.Lowerings,
	}
	for _, p := range []struct {
		from *space.Parameters
		to   *json.RawMessage
	}{{c.State.Parameters, &s.Parameters}, {c.State.Adam.First, &s.AdamFirst}, {c.State.Adam.Second, &s.AdamSecond}} {
		text, err := json.Marshal(p.from)
		if err != nil {
			return err
		}
		*p.to = text
	}
	return writeState(path, checkpointKind, checkpointVersion, s, c.Tensors)
}

// writeState writes a state, which becomes JSON in the metadata, and tensors, atomically.
func writeState(path, kind string, version int, state any, tensors []supernet.NamedTensor) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	f := safetensors.File{Metadata: map[string]string{"kind": kind, "schema_version": strconv.Itoa(version), "state": string(text)}}
	for _, t := range tensors {
		f.Tensors = append(f.Tensors, safetensors.Tensor(t))
	}
	return safetensors.Write(path, f)
}

// readState reads what writeState wrote, but for the tensors.
func readState(path string, f safetensors.File, kind string, version int, state any) error {
	written, _ := strconv.Atoi(f.Metadata["schema_version"])
	header := files.Header{Kind: f.Metadata["kind"], SchemaVersion: written}
	if err := header.Check(path, kind, version); err != nil {
		return err
	}
	return files.DecodeJSON(path+" (state)", []byte(f.Metadata["state"]), state)
}

// tensorsOf are the tensors of a file.
func tensorsOf(f safetensors.File) []supernet.NamedTensor {
	var out []supernet.NamedTensor
	for _, t := range f.Tensors {
		out = append(out, supernet.NamedTensor(t))
	}
	return out
}

// The ways out where a checkpoint is of no use.
const (
	searchAnew = "start a new run in another folder"
	trainAnew  = "remove it to train from the start, or name another -o"
)

// checkSame refuses a checkpoint of another run than want, saying what differs.
func (a Identity) checkSame(path string, want Identity, way string) error {
	if d := a.differences(want); len(d) > 0 {
		return exit.BadInput("%s: the checkpoint is of another run: it differs in %s; %s", path, strings.Join(d, ", "), way)
	}
	return nil
}

// ReadCheckpoint reads a checkpoint and refuses one of another run than want, saying what differs. Whether its parameters
// and tensors fit the space is for [Search.Resume] and [supernet.Network.SetState] to say.
func ReadCheckpoint(path string, want Identity) (*Checkpoint, error) {
	c, err := ReadAnyCheckpoint(path)
	if err == nil {
		err = c.Identity.checkSame(path, want, searchAnew)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ReadAnyCheckpoint reads the checkpoint of any run.
func ReadAnyCheckpoint(path string) (*Checkpoint, error) {
	f, err := safetensors.Read(path)
	if err != nil {
		return nil, err
	}
	return parseCheckpoint(path, f)
}

func parseCheckpoint(path string, f safetensors.File) (*Checkpoint, error) {
	if f.Metadata["kind"] == checkpointKind && f.Metadata["schema_version"] == "1" {
		return nil, exit.BadInput("%s: has schema version 1, this densenas reads %d: version 2 has a factor for every objective; %s, or continue with the densenas that wrote it",
			path, checkpointVersion, searchAnew)
	}
	var s checkpointState
	if err := readState(path, f, checkpointKind, checkpointVersion, &s); err != nil {
		return nil, err
	}
	random, err := hex.DecodeString(s.Random)
	if err != nil {
		return nil, exit.BadInput("%s: random: %w; %s", path, err, searchAnew)
	}
	c := &Checkpoint{Identity: s.Identity, Lowerings: s.Lowerings, Tensors: tensorsOf(f), State: State{
		Adam: &Adam{Steps: s.AdamSteps}, Factors: s.Factors, Epoch: s.Epoch, Pass: s.Pass, Step: s.Step, Random: random, Running: s.Running,
	}}
	for _, p := range []struct {
		name string
		from json.RawMessage
		to   **space.Parameters
	}{
		{"parameters", s.Parameters, &c.State.Parameters}, {"adam_first", s.AdamFirst, &c.State.Adam.First},
		{"adam_second", s.AdamSecond, &c.State.Adam.Second},
	} {
		if *p.to, err = space.ParseParameters(path+" ("+p.name+")", p.from); err != nil {
			return nil, err
		}
	}
	if s.Epoch < 0 || s.Pass < 0 || s.Pass > 1 || s.Step < 0 || s.AdamSteps < 0 {
		return nil, exit.BadInput("%s: the position %d, %d, %d is out of range; %s", path, s.Epoch, s.Pass, s.Step, searchAnew)
	}
	return c, nil
}
