package search

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/search/dataset"
	"densenas/search/objective"
	"densenas/supernet"
	"densenas/supernet/space"

	"github.com/google/go-cmp/cmp"
)

// call is one step that a fake engine was asked for.
type call struct {
	architecture bool
	rate         float64
	images       []uint64 // their contents, hashed
	choice       *supernet.Choice
	loss         float64
}

// fakeEngine computes a loss from batch and choice alone, so that it has no state of its own.
type fakeEngine struct {
	space *space.Space
	calls []call
	// change, where given, has the last word on a step's loss.
	change func(step int, loss float64) (float64, error)
	// slope is the size of the loss's slope by the choice, 1 unless given; seed its direction.
	slope float64
	seed  uint64
	// extended are the numbers of steps before each [Engine.Extend].
	extended []int
}

func (e *fakeEngine) step(b supernet.Batch, c *supernet.Choice, made call) (supernet.Result, *supernet.Products, error) {
	size := len(b.Images) / len(b.Labels)
	for i := range b.Labels {
		h := fnv.New64a()
		fmt.Fprint(h, b.Images[i*size:(i+1)*size])
		made.images = append(made.images, h.Sum64())
	}
	loss, products := syntheticLoss(e.space, c, e.seed)
	loss *= e.slope
	scaleProducts(products, e.slope)
	loss = 10 + loss + float64(made.images[0]%1000)/1000
	var err error
	if e.change != nil {
		loss, err = e.change(len(e.calls)+1, loss)
	}
	made.choice, made.loss = c, loss
	e.calls = append(e.calls, made)
	return supernet.Result{Loss: loss, Correct: int(made.images[0] % uint64(b.Valid+1))}, products, err
}

func (e *fakeEngine) WeightStep(b supernet.Batch, c *supernet.Choice, rate float64) (supernet.Result, error) {
	r, _, err := e.step(b, c, call{rate: rate})
	return r, err
}

func (e *fakeEngine) ArchitectureStep(b supernet.Batch, c *supernet.Choice) (supernet.Result, *supernet.Products, error) {
	return e.step(b, c, call{architecture: true})
}

func (e *fakeEngine) Extend() error {
	e.extended = append(e.extended, len(e.calls))
	return nil
}

func scaleProducts(p *supernet.Products, by float64) {
	scale := func(row []float64) {
		for i := range row {
			row[i] *= by
		}
	}
	scale(p.Final)
	for _, tensor := range [][][][]float64{p.Head, p.Stack} {
		for _, block := range tensor {
			for _, row := range block {
				scale(row)
			}
		}
	}
}

