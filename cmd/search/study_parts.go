package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search"
	"densenas/search/band"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/search/study"
	"densenas/search/weights"
	"densenas/supernet/lowering"
	"densenas/supernet/space"
)

// studying is a study with what its parts need, checked and open.
type studying struct {
	folder   string
	config   *study.Config
	deployed *space.Space // at the table's resolution
	trained  *space.Space // at the resolution of training
	table    *lut.Table
	random   *band.Sampler
	networks []study.Planned // MobileNetV2 only where the band has one
	absent   []study.Absent
	mobile   *space.Architecture
	parts    []study.Part
	data     *dataset.Dataset // opened last
	dataSeed uint64           // its order's
	stderr   io.Writer
}

func (s *studying) close() {
	if s.data != nil {
		s.data.Close()
	}
}

// openSpaces reads spaces and table, checks that they fit each other and the band, and lists the parts. The identities are
// entered in the configuration.
func (s *studying) openSpaces() error {
	c := s.config
	searched := &session{config: c.SearchOf(study.GroupSearched, 1)}
	if err := searched.openGoals(); err != nil {
		return err
	}
	s.deployed, s.trained, s.table = searched.deployed, searched.trained, searched.tables[0]
	c.Search.SpaceFingerprint, c.Search.LUT.Identity, c.Search.LUT.Verified = searched.base.Fingerprint(), s.table.Identity(), s.table.Verified()
	if len(c.Fixed.SearchSeeds) > 0 {
		fixed := &session{config: c.SearchOf(study.GroupFixed, 1)}
		if err := fixed.openGoals(); err != nil {
			return err
		}
		c.Fixed.Fingerprint = fixed.base.Fingerprint()
	}
	var err error
	if s.random, err = band.New(s.deployed, s.table, c.LowMS(), c.TargetMS()); err != nil {
		return measuredBy(err, c.Search.Space, s.deployed, s.table)
	}
	for _, n := range c.Networks() {
		if n.Group == study.GroupMobileNetV2 {
			var why string
			if s.mobile, _, why, err = study.Scaled(s.deployed, s.table, c.MobileNetV2.Halvings, c.LowMS(), c.TargetMS()); err != nil {
				return err
			}
			if s.mobile == nil {
				s.absent = append(s.absent, study.Absent{Group: n.Group, Why: why})
				fmt.Fprintf(s.stderr, "no %s: %s\n", n.Group, why)
				continue
			}
		}
		s.networks = append(s.networks, n)
	}
	s.parts = study.Parts(s.networks)
	return nil
}

// openData opens the images for a training, unless they are open.
func (s *studying) openData(ctx context.Context, seed uint64) error {
	if s.data != nil && s.dataSeed == seed {
		return nil
	}
	s.close()
	s.data = nil
	c := s.config.Search
	data, err := openImages(ctx, c.Data, dataset.Options{
		Resolution: s.trained.Resolution, Channels: s.trained.Channels, Seed: seed, SplitSeed: s.config.HeldOutSeed(), HeldOutShare: c.HeldOutShare, Limit: c.Limit,
		Augmentation: dataset.Augmentation(c.Augmentation), Workers: c.Workers, SkipCorrupt: c.SkipCorrupt,
	}, s.stderr)
	if err != nil {
		return err
	}
	if n, batch := data.Count(dataset.Train), s.config.Training.Batch; n < batch {
		data.Close()
		return exit.BadInput("%s: %d images to train on are fewer than a batch of %d; give more images or a smaller training.batch", c.Data, n, batch)
	}
	s.data, s.dataSeed = data, seed
	return nil
}

