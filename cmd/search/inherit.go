package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"densenas/internal/exit"
	"densenas/search"
	"densenas/search/rundir"
	"densenas/supernet/network"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// inheritWeights takes the weights of a's layers out of the super network of a run, and a digest of them.
func inheritWeights(folder string, a *space.Architecture, stderr io.Writer) (layers []network.Weights, digest string, err error) {
	config, err := rundir.ReadConfig(folder)
	if err != nil {
		return nil, "", err
	}
	s, err := space.Load(config.Space)
	if err != nil {
		return nil, "", err
	}
	if s.Fingerprint() != config.SpaceFingerprint {
		return nil, "", exit.BadInput("%s: space %s has changed since that run; put the file back", folder, config.Space)
	}
	c, err := search.ReadAnyCheckpoint(checkpointPath(folder))
	if err != nil {
		return nil, "", err
	}
	if layers, err = search.Inherit(a, s, c); err != nil {
		return nil, "", fmt.Errorf("--inherit %s: %w", folder, err)
	}
	hash := sha256.New()
	have, all := 0, 0
	for i, o := range a.Ops() {
		if len(op.TrainingParameters(o, true)) == 0 {
			continue
		}
		all++
		if layers[i].Params != nil {
			have++
		}
		fmt.Fprintf(hash, "layer %d\n", i)
		for _, values := range append(layers[i].Params[:len(layers[i].Params):len(layers[i].Params)], layers[i].Statistics) {
			if err := binary.Write(hash, binary.LittleEndian, values); err != nil {
				return nil, "", err
			}
		}
	}
	fmt.Fprintf(stderr, "%d of %d layers begin with the weights of %s after %d of %d epochs\n", have, all, folder, c.State.Epoch, config.Epochs)
	return layers, hex.EncodeToString(hash.Sum(nil)), nil
}
