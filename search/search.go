package search

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"densenas/search/dataset"
	"densenas/supernet"
	"densenas/supernet/space"
)

// Phases of a search, as metrics name them.
const (
	PhaseWeights      = "weights"
	PhaseArchitecture = "architecture"
)

// Engine runs the steps of a super network; [supernet.Network] is one.
type Engine interface {
	WeightStep(b supernet.Batch, c *supernet.Choice, rate float64) (supernet.Result, error)
	ArchitectureStep(b supernet.Batch, c *supernet.Choice) (supernet.Result, *supernet.Products, error)
	// Extend lets candidates take over the weights of their layer's [space.Base].
	Extend() error
}

// Search is a running search. Its state is all that a checkpoint holds, but for the engine's weights.
type Search struct {
	Space      *space.Space
	Objectives []Objective
	Data       *dataset.Dataset
	Engine     Engine
	Options    Options

	// Progress, where set, is called after every step.
	Progress func(Progress)
	// EpochDone is called at the end of every epoch, before the next begins: to append metrics and save.
	EpochDone func(Metrics) error

	state State
}

// State is where a search stands.
type State struct {
	Parameters *space.Parameters
	Adam       *Adam
	// Factors are the objectives': fixed, or with a target the multiplier of the last architecture step's correction.
	Factors []float64
	// Epoch, Pass (0: architecture, 1: weights) and Step say which batch comes next.
	Epoch, Pass, Step int
	// Random is the state of the generator that samples operations.
	Random []byte
	// Running are the measurements of the epoch so far.
	Running Running
}

// Running sums up the measurements of an epoch.
type Running struct {
	Weights, Architecture Sums
	Seconds               float64
}

// Sums are over the batches of a pass.
type Sums struct {
	Steps, Images, Correct int
	Loss                   float64 // times images
}

func (s *Sums) add(r supernet.Result, images int) {
	s.Steps++
	s.Images += images
	s.Correct += r.Correct
	s.Loss += r.Loss * float64(images)
}

// MeanLoss and Accuracy are over the images so far; 0 before the first.
func (s Sums) MeanLoss() float64 { return ratio(s.Loss, s.Images) }

// Accuracy is the share of correct answers, 0 to 1.
func (s Sums) Accuracy() float64 { return ratio(float64(s.Correct), s.Images) }

func ratio(sum float64, n int) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// Progress says where a search stands.
type Progress struct {
	Epoch, Pass int
	Step, Steps int // of all steps of the search
	Loss        float64
	// Accuracy is of the pass so far, 0 to 1; ImagesPerSecond of the epoch so far, both passes counted.
	Accuracy, ImagesPerSecond float64
	Expected                  []float64 // cost by each objective
	// EntropyAlpha, EntropyBeta and SkipShare are as of [Metrics].
	EntropyAlpha, EntropyBeta, SkipShare float64
}

// NonFiniteError says that a step came to numbers that are none, and at which step. The state is that of the step before, but for
// the engine's weights, which are lost.
type NonFiniteError struct {
	What              string // the loss, the gradient of the architecture parameters, or a tensor
	Value             float64
	Epoch, Pass, Step int  // as of [State]
	Before            bool // it is a tensor, which was found before that step; Value says nothing then
}

func (e *NonFiniteError) Error() string {
	pass := [...]string{"architecture", "weight"}[e.Pass]
	if e.Before {
		return fmt.Sprintf("%s is no number before epoch %d, %s step %d", e.What, e.Epoch, pass, e.Step)
	}
	return fmt.Sprintf("%s is %g at epoch %d, %s step %d", e.What, e.Value, e.Epoch, pass, e.Step)
}

// WhereNonFinite says, of a super network or a trainer, in which operation numbers that are none came up in the last step.
func WhereNonFinite(of interface {
	NonFinite() (place, operation string, err error)
}) string {
	place, operation, err := of.NonFinite()
	switch {
	case err != nil:
		return "which operation it comes from is not known: " + err.Error()
	case place == "":
		return "all weights and statistics are numbers"
	}
	return fmt.Sprintf("it came up in %s at %s", operation, place)
}

// Metrics describe an epoch.
type Metrics struct {
	Epoch                     int
	Phase                     string
	Running                   Running
	Expected, Factors         []float64 // of each objective: expected cost, factor
	EntropyAlpha, EntropyBeta float64
	SkipShare                 float64
}

