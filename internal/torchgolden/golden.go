// Package torchgolden holds steps of a small super network as PyTorch computed them, for the tests that compare.
//
// make.py is a super network of its own, written for PyTorch's convolutions, batch norm, automatic derivatives and
// optimizers. It runs two architecture steps and three weight steps on the space of testdata/space.yaml and writes all that
// they start from and come to into testdata/golden.json: make it again by
//
//	pip install torch numpy && python3 internal/torchgolden/make.py
//
// PyTorch computes in float64. Tensors have densenas's names and layouts.
package torchgolden

import (
	"embed"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gomlx/compute"

	"densenas/internal/files"
	"densenas/supernet"
	"densenas/supernet/op"
	"densenas/supernet/space"
)

//go:embed testdata
var testdata embed.FS

const (
	kind    = "densenas.torchgolden"
	version = 1
)

// Golden is what the steps start from, and the steps.
type Golden struct {
	files.Header
	Torch string `json:"torch"` // version

	Images  []float32            `json:"images"` // [batch, resolution, resolution, channels]
	Labels  []int32              `json:"labels"`
	Weights map[string][]float32 `json:"weights"` // by place and name, such as "block1/layer0/mbconv_k3_t3/expand"

	SGD struct {
		Rate        float64 `json:"rate"`
		Momentum    float64 `json:"momentum"`
		WeightDecay float64 `json:"weight_decay"`
	} `json:"sgd"`
	NormMomentum float64 `json:"norm_momentum"`
	Adam         struct {
		Rate        float64 `json:"rate"`
		Beta1       float64 `json:"beta1"`
		Beta2       float64 `json:"beta2"`
		WeightDecay float64 `json:"weight_decay"`
	} `json:"adam"`
	// The loss of an architecture step is cross entropy + factor · log(cost in ms)/log(base).
	Base   float64 `json:"base"`
	Factor float64 `json:"factor"`
	Costs  struct {
		StemAndFirstMS float64       `json:"stem_and_first_ms"`
		HeadMS         [][][]float64 `json:"head_ms"`  // block-1, incoming connection, candidate
		StackMS        [][][]float64 `json:"stack_ms"` // block-1, stacked layer, candidate
		FinalMS        []float64     `json:"final_ms"`
		ClassifierMS   float64       `json:"classifier_ms"`
		CallMS         float64       `json:"call_ms"`
	} `json:"costs"`
	Logits Logits `json:"logits"`

	// The architecture steps come first, then the weight steps.
	ArchitectureSteps []ArchitectureStep `json:"architecture_steps"`
	WeightSteps       []WeightStep       `json:"weight_steps"`
}

// Logits are architecture parameters, or what belongs to each of them.
type Logits struct {
	Beta       [][]float64   `json:"beta"`
	AlphaHead  [][][]float64 `json:"alpha_head"`
	AlphaStack [][][]float64 `json:"alpha_stack"`
}

// Pick is a sampled candidate, and its weight in the layer.
type Pick struct {
	Candidate int     `json:"candidate"`
	Weight    float64 `json:"weight"`
}

// Choice is what a step runs: picks by block-1 and incoming connection or stacked layer, and path probabilities by block and
// outgoing connection.
type Choice struct {
	Head  [][][]Pick  `json:"head"`
	Stack [][][]Pick  `json:"stack"`
	Beta  [][]float64 `json:"beta"`
}

// ArchitectureStep is a step that moves the logits alone.
type ArchitectureStep struct {
	Choice  Choice  `json:"choice"`
	Loss    float64 `json:"loss"`    // cross entropy
	Correct int     `json:"correct"` // answers
	// Products are the derivatives of the cross entropy by what the outputs are multiplied with.
	Products struct {
		Head  [][][]float64 `json:"head"`
		Stack [][][]float64 `json:"stack"`
		Final []float64     `json:"final"`
	} `json:"products"`
	CostMS   float64 `json:"cost_ms"`
	Gradient Logits  `json:"gradient"` // of the whole loss, without weight decay
	After    Logits  `json:"after"`    // behind Adam and rescaling
}