// loopSpace has several candidates everywhere.
func loopSpace(t *testing.T) *space.Space {
	t.Helper()
	k := func(kernel int) space.Candidate {
		return space.Candidate{Kind: space.MBConv, Kernel: kernel, Expansion: 3}
	}
	s := &space.Space{
		Name: "loop", Resolution: 8, Channels: 1, Classes: 2, Forward: 2,
		Stem: space.StemLayer{Kernel: 3, Width: 4, Stride: 1}, First: space.Candidate{Kind: space.MBConv, Kernel: 3, Expansion: 1},
		HeadCandidates: []space.Candidate{k(3), k(5), k(7)}, StackCandidates: []space.Candidate{k(3), {Kind: space.Skip}, k(5)},
		Blocks: []space.Block{{Width: 4, Stride: 1}, {Width: 6, Stride: 2, Stage: 1, Layers: 2}, {Width: 8, Stride: 2, Stage: 1, Layers: 1}},
		Final:  space.FinalLayer{Width: 8, Stage: 1},
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Of 40 images of two classes, a quarter is held out: 15 batches of 4 for the weights, 5 for the architecture.
const (
	loopImages            = 40
	loopWeightSteps       = 15
	loopArchitectureSteps = 5
	loopSteps             = 3*loopWeightSteps + 2*loopArchitectureSteps
)

// newSearch is a search with a fake engine, at its start. Its only objective is a latency without a target, unless changes to it
// before the start say otherwise.
func newSearch(t *testing.T, data *dataset.Dataset, o Options, changes ...func(*Search)) (*Search, *fakeEngine) {
	t.Helper()
	s := loopSpace(t)
	engine := &fakeEngine{space: s, slope: 1, seed: 1}
	search := &Search{Space: s, Objectives: []Objective{latency(randomCosts(s, rand.New(rand.NewPCG(2, 2))))}, Data: data, Engine: engine, Options: o}
	for _, change := range changes {
		change(search)
	}
	if err := search.Start(); err != nil {
		t.Fatal(err)
	}
	return search, engine
}

func TestPhases(t *testing.T) {
	s, engine := newSearch(t, pictures(t, loopImages), good())
	// In the second phase nearly all probability is the first candidate's; in the first phase that does not count.
	for _, tensor := range [][][][]float64{s.state.Parameters.AlphaHead, s.state.Parameters.AlphaStack} {
		for _, block := range tensor {
			for _, row := range block {
				row[0] = 50
			}
		}
	}
	var progress []Progress
	var metrics []Metrics
	s.Progress = func(p Progress) { progress = append(progress, p) }
	s.EpochDone = func(m Metrics) error { metrics = append(metrics, m); return nil }
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}

	// Weights alone; then an architecture pass before each weight pass.
	var want []bool
	pass := func(architecture bool, steps int) {
		for range steps {
			want = append(want, architecture)
		}
	}
	pass(false, loopWeightSteps)
	for range 2 {
		pass(true, loopArchitectureSteps)
		pass(false, loopWeightSteps)
	}
	if len(engine.calls) != len(want) || len(want) != loopSteps {
		t.Fatalf("%d steps, want %d", len(engine.calls), len(want))
	}
	weightStep, others := 0, 0
	held, trained := map[uint64]int{}, map[uint64]int{}
	for i, c := range engine.calls {
		if c.architecture != want[i] {
			t.Fatalf("step %d: architecture %t, want %t", i, c.architecture, want[i])
		}
		picks, seen := 1, trained
		if c.architecture {
			picks, seen = 2, held
		} else {
			if rate := s.Options.cosine(weightStep, 3*loopWeightSteps); c.rate != rate {
				t.Errorf("step %d: rate %g, want %g", i, c.rate, rate)
			}
			weightStep++
		}
		for _, image := range c.images {
			seen[image]++
		}
		for _, layer := range picksOf(c.choice) {
			if len(layer) != picks {
				t.Fatalf("step %d: %d picks, want %d", i, len(layer), picks)
			}
			if layer[0].Candidate != 0 {
				if i >= loopWeightSteps {
					t.Errorf("step %d: picks %+v against all probability", i, layer)
				}
				others++
			}
		}
	}
	layers := len(picksOf(engine.calls[0].choice)) * loopWeightSteps
	if share := float64(others) / float64(layers); share < 0.5 || share > 0.8 {
		t.Errorf("in the first phase %.2f of the picks are not the first of three candidates, want 2/3", share)
	}

	// A pass sees every image of its part once, and the parts have none in common.
	if len(trained) != 60 || len(held) != 20 {
		t.Errorf("%d images for the weights, %d for the architecture, want 60 and 20", len(trained), len(held))
	}
	for image, n := range trained {
		if n != 3 || held[image] != 0 {
			t.Errorf("an image was used %d times for the weights, %d times for the architecture", n, held[image])
		}
	}
	for _, n := range held {
		if n != 2 {
			t.Errorf("an image was used %d times for the architecture, want 2", n)
		}
	}

	for epoch, before := range []int{0, loopWeightSteps, 2*loopWeightSteps + loopArchitectureSteps, loopSteps} {
		if total, got := s.Steps(epoch); total != loopSteps || got != before {
			t.Errorf("Steps(%d) = %d, %d, want %d, %d", epoch, total, got, loopSteps, before)
		}
	}
	for i, p := range progress {
		if p.Step != i+1 || p.Steps != loopSteps || p.Loss != engine.calls[i].loss || !(p.Expected[0] > 0) {
			t.Errorf("progress %d is %+v", i, p)
		}
	}
	if len(progress) != loopSteps || len(metrics) != 3 {
		t.Fatalf("%d reports of progress, %d of metrics", len(progress), len(metrics))
	}
	at := 0
	for i, m := range metrics {
		phase, architectureSteps := PhaseArchitecture, loopArchitectureSteps
		if i == 0 {
			phase, architectureSteps = PhaseWeights, 0
		}
		mean := func(steps int) float64 {
			sum := 0.0
			for range steps {
				sum += engine.calls[at].loss
				at++
			}
			return sum / float64(max(steps, 1))
		}
		held, trained := mean(architectureSteps), mean(loopWeightSteps)
		if m.Epoch != i || m.Phase != phase || m.Running.Weights.Steps != loopWeightSteps || m.Running.Architecture.Steps != architectureSteps ||
			m.Running.Weights.Images != 60 || math.Abs(m.Running.Weights.MeanLoss()-trained) > 1e-9 || math.Abs(m.Running.Architecture.MeanLoss()-held) > 1e-9 {
			t.Errorf("metrics of epoch %d are %+v, mean losses %g and %g", i, m, held, trained)
		}
		if a := m.Running.Weights.Accuracy(); a < 0 || a > 1 || m.Factors[0] != 0.15 {
			t.Errorf("epoch %d: accuracy %g, factors %g", i, a, m.Factors)
		}
	}
}

// TestSingleCandidateEpochs has epochs of one candidate, then of all, then of the architecture.
func TestSingleCandidateEpochs(t *testing.T) {
	o := good()
	o.Epochs, o.SingleCandidateEpochs, o.ArchitectureEpoch = 4, 1, 2
	// The base is the last of the head layers' candidates, and the first of the others'.
	s, engine := newSearch(t, pictures(t, loopImages), o, func(s *Search) { slices.Reverse(s.Space.HeadCandidates) })
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := []int{loopWeightSteps}; !slices.Equal(engine.extended, want) {
		t.Errorf("the others took over behind steps %d, want %d", engine.extended, want)
	}
	others := 0
	for i, c := range engine.calls[:2*loopWeightSteps] {
		for _, block := range c.choice.Head {
			for _, layer := range block {
				if last := len(s.Space.HeadCandidates) - 1; layer[0].Candidate != last {
					others++
				}
			}
		}
		for _, block := range c.choice.Stack {
			for _, layer := range block {
				if layer[0].Candidate != 0 {
					others++
				}
			}
		}
		if i < loopWeightSteps && others > 0 {
			t.Fatalf("step %d samples another candidate: %+v", i, c.choice)
		}
	}
	if others == 0 {
		t.Error("no other candidate was sampled after the first epoch")
	}

	s, engine = newSearch(t, pictures(t, loopImages), good())
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if engine.extended != nil {
		t.Errorf("without such epochs the others took over behind steps %d", engine.extended)
	}
}

// TestContinuing stops behind every step, keeps the state in a file, and continues in another search.
func TestContinuing(t *testing.T) {
	data := pictures(t, loopImages)
	o := good()
	objectives := func(s *Search) {
		s.Objectives[0].Target = 1.5
		s.Objectives = append(s.Objectives, Objective{Costs: objective.MultiplyAdds(s.Space), Base: 100, Factor: 0.2},
			Objective{Costs: objective.Parameters(s.Space), Base: 10, Target: 500})
	}
	type outcome struct {
		State   State
		Metrics []Metrics
		Losses  []float64
	}
	// finish runs to the end, or until after that many steps, and adds to what is there.
	finish := func(s *Search, engine *fakeEngine, out *outcome, steps int) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		s.Progress = func(p Progress) {
			if p.Step == steps {
				cancel()
			}
		}
		s.EpochDone = func(m Metrics) error {
			m.Running.Seconds = 0
			out.Metrics = append(out.Metrics, m)
			return nil
		}
		err := s.Run(ctx)
		for _, c := range engine.calls {
			out.Losses = append(out.Losses, c.loss)
		}
		out.State = s.State()
		return err
	}
	var whole outcome
	s, engine := newSearch(t, data, o, objectives)
	if err := finish(s, engine, &whole, -1); err != nil {
		t.Fatal(err)
	}
	for steps := 1; steps <= loopSteps; steps++ {
		var broken outcome
		s, engine := newSearch(t, data, o, objectives)
		if err := finish(s, engine, &broken, steps); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped behind step %d: %v", steps, err)
		}
		file := filepath.Join(t.TempDir(), "c.safetensors")
		if err := (&Checkpoint{State: s.State()}).Write(file); err != nil {
			t.Fatal(err)
		}
		c, err := ReadCheckpoint(file, Identity{})
		if err != nil {
			t.Fatal(err)
		}
		s, engine = newSearch(t, data, o, objectives)
		if err := s.Resume(c.State); err != nil {
			t.Fatal(err)
		}
		if err := finish(s, engine, &broken, -1); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, broken); diff != "" {
			t.Fatalf("stopped behind step %d (-whole +continued):\n%s", steps, diff)
		}
	}
}