// do does a part and writes its result.
func (s *studying) do(ctx context.Context, p study.Part) error {
	begun := time.Now()
	r := &study.Result{Part: p.Name}
	var err error
	switch p.Kind {
	case study.KindSearch:
		err = s.search(ctx, p)
	case study.KindTrain:
		r.Scores, err = s.train(ctx, p)
	case study.KindInside:
		r.Scores, err = s.inside(ctx)
	case study.KindTest:
		r.Scores, err = s.test(ctx)
	}
	if err != nil {
		return err
	}
	r.Seconds = time.Since(begun).Seconds()
	if p.Kind == study.KindTest {
		// Before the part counts as finished, so that whoever sees that it is finds the results.
		return s.finish(r)
	}
	if err := study.WriteResult(s.folder, r); err != nil || p.Kind != study.KindTrain {
		return err
	}
	// Only now: a training that was stopped before is not done again.
	return os.Remove(s.checkpointPath(p.Name))
}

// runFolder is that of the search for a network.
func (s *studying) runFolder(n study.Planned) string {
	return filepath.Join(study.PartFolder(s.folder, string(study.KindSearch)+"-"+n.Name), "run")
}

func (s *studying) search(ctx context.Context, p study.Part) error {
	return runIn(ctx, s.runFolder(p.Network), s.config.SearchOf(p.Network.Group, p.Network.Seed), "study", command.Line("search", "study", "-o", s.folder), s.stderr, s.stderr)
}

