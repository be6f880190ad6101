package search

import (
	"fmt"
	"math"
	"slices"

	"densenas/internal/exit"
	"densenas/search/objective"
	"densenas/supernet"
	"densenas/supernet/network"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

// Inherit takes the weights of a's layers out of a search's checkpoint; s is the space that was searched, and that a comes out of.
// Batch norm, which has no scale and offset in a super network, gets those of [op.TrainingParameters]. Layers that the search has not
// trained, and a classifier of another shape, have no weights. Errors are bad input.
//
// An architecture does not say which of a block's layers were skipped. The layers that are left take the places that the checkpoint's
// architecture parameters find most probable, which are those that they were derived from.
func Inherit(a *space.Architecture, s *space.Space, c *Checkpoint) ([]network.Weights, error) {
	if a.Space != s.Name {
		return nil, exit.BadInput("the architecture comes out of space %q, the search was of %q; name the run that it was derived from", a.Space, s.Name)
	}
	if err := c.State.Parameters.Check(s); err != nil {
		return nil, exit.AsBadInput(err)
	}
	found, err := locate(a, s, c.State.Parameters)
	if err != nil {
		return nil, exit.BadInput("the architecture is none of space %s: %w; name the run that it was derived from", s.Name, err)
	}
	places := found.places(s)
	byName := make(map[string]supernet.NamedTensor, len(c.Tensors))
	for _, t := range c.Tensors {
		byName[t.Name] = t
	}
	layers := make([]network.Weights, len(places))
	for i, o := range a.Ops() {
		layers[i] = inherited(o, places[i], byName)
	}
	return layers, nil
}

// inherited are the weights of an operation at a place; none where a tensor is missing or of another shape.
func inherited(o space.Op, place string, byName map[string]supernet.NamedTensor) network.Weights {
	var w network.Weights
	for _, p := range op.TrainingParameters(o, true) {
		t, ok := byName[place+"/"+p.Name]
		switch {
		case ok && slices.Equal(t.Dims, p.Dims):
			w.Params = append(w.Params, t.Data)
		case ok || p.Deviation > 0:
			return network.Weights{}
		default:
			w.Params = append(w.Params, slices.Repeat([]float32{float32(p.Value)}, p.Size()))
		}
	}
	if n := op.StatisticsSize(o); n > 0 {
		t, ok := byName[place+"/running"]
		if !ok || len(t.Data) != n {
			return network.Weights{}
		}
		w.Statistics = t.Data
	}
	return w
}

// located is where the layers of an architecture are in the super network of its space.
type located struct {
	connections []space.Connection // of the path, the last to the final 1×1 convolution
	heads       []int              // candidates of all connections but the last
	layers      [][]int            // of each block behind the first, the stacked layers that are not skipped, in ascending order
	kept        [][]int            // their candidates
	final       bool               // whether there is a final 1×1 convolution
}

// locate finds an architecture in the super network of s with the parameters p.
func locate(a *space.Architecture, s *space.Space, p *space.Parameters) (*located, error) {
	at, err := s.WithResolution(a.Resolution)
	if err != nil {
		return nil, err
	}
	at = at.WithClasses(a.Classes)
	ops := a.Ops()
	entry := at.EntryOps()
	if len(ops) < len(entry) {
		return nil, fmt.Errorf("it has %d layers", len(ops))
	}
	for i, want := range entry {
		if ops[i] != want {
			return nil, fmt.Errorf("layer %d is %s, not %s", i, ops[i].Key(), want.Key())
		}
	}
	ops = ops[len(entry):]
	found := new(located)
	for i := range a.Path {
		to := len(s.Blocks)
		if i+1 < len(a.Path) {
			to = a.Path[i+1]
		}
		incoming := slices.IndexFunc(at.Incoming(to), func(c space.Connection) bool { return c.From == a.Path[i] })
		if incoming < 0 {
			return nil, fmt.Errorf("no connection leads from block %d to %d", a.Path[i], to)
		}
		connection := at.Incoming(to)[incoming]
		found.connections = append(found.connections, connection)
		if to == len(s.Blocks) {
			end := at.EndOps(connection)
			if !slices.Equal(ops, end) {
				return nil, fmt.Errorf("it does not end with %s", end[len(end)-1].Key())
			}
			found.final = len(end) > 1
			break
		}
		candidate := slices.Index(at.HeadOps(connection), ops[0])
		if candidate < 0 {
			return nil, fmt.Errorf("%s is no candidate between blocks %d and %d", ops[0].Key(), a.Path[i], to)
		}
		ops = ops[1:]
		found.heads = append(found.heads, candidate)
		var kept []int // candidates of the stacked layers that are there
		for _, l := range a.Layers[len(a.Layers)-len(ops):] {
			if l.Block != to {
				break
			}
			candidate := slices.Index(at.StackOps(to), l.Op)
			if candidate < 0 {
				return nil, fmt.Errorf("%s is no candidate of block %d", l.Op.Key(), to)
			}
			kept = append(kept, candidate)
		}
		layers, err := stackLayers(s, p.AlphaStack[to-1], kept)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", to, err)
		}
		found.layers, found.kept = append(found.layers, layers), append(found.kept, kept)
		ops = ops[len(kept):]
	}
	return found, nil
}