func TestRunStops(t *testing.T) {
	data := pictures(t, loopImages)
	broken := errors.New("the device is gone")
	for _, step := range []int{1, loopWeightSteps + 2} {
		for name, c := range map[string]struct {
			loss float64
			err  error
			want string
		}{
			"no number": {math.NaN(), nil, "the loss is NaN at epoch "},
			"infinite":  {math.Inf(1), nil, "the loss is +Inf at epoch "},
			"an error":  {1, broken, broken.Error()},
		} {
			s, engine := newSearch(t, data, good())
			engine.change = func(n int, loss float64) (float64, error) {
				if n == step {
					return c.loss, c.err
				}
				return loss, nil
			}
			err := s.Run(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || len(engine.calls) != step {
				t.Errorf("%s at step %d: %v after %d steps", name, step, err, len(engine.calls))
			}
			var where *NonFiniteError
			if errors.As(err, &where) && (where.Epoch != s.state.Epoch || where.Pass != s.state.Pass || where.Step != s.state.Step) {
				t.Errorf("%s at step %d: the error says %+v, the state is at %d, %d, %d", name, step, *where, s.state.Epoch, s.state.Pass, s.state.Step)
			}
		}
	}
	s, engine := newSearch(t, data, good())
	s.EpochDone = func(Metrics) error { return broken }
	if err := s.Run(context.Background()); !errors.Is(err, broken) || len(engine.calls) != loopWeightSteps {
		t.Errorf("metrics that cannot be kept: %v after %d steps", err, len(engine.calls))
	}
	s, engine = newSearch(t, data, good())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) || len(engine.calls) != 0 {
		t.Errorf("cancelled: %v after %d steps", err, len(engine.calls))
	}
}