// Start prepares the state of a search that begins.
func (s *Search) Start() error {
	random, err := rand.NewPCG(s.Options.Seed, 0x5ea7c4).MarshalBinary()
	if err != nil {
		return err
	}
	var factors []float64
	for _, o := range s.Objectives {
		factors = append(factors, o.start())
	}
	return s.Resume(State{Parameters: s.Space.NewParameters(), Adam: newAdam(s.Space), Factors: factors, Random: random})
}

// Resume takes over the state of a checkpoint.
func (s *Search) Resume(state State) error {
	if err := s.Options.Check(); err != nil {
		return err
	}
	if err := s.checkObjectives(state.Factors); err != nil {
		return err
	}
	for _, p := range []*space.Parameters{state.Parameters, state.Adam.First, state.Adam.Second} {
		if err := p.Check(s.Space); err != nil {
			return err
		}
	}
	if err := new(rand.PCG).UnmarshalBinary(state.Random); err != nil {
		return fmt.Errorf("state of the random generator: %w", err)
	}
	s.state = state
	return nil
}

// State returns where the search stands; it shares memory with the search.
func (s *Search) State() State { return s.state }

// passes of an epoch, in order.
func (s *Search) passes(epoch int) []int {
	if epoch < s.Options.ArchitectureEpoch {
		return []int{passWeights}
	}
	return []int{passArchitecture, passWeights}
}

const (
	passArchitecture = iota
	passWeights
)

func (s *Search) batchOptions(start int) dataset.BatchOptions {
	return dataset.BatchOptions{Size: s.Options.Batch, Shuffle: true, Augment: true, DropLast: true, Start: start}
}

func (s *Search) part(pass int) dataset.Part {
	if pass == passArchitecture {
		return dataset.HeldOut
	}
	return dataset.Train
}

// Steps returns the number of steps of the whole search, and of those that come before epoch.
func (s *Search) Steps(epoch int) (total, before int) {
	for e := range s.Options.Epochs {
		for _, pass := range s.passes(e) {
			total += s.Data.BatchCount(s.part(pass), s.batchOptions(0))
		}
		if e+1 == epoch {
			before = total
		}
	}
	return total, before
}

