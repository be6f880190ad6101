package search

import (
	"math"
	"testing"

	"densenas/internal/backends/backendstest"
	"densenas/internal/torchgolden"
	"densenas/search/objective"
	"densenas/supernet/space"
)

// TestArchitectureStepsAgreeWithPyTorch runs the architecture steps of the golden file on the super network: the gradient of
// every logit, cost included, and the logits behind Adam and rescaling. Package supernet holds what the network computes, on XLA too.
func TestArchitectureStepsAgreeWithPyTorch(t *testing.T) {
	g, trained := torchgolden.Read(t)
	logits := func(l torchgolden.Logits) *space.Parameters {
		return &space.Parameters{Space: trained.Name, Beta: l.Beta, AlphaHead: l.AlphaHead, AlphaStack: l.AlphaStack}
	}
	costs := &objective.Costs{
		Space: trained, StemAndFirst: g.Costs.StemAndFirstMS, Head: append([][][]float64{nil}, g.Costs.HeadMS...),
		Stack: append([][][]float64{nil}, g.Costs.StackMS...), Final: g.Costs.FinalMS, Classifier: g.Costs.ClassifierMS, Call: g.Costs.CallMS,
	}
	o := good()
	o.Adam = AdamOptions{Rate: g.Adam.Rate, Beta1: g.Adam.Beta1, Beta2: g.Adam.Beta2, WeightDecay: g.Adam.WeightDecay}
	s := &Search{Space: trained, Objectives: []Objective{{Costs: costs, Base: g.Base, Factor: g.Factor}}, Engine: g.Network(t, backendstest.Go(t).Backend, trained), Options: o}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.state.Parameters = clone(logits(g.Logits))
	for _, step := range g.ArchitectureSteps {
		torchgolden.Compare(t, "cost", s.expected(), []float64{step.CostMS})
		choice := step.Choice.Of()
		mix(s.Space, choice, s.state.Parameters)
		for i, picks := range picksOf(choice) {
			for k, pick := range picks {
				if want := picksOf(step.Choice.Of())[i][k].Weight; math.Abs(pick.Weight-want) > 1e-5 {
					t.Errorf("layer %d: pick %+v, PyTorch has a weight of %.6g", i, pick, want)
				}
			}
		}
		before, mean := flatten(s.state.Parameters), flatten(s.state.Adam.First)
		r, err := s.architectureStepOf(g.Batch(), choice)
		if err != nil {
			t.Fatal(err)
		}
		torchgolden.Compare(t, "loss", []float64{r.Loss}, []float64{step.Loss})
		// What Adam was given, without decay.
		gradient := flatten(s.state.Adam.First)
		for i := range gradient {
			gradient[i] = (gradient[i]-o.Adam.Beta1*mean[i])/(1-o.Adam.Beta1) - o.Adam.WeightDecay*before[i]
		}
		torchgolden.Compare(t, "gradient", gradient, flatten(logits(step.Gradient)))
		moved, want := flatten(s.state.Parameters), flatten(logits(step.After))
		for i := range before {
			moved[i], want[i] = moved[i]-before[i], want[i]-before[i]
		}
		torchgolden.Compare(t, "steps of the logits", moved, want)
	}
}