// The gradient that an architecture step hands to Adam is that of cross entropy + Σ factor · log(cost)/log(base) over the
// objectives without a target, with one objective and with several.
func TestArchitectureStepFollowsTheObjectives(t *testing.T) {
	for count := range 5 {
		s, engine := newSearch(t, pictures(t, loopImages), good(), func(s *Search) {
			s.Objectives = []Objective{
				s.Objectives[0], {Costs: objective.MultiplyAdds(s.Space), Base: 100, Factor: 0.3},
				{Costs: randomCosts(s.Space, rand.New(rand.NewPCG(8, 8))), Base: 7, Target: 2}, {Costs: objective.Parameters(s.Space), Base: 3, Target: 400},
			}[:count]
		})
		o := &s.Options
		o.Adam.WeightDecay = 0
		s.state.Parameters = randomParameters(s.Space, rand.New(rand.NewPCG(3, 4)), 0.7)
		p := clone(s.state.Parameters)
		batch := supernet.Batch{Images: make([]float32, 4), Labels: make([]int32, 4), Valid: 4}
		if _, err := s.architectureStep(batch); err != nil {
			t.Fatal(err)
		}
		c := engine.calls[0].choice
		objective := func() float64 {
			mix(s.Space, c, p)
			loss, _ := syntheticLoss(s.Space, c, 1)
			for _, o := range s.Objectives {
				cost, _ := o.Costs.Chained(p)
				if o.Target == 0 { // to the others the step is corrected
					loss += o.Factor * math.Log(cost) / math.Log(o.Base)
				}
			}
			return loss
		}
		first := flatten(s.state.Adam.First)
		for i, logit := range pointers(p) {
			const step = 1e-5
			start := *logit
			*logit = start + step
			above := objective()
			*logit = start - step
			below := objective()
			*logit = start
			got, want := first[i]/(1-o.Adam.Beta1), (above-below)/(2*step)
			if math.Abs(got-want) > 1e-8*(1+math.Abs(want)) {
				t.Errorf("%d objectives, logit %d: gradient %.12g, finite difference %.12g", count, i, got, want)
			}
		}
	}
}

func TestResumeRefusesStates(t *testing.T) {
	data := pictures(t, loopImages)
	for name, change := range map[string]func(s *Search, state *State){
		"another space":       func(_ *Search, state *State) { state.Parameters.Space = "other" },
		"another shape":       func(_ *Search, state *State) { state.Adam.First.Beta = state.Adam.First.Beta[1:] },
		"no number":           func(_ *Search, state *State) { state.Adam.Second.AlphaHead[0][0][0] = math.NaN() },
		"a broken generator":  func(_ *Search, state *State) { state.Random = state.Random[1:] },
		"options that do not": func(s *Search, _ *State) { s.Options.Batch = 0 },
		"another objective":   func(_ *Search, state *State) { state.Factors = append(state.Factors, 0) },
		"no base":             func(s *Search, _ *State) { s.Objectives[0].Base = 1 },
		"a negative factor":   func(s *Search, _ *State) { s.Objectives[0].Factor = -0.1 },
		"a negative target":   func(s *Search, _ *State) { s.Objectives[0].Target = -1 },
	} {
		s, _ := newSearch(t, data, good())
		state := s.State()
		change(s, &state)
		if err := s.Resume(state); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
