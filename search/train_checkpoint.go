package search

import (
	"densenas/internal/exit"
	"densenas/internal/safetensors"
	"densenas/supernet"
)

const (
	trainCheckpointKind    = "densenas.training"
	trainCheckpointVersion = 1
)

// TrainState is where the training of a network stands.
type TrainState struct {
	// Epoch and Step say which batch comes next.
	Epoch int `json:"epoch"`
	Step  int `json:"step"`
	// Running sums up the epoch so far; at the end of the training, the last epoch.
	Running Sums `json:"running"`
}

// TrainCheckpoint is all of a training's state.
type TrainCheckpoint struct {
	Identity Identity
	State    TrainState
	// Lowerings are those chosen by timing.
	Lowerings map[string]string
	// Tensors are the weights, their momentum, and the statistics of batch norm.
	Tensors []supernet.NamedTensor
}

// trainCheckpointState is the JSON form of the state in the metadata.
type trainCheckpointState struct {
	Identity  Identity          `json:"identity"`
	State     TrainState        `json:"state"`
	Lowerings map[string]string `json:"lowerings"`
}

// Write writes the checkpoint, atomically: what stood at path stays whole until the new one is.
func (c *TrainCheckpoint) Write(path string) error {
	return writeState(path, trainCheckpointKind, trainCheckpointVersion, trainCheckpointState{c.Identity, c.State, c.Lowerings}, c.Tensors)
}

// ReadTrainCheckpoint reads a checkpoint and refuses one of another training than want, saying what differs. Whether its tensors fit
// the architecture is for [network.Trainer.SetState] to say.
func ReadTrainCheckpoint(path string, want Identity) (*TrainCheckpoint, error) {
	f, err := safetensors.Read(path)
	if err != nil {
		return nil, err
	}
	c, err := parseTrainCheckpoint(path, f)
	if err == nil {
		err = c.Identity.checkSame(path, want, trainAnew)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func parseTrainCheckpoint(path string, f safetensors.File) (*TrainCheckpoint, error) {
	var s trainCheckpointState
	if err := readState(path, f, trainCheckpointKind, trainCheckpointVersion, &s); err != nil {
		return nil, err
	}
	if s.State.Epoch < 0 || s.State.Step < 0 {
		return nil, exit.BadInput("%s: the position %d, %d is out of range; %s", path, s.State.Epoch, s.State.Step, trainAnew)
	}
	return &TrainCheckpoint{s.Identity, s.State, s.Lowerings, tensorsOf(f)}, nil
}