// WeightStep is a step that moves the weights alone.
type WeightStep struct {
	Choice  Choice  `json:"choice"`
	Loss    float64 `json:"loss"`
	Correct int     `json:"correct"`
	// Of the first step alone: the gradients by the weights that it runs, without weight decay; and the running statistics of
	// their batch norms behind it, for each its means, then its variances.
	Gradients map[string][]float64 `json:"gradients,omitempty"`
	Running   map[string][]float64 `json:"running,omitempty"`
}

// Read returns the file and its space.
func Read(t testing.TB) (*Golden, *space.Space) {
	t.Helper()
	read := func(name string) []byte {
		data, err := testdata.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	g := &Golden{}
	if err := files.DecodeJSONKind("golden.json", read("golden.json"), kind, version, g); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "space.yaml")
	if err := os.WriteFile(path, read("space.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := space.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return g, s
}

// Network returns a super network with the weights that the steps start from, until the end of the test.
func (g *Golden) Network(t testing.TB, b compute.Backend, s *space.Space) *supernet.Network {
	t.Helper()
	n, err := supernet.New(b, s, supernet.Options{
		Batch: len(g.Labels), Momentum: g.SGD.Momentum, WeightDecay: g.SGD.WeightDecay, NormMomentum: g.NormMomentum,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Finalize)
	var state []supernet.NamedTensor
	place := func(name string, o space.Op) {
		for _, p := range op.TrainingParameters(o, false) {
			state = append(state, supernet.NamedTensor{Name: name + "/" + p.Name, Dims: p.Dims, Data: g.Weights[name+"/"+p.Name]})
		}
		if size := op.StatisticsSize(o); size > 0 {
			state = append(state, supernet.NamedTensor{Name: name + "/running", Dims: []int{1, size}, Data: op.InitialStatistics(o)})
		}
	}
	place("stem", s.StemOp())
	place("first", s.FirstOp())
	for j := 1; j < len(s.Blocks); j++ {
		for _, c := range s.Incoming(j) {
			for k, o := range s.HeadOps(c) {
				place(fmt.Sprintf("block%d/connection%d/%s", j, c.Incoming, s.HeadCandidates[k]), o)
			}
		}
		for l := range s.Blocks[j].Layers {
			for k, o := range s.StackOps(j) {
				place(fmt.Sprintf("block%d/layer%d/%s", j, l, s.StackCandidates[k]), o)
			}
		}
	}
	for _, c := range s.Incoming(len(s.Blocks)) {
		place(fmt.Sprintf("final/connection%d", c.Incoming), s.FinalOp(c))
	}
	place("classifier", s.ClassifierOp())
	if err := n.SetState(state); err != nil {
		t.Fatal(err)
	}
	return n
}

// Batch is the batch of every step.
func (g *Golden) Batch() supernet.Batch {
	return supernet.Batch{Images: g.Images, Labels: g.Labels, Valid: len(g.Labels)}
}

// Of is the choice as the super network takes it.
func (c Choice) Of() *supernet.Choice {
	layers := func(blocks [][][]Pick) [][][]supernet.Pick {
		out := make([][][]supernet.Pick, len(blocks))
		for j, block := range blocks {
			out[j] = make([][]supernet.Pick, len(block))
			for i, picks := range block {
				for _, p := range picks {
					out[j][i] = append(out[j][i], supernet.Pick(p))
				}
			}
		}
		return out
	}
	return &supernet.Choice{Head: layers(c.Head), Stack: layers(c.Stack), Beta: c.Beta}
}

// Compare reports values that differ by more than 1e-4 of the largest that PyTorch has.
func Compare(t testing.TB, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, PyTorch has %d", what, len(got), len(want))
		return
	}
	scale := 0.0
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-4*scale) {
			t.Errorf("%s: value %d of %d is %.7g, PyTorch has %.7g; the largest there is %.3g", what, i, len(want), got[i], want[i], scale)
			return
		}
	}
}