// places names the place of every layer.
func (l *located) places(s *space.Space) []string {
	places := []string{supernet.StemPlace}
	if s.HasFirst() {
		places = append(places, supernet.FirstPlace)
	}
	for i, c := range l.connections {
		if i == len(l.heads) {
			if l.final {
				places = append(places, supernet.FinalPlace(c))
			}
			break
		}
		places = append(places, supernet.HeadPlace(c, s.HeadCandidates[l.heads[i]]))
		for k, layer := range l.layers[i] {
			places = append(places, supernet.StackPlace(c.To, layer, s.StackCandidates[l.kept[i][k]]))
		}
	}
	return append(places, supernet.ClassifierPlace)
}

// stackLayers finds the most probable layers, in ascending order, for the candidates that are left of a block when the other layers are
// skipped. Of equals the first layers count.
func stackLayers(s *space.Space, alpha [][]float64, kept []int) ([]int, error) {
	skip := slices.IndexFunc(s.StackCandidates, func(c space.Candidate) bool { return c.Kind == space.Skip })
	if len(kept) > len(alpha) || len(kept) < len(alpha) && skip < 0 {
		return nil, fmt.Errorf("it has %d stacked layers, space %s has %d", len(kept), s.Name, len(alpha))
	}
	// best[layer][k]: of the layers from this on, when they hold what is kept from k on.
	best := make([][]float64, len(alpha)+1)
	for layer := range best {
		best[layer] = slices.Repeat([]float64{math.Inf(-1)}, len(kept)+1)
	}
	best[len(alpha)][len(kept)] = 0
	// choices gives what a layer adds by being skipped and by holding what is kept at k.
	choices := func(layer, k int) (skipped, held float64) {
		row := objective.LogSoftmax(alpha[layer])
		skipped, held = math.Inf(-1), math.Inf(-1)
		if skip >= 0 {
			skipped = row[skip] + best[layer+1][k]
		}
		if k < len(kept) {
			held = row[kept[k]] + best[layer+1][k+1]
		}
		return skipped, held
	}
	for layer := len(alpha) - 1; layer >= 0; layer-- {
		for k := range best[layer] {
			skipped, held := choices(layer, k)
			best[layer][k] = max(skipped, held)
		}
	}
	var layers []int
	for layer, k := 0, 0; layer < len(alpha); layer++ {
		if skipped, held := choices(layer, k); held >= skipped && k < len(kept) {
			layers, k = append(layers, layer), k+1
		}
	}
	return layers, nil
}