// Run searches until the end, or until ctx is cancelled: then it returns ctx's error between two steps, and State says where
// to continue.
func (s *Search) Run(ctx context.Context) error {
	weightSteps := s.Data.BatchCount(dataset.Train, s.batchOptions(0))
	total, done := s.Steps(s.state.Epoch)
	for s.state.Epoch < s.Options.Epochs {
		if s.extends() {
			if err := s.Engine.Extend(); err != nil {
				return err
			}
		}
		for _, pass := range s.passes(s.state.Epoch) {
			if pass < s.state.Pass {
				done += s.Data.BatchCount(s.part(pass), s.batchOptions(0))
				continue
			}
			s.state.Pass = pass
			done += s.state.Step
			step := func(b supernet.Batch) (supernet.Result, error) { return s.architectureStep(b) }
			if pass == passWeights {
				step = func(b supernet.Batch) (supernet.Result, error) {
					return s.weightStep(b, s.Options.cosine(s.state.Epoch*weightSteps+s.state.Step, s.Options.Epochs*weightSteps))
				}
			}
			err := s.pass(ctx, pass, step, func(r supernet.Result) {
				done++
				if s.Progress != nil {
					s.Progress(s.progress(pass, done, total, r.Loss))
				}
			})
			if err != nil {
				return err
			}
			s.state.Step = 0
		}
		m := s.metrics()
		s.state.Epoch, s.state.Pass, s.state.Step, s.state.Running = s.state.Epoch+1, 0, 0, Running{}
		if s.EpochDone != nil {
			if err := s.EpochDone(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// extends says whether the first step after [Options.SingleCandidateEpochs] is next. A search that is stopped before it does it again, to the
// same effect.
func (s *Search) extends() bool {
	first := s.Options.SingleCandidateEpochs
	return first > 0 && s.state.Epoch == first && s.state.Pass <= s.passes(first)[0] && s.state.Step == 0
}

// pass runs one pass over a part of the data, from the state's step on.
func (s *Search) pass(ctx context.Context, pass int, step func(supernet.Batch) (supernet.Result, error), report func(supernet.Result)) error {
	batches := s.Data.Batches(ctx, s.part(pass), 2*s.state.Epoch+pass, s.batchOptions(s.state.Step))
	defer batches.Close()
	sums := &s.state.Running.Weights
	if pass == passArchitecture {
		sums = &s.state.Running.Architecture
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := time.Now()
		b, err := batches.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		result, err := step(supernet.Batch{Images: b.Images, Labels: b.Labels, Valid: b.Valid})
		images := b.Valid
		b.Release()
		if err != nil {
			return err
		}
		if math.IsNaN(result.Loss) || math.IsInf(result.Loss, 0) {
			return s.nonFinite("the loss", result.Loss)
		}
		sums.add(result, images)
		s.state.Running.Seconds += time.Since(start).Seconds()
		s.state.Step++
		report(result)
	}
}

// random calls f with the generator and keeps its state.
func (s *Search) random(f func(r *rand.Rand)) error {
	var pcg rand.PCG
	if err := pcg.UnmarshalBinary(s.state.Random); err != nil {
		return err
	}
	f(rand.New(&pcg))
	var err error
	s.state.Random, err = pcg.MarshalBinary()
	return err
}

func (s *Search) weightStep(b supernet.Batch, rate float64) (supernet.Result, error) {
	var choice *supernet.Choice
	sample := Uniform
	switch {
	case s.state.Epoch < s.Options.SingleCandidateEpochs:
		sample = BaseOnly
	case s.state.Epoch >= s.Options.ArchitectureEpoch:
		sample = ByProbability
	}
	if err := s.random(func(r *rand.Rand) { choice = sample(s.Space, s.state.Parameters, r) }); err != nil {
		return supernet.Result{}, err
	}
	return s.Engine.WeightStep(b, choice, rate)
}

func (s *Search) architectureStep(b supernet.Batch) (supernet.Result, error) {
	var choice *supernet.Choice
	if err := s.random(func(r *rand.Rand) { choice = Pairs(s.Space, s.state.Parameters, r) }); err != nil {
		return supernet.Result{}, err
	}
	return s.architectureStepOf(b, choice)
}

// architectureStepOf moves the logits by what the engine says of a choice.
func (s *Search) architectureStepOf(b supernet.Batch, choice *supernet.Choice) (supernet.Result, error) {
	p := s.state.Parameters
	result, products, err := s.Engine.ArchitectureStep(b, choice)
	if err != nil {
		return result, err
	}
	gradient := s.objectiveGradient(p)
	addProducts(s.Space, choice, products, gradient)
	if math.IsNaN(result.Loss) || math.IsInf(result.Loss, 0) {
		return result, s.nonFinite("the loss", result.Loss)
	}
	if sum := sumOf(gradient); math.IsNaN(sum) || math.IsInf(sum, 0) {
		return result, s.nonFinite("the gradient of the architecture parameters", sum)
	}
	before := clone(p)
	s.state.Adam.step(p, gradient, s.Options.Adam)
	rescale(before, p, choice)
	if s.steered() {
		s.steer(before)
	}
	return result, nil
}

// nonFinite is the error of the step at hand.
func (s *Search) nonFinite(what string, value float64) error {
	return &NonFiniteError{What: what, Value: value, Epoch: s.state.Epoch, Pass: s.state.Pass, Step: s.state.Step}
}

// NonFinite is the error of a search whose last step left numbers that are none, in the engine's tensor of this name.
func (s *Search) NonFinite(tensor string) error {
	return &NonFiniteError{What: tensor, Epoch: s.state.Epoch, Pass: s.state.Pass, Step: s.state.Step, Before: true}
}

// sumOf adds up all elements: it is finite only if they are.
func sumOf(p *space.Parameters) float64 {
	sum := 0.0
	each(p, nil, func(row []float64, _ [][]float64) {
		for _, v := range row {
			sum += v
		}
	})
	return sum
}

func (s *Search) progress(pass, done, total int, loss float64) Progress {
	running := s.state.Running
	p := Progress{Epoch: s.state.Epoch, Pass: pass, Step: done, Steps: total, Loss: loss, Expected: s.expected(), Accuracy: running.Weights.Accuracy()}
	if pass == passArchitecture {
		p.Accuracy = running.Architecture.Accuracy()
	}
	if running.Seconds > 0 {
		p.ImagesPerSecond = float64(running.Weights.Images+running.Architecture.Images) / running.Seconds
	}
	p.EntropyAlpha, p.EntropyBeta = entropies(s.Space, s.state.Parameters)
	p.SkipShare = skipShare(s.Space, s.state.Parameters)
	return p
}

func (s *Search) metrics() Metrics {
	m := Metrics{Epoch: s.state.Epoch, Phase: PhaseWeights, Running: s.state.Running, Expected: s.expected(), Factors: slices.Clone(s.state.Factors)}
	if s.state.Epoch >= s.Options.ArchitectureEpoch {
		m.Phase = PhaseArchitecture
	}
	m.EntropyAlpha, m.EntropyBeta = entropies(s.Space, s.state.Parameters)
	m.SkipShare = skipShare(s.Space, s.state.Parameters)
	return m
}