// architecture of a network, with its prediction; it is kept in the folder of the architectures.
func (s *studying) architecture(n study.Planned) (*space.Architecture, error) {
	path := filepath.Join(s.folder, study.ArchitecturesFolder, n.Name+".arch.json")
	a, err := space.ReadArchitecture(path)
	if !errors.Is(err, fs.ErrNotExist) {
		if err == nil && a.Predicted == nil {
			err = exit.BadInput("%s: has no prediction; remove it to write it again", path)
		}
		return a, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	switch n.Group {
	case study.GroupRandom:
		return s.draw(n)
	case study.GroupMobileNetV2:
		a = s.mobile
	default:
		if a, err = space.ReadArchitecture(filepath.Join(s.runFolder(n), rundir.ArchitectureFile)); err != nil {
			return nil, err
		}
	}
	return a, a.Write(path)
}

// draw draws all random networks, which follow from the seed, and returns that of the name.
func (s *studying) draw(wanted study.Planned) (*space.Architecture, error) {
	var names []study.Planned
	for _, n := range s.networks {
		if n.Group == study.GroupRandom {
			names = append(names, n)
		}
	}
	found, err := s.random.Different(rand.New(rand.NewPCG(s.config.Random.Seed, 0)), len(names))
	if err != nil {
		return nil, err
	}
	if len(found) < len(names) {
		return nil, exit.BadInput("only %d architectures were found in the band, of the %d of random.networks; ask for fewer, or widen band", len(found), len(names))
	}
	for i, n := range names {
		if n.Name == wanted.Name {
			return found[i], found[i].Write(filepath.Join(s.folder, study.ArchitecturesFolder, n.Name+".arch.json"))
		}
	}
	return nil, fmt.Errorf("no random network is called %s", wanted.Name)
}

// forTraining is an architecture as it is trained on the data.
func (s *studying) forTraining(a *space.Architecture) *space.Architecture {
	return a.WithResolution(s.trained.Resolution).WithClasses(len(s.data.Classes))
}

func (s *studying) weightsPath(part string) string {
	return filepath.Join(study.PartFolder(s.folder, part), "weights"+weightsEnding)
}

func (s *studying) checkpointPath(part string) string {
	return filepath.Join(study.PartFolder(s.folder, part), "checkpoint"+weightsEnding)
}

// train trains a network without the held-out images, on which it is evaluated.
func (s *studying) train(ctx context.Context, p study.Part) ([]study.Score, error) {
	a, err := s.architecture(p.Network)
	if err != nil {
		return nil, err
	}
	if err := s.openData(ctx, p.Seed); err != nil {
		return nil, err
	}
	b, err := backends.OpenWith(s.config.Search.Backend, backends.Options{Training: true})
	if err != nil {
		return nil, err
	}
	defer b.Finalize()
	t, c := s.config.Training, s.config.Search
	trained, _, e, err := trainAndEvaluate(ctx, b, s.forTraining(a), s.data, dataset.HeldOut, search.TrainOptions{
		HoldOut: true, Epochs: t.Epochs, Batch: t.Batch, Seed: p.Seed, Rate: t.Rate, Momentum: t.Momentum, WeightDecay: t.WeightDecay,
		LabelSmoothing: t.LabelSmoothing, Mixup: t.Mixup, Checkpoint: s.checkpointPath(p.Name),
		Identity: search.Identity{Config: fmt.Sprintf("Limit:%d Augmentation:%q SkipCorrupt:%t HeldOutShare:%g HeldOutSeed:%d", c.Limit, c.Augmentation, c.SkipCorrupt, c.HeldOutShare, s.config.HeldOutSeed())},
	}, s.stderr)
	if err != nil {
		return nil, err
	}
	if err := trained.Write(s.weightsPath(p.Name)); err != nil {
		return nil, err
	}
	return []study.Score{scoreOf(p.Name, e)}, nil
}

func scoreOf(name string, e *search.Evaluation) study.Score {
	return study.Score{Name: name, Images: e.Images, Correct: e.Top1, Loss: e.MeanLoss()}
}

// inside evaluates the networks of the space inside the super network of its first search.
func (s *studying) inside(ctx context.Context) ([]study.Score, error) {
	opened, err := restore(ctx, s.runFolder(s.networks[0]), s.stderr)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	var scores []study.Score
	for _, n := range s.networks {
		if n.Group != study.GroupSearched && n.Group != study.GroupRandom {
			continue
		}
		a, err := s.architecture(n)
		if err != nil {
			return nil, err
		}
		sums, err := search.EvaluateInside(ctx, opened.network, a.WithResolution(opened.trained.Resolution).WithClasses(opened.trained.Classes), opened.trained,
			opened.search.State().Parameters, opened.data, opened.config.Batch)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(s.stderr, "%s: %s inside the super network\n", n.Name, inPercent(sums.Accuracy()))
		scores = append(scores, study.Score{Name: n.Name, Images: sums.Images, Correct: sums.Correct, Loss: sums.MeanLoss()})
	}
	return scores, nil
}

// test evaluates everything that was trained on the test images. Nothing is chosen after it.
func (s *studying) test(ctx context.Context) ([]study.Score, error) {
	b, err := backends.OpenWith(s.config.Search.Backend, backends.Options{})
	if err != nil {
		return nil, err
	}
	defer b.Finalize()
	chooser := lowering.New(b.Backend, lowering.Options{Device: deviceName(b), Batch: s.config.Training.Batch, File: lowering.CacheFile()})
	var scores []study.Score
	for _, p := range s.parts {
		if p.Kind != study.KindTrain {
			continue
		}
		trained, err := weights.Read(s.weightsPath(p.Name))
		if err != nil {
			return nil, err
		}
		e, err := search.Evaluate(ctx, b.Backend, trained, s.data, dataset.Test, s.config.Training.Batch, chooser.Choose)
		if err != nil {
			return nil, err
		}
		scores = append(scores, scoreOf(p.Name, e))
	}
	keepChoices(chooser, s.stderr)
	return scores, nil
}

// finish writes the results, with those of the test, and the plot.
func (s *studying) finish(test *study.Result) error {
	c := s.config
	r := &study.Results{
		Space: s.deployed.Name, TargetMS: c.TargetMS(), LowMS: c.LowMS(), Table: s.table.Identity(), Verified: s.table.Verified(), Data: s.data.Identity(),
		Ranking: c.Ranking, Absent: s.absent,
	}
	for _, p := range s.networks {
		a, err := s.architecture(p)
		if err != nil {
			return err
		}
		n, err := study.NewNetwork(s.folder, p, a, test)
		if err != nil {
			return err
		}
		r.Networks = append(r.Networks, n)
	}
	if err := r.Write(s.folder); err != nil {
		return err
	}
	if err := r.WritePlot(s.folder); err != nil {
		return err
	}
	return study.WriteResult(s.folder, test)
}
