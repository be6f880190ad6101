package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"densenas/devices"
	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/progress"
	"densenas/internal/tensorboard"
	"densenas/lut"
	"densenas/search"
	"densenas/search/dataset"
	"densenas/search/derive"
	"densenas/search/rundir"
	"densenas/supernet"
	"densenas/supernet/lowering"
	"densenas/supernet/space"
)

// session is a search with everything that it needs, checked and open.
type session struct {
	config   *rundir.Config
	base     *space.Space // as it is named
	deployed *space.Space // at the table's resolution, with the space's classes
	trained  *space.Space // at the resolution of training, with the data's classes
	tables   []*lut.Table // one per device; none where latency is no objective
	goals    []goal
	data     *dataset.Dataset
	backend  backends.Backend
	chooser  *lowering.Chooser
	network  *supernet.Network
	search   *search.Search
	lock     *rundir.Lock // of the run folder; nil before there is one
	stderr   io.Writer
}

// open checks and opens everything that a configuration names. Nothing is written.
func open(ctx context.Context, c *rundir.Config, stderr io.Writer) (*session, error) {
	s := &session{config: c, stderr: stderr}
	if err := s.openGoals(); err != nil {
		return nil, err
	}
	if err := backends.Check(c.Backend, backends.Options{}); err != nil {
		return nil, err
	}
	// Before the images, which may take minutes.
	var err error
	if s.backend, err = backends.OpenWith(c.Backend, backends.Options{Training: true, Clients: clients, Devices: c.Devices}); err != nil {
		return nil, err
	}
	if err := s.openData(ctx); err != nil {
		s.backend.Finalize()
		return nil, err
	}
	fmt.Fprintf(stderr, "backend: %s\n", s.backend.Why)
	dtype, err := activationsType(c.DType)
	if err != nil {
		s.close()
		return nil, err
	}
	s.chooser = lowering.New(s.backend.Backend, lowering.Options{
		Device: deviceName(s.backend), Batch: c.Batch / s.backend.Devices, DType: dtype, Training: true, File: lowering.CacheFile(),
	})
	o := supernet.Options{
		Batch: c.Batch, Seed: c.Seed, Lowering: s.chooser.Choose,
		Momentum: c.Momentum, WeightDecay: c.WeightDecay, GradientClip: c.GradientClip, NormMomentum: c.NormMomentum, DType: dtype,
	}
	if err = (sharing{c.Devices, c.SyncBatchNorm}).apply(&o, s.backend); err == nil {
		s.network, err = supernet.New(s.backend.Backend, s.trained, o)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.search = &search.Search{Space: s.trained, Data: s.data, Engine: s.network, Options: options(c)}
	for _, g := range s.goals {
		s.search.Objectives = append(s.search.Objectives, g.Objective)
	}
	if err := s.search.Options.Check(); err != nil {
		s.close()
		return nil, exit.AsBadInput(err)
	}
	return s, nil
}

// clients is how many operations of a super network run at once: its branches keep two busy.
const clients = 2

// deviceName identifies processor or GPU, and runtime, for choices that hold on them alone.
func deviceName(b backends.Backend) string {
	if b.OnGPU() {
		return fmt.Sprintf("%s, %s %s %s", b.DeviceDescription(0), b.Name, b.Version, b.Plugin)
	}
	return fmt.Sprintf("%s, %d processors, %s %s %s", devices.Host().Model, runtime.NumCPU(), b.Name, b.Version, b.Plugin)
}

func options(c *rundir.Config) search.Options {
	return search.Options{
		Epochs: c.Epochs, ArchitectureEpoch: c.ArchitectureEpoch, SingleCandidateEpochs: c.SingleCandidateEpochs, Batch: c.Batch, Seed: c.Seed,
		Rate: c.Rate, MinRate: c.MinRate, Momentum: c.Momentum, WeightDecay: c.WeightDecay, NormMomentum: c.NormMomentum,
		Adam: search.AdamOptions{Rate: c.ArchitectureRate, Beta1: c.AdamBeta1, Beta2: c.AdamBeta2, WeightDecay: c.ArchitectureWeightDecay},
	}
}

// openGoals reads space and tables and checks that they fit each other and the targets.
func (s *session) openGoals() error {
	c := s.config
	var err error
	if s.base, err = space.Load(c.Space); err != nil {
		return err
	}
	resolution := c.LUT.Resolution
	if resolution == 0 {
		resolution = s.base.Resolution
	}
	if s.deployed, err = s.base.WithResolution(resolution); err != nil {
		return exit.BadInput("--lut-resolution: %w", err)
	}
	if s.tables, err = openTables(c, resolution); err != nil {
		return err
	}
	if s.goals, err = goalsOf(c, s.deployed, s.tables); err != nil {
		return err
	}
	training := c.Resolution
	if training == 0 {
		training = s.base.Resolution
	}
	if s.trained, err = s.base.WithResolution(training); err != nil {
		return exit.BadInput("--resolution: %w", err)
	}
	return nil
}

// openData opens the images and checks that every pass has at least one batch.
func (s *session) openData(ctx context.Context) error {
	c := s.config
	data, err := openImages(ctx, c.Data, dataset.Options{
		Resolution: s.trained.Resolution, Channels: s.trained.Channels, Seed: c.Seed, HeldOutShare: c.HeldOutShare, Limit: c.Limit,
		Augmentation: dataset.Augmentation(c.Augmentation), Workers: c.Workers, SkipCorrupt: c.SkipCorrupt,
	}, s.stderr)
	if err != nil {
		return err
	}
	for _, part := range []dataset.Part{dataset.Train, dataset.HeldOut} {
		if n := data.Count(part); n < c.Batch {
			data.Close()
			return exit.BadInput("%s: %d images to train weights or architecture on are fewer than a batch of %d; give more images or a smaller --batch", c.Data, n, c.Batch)
		}
	}
	fmt.Fprintf(s.stderr, "data: %s\n", data.Describe())
	if n := len(data.Classes); n != s.trained.Classes {
		fmt.Fprintf(s.stderr, "the data have %d classes, space %s is deployed with %d: trained with the former, timed with the latter\n", n, s.trained.Name, s.trained.Classes)
	}
	s.data, s.trained = data, s.trained.WithClasses(len(data.Classes))
	return nil
}

// openImages opens a data set, showing the progress of decoding.
func openImages(ctx context.Context, spec string, o dataset.Options, stderr io.Writer) (*dataset.Dataset, error) {
	var bar *progress.Bar
	shown := 0
	o.Progress = func(done, total int) {
		if bar == nil {
			bar = progress.New(stderr, "reading images", total)
		}
		bar.Add(done-shown, "")
		shown = done
	}
	data, err := dataset.OpenContext(ctx, spec, o)
	bar.Done()
	return data, err
}

func (s *session) close() {
	if s.network != nil {
		s.network.Finalize()
	}
	s.data.Close()
	s.backend.Finalize()
	s.lock.Release()
}

func (s *session) identity() search.Identity {
	var tables []string
	for _, table := range s.tables {
		tables = append(tables, table.Identity())
	}
	config := fmt.Sprintf("%+v GradientClip:%g HeldOutShare:%g Limit:%d Augmentation:%q SkipCorrupt:%t LUTResolution:%d Devices:%d SyncBatchNorm:%t DType:%s",
		s.search.Options, s.config.GradientClip, s.config.HeldOutShare, s.config.Limit, s.config.Augmentation, s.config.SkipCorrupt, s.deployed.Resolution,
		s.backend.Devices, s.config.SyncBatchNorm, s.config.DType)
	for _, g := range s.goals {
		config += fmt.Sprintf(" Objective:%s Base:%g Factor:%g Target:%g", g.kind, g.Base, g.Factor, g.Target)
	}
	return search.Identity{
		Space: s.trained.Fingerprint(), Table: strings.Join(tables, " "), Data: s.data.Identity(), Config: config,
		Runtime: runtimeOf(s.backend),
	}
}

// runtimeOf names a runtime with its version.
func runtimeOf(b backends.Backend) string { return b.Name + " " + b.Version + " " + b.Plugin }

func checkpointPath(folder string) string {
	return filepath.Join(folder, rundir.CheckpointsFolder, "latest.safetensors")
}

// save writes checkpoint and architecture parameters.
func (s *session) save(folder string) error {
	tensors, err := s.network.State()
	if err != nil {
		return err
	}
	// A step may leave what only the next loss would show.
	if name := supernet.NonFiniteTensor(tensors); name != "" {
		return s.search.NonFinite(name)
	}
	c := search.Checkpoint{Identity: s.identity(), State: s.search.State(), Lowerings: s.chooser.Choices(), Tensors: tensors}
	if err := c.Write(checkpointPath(folder)); err != nil {
		return err
	}
	return s.search.State().Parameters.Write(filepath.Join(folder, rundir.ParametersFile))
}

// execute runs the search from where it stands to its end, saving as it goes, and writes what it derives.
func (s *session) execute(ctx context.Context, folder string, stdout io.Writer) error {
	// What steps may sample is compiled while the first ones run; what they wait for comes before it.
	s.network.CompileAhead(s.network.Executables(supernet.Update))
	if s.config.ArchitectureEpoch < s.config.Epochs {
		s.network.CompileAhead(s.network.Executables(supernet.Backward))
	}
	var events *tensorboard.Writer
	if s.config.TensorBoard {
		var err error
		if events, err = tensorboard.Open(filepath.Join(folder, rundir.TensorBoardFolder), s.search.State().Epoch); err != nil {
			return notSaved(folder, err)
		}
	}
	total, before := s.search.Steps(s.search.State().Epoch)
	bar := progress.New(s.stderr, "search", total)
	bar.Add(before, "")
	shown := before
	s.search.Progress = func(p search.Progress) {
		note := fmt.Sprintf("epoch %d of %d, loss %.3f, accuracy %.1f %%, expected %s", p.Epoch+1, s.config.Epochs, p.Loss, 100*p.Accuracy, expectations(s.goals, p.Expected))
		bar.Add(p.Step-shown, fmt.Sprintf("%s, H(α) %.2f, H(β) %.2f, skips %.0f %%, %.3g images/s, %d executables",
			note, p.EntropyAlpha, p.EntropyBeta, 100*p.SkipShare, p.ImagesPerSecond, s.network.Statistics().Compiled))
		shown = p.Step
	}
	s.search.EpochDone = func(m search.Metrics) error {
		// The checkpoint says up to which epoch records and events count, so it comes last.
		r, err := s.record(folder, m)
		if err == nil {
			err = rundir.AppendRecord(folder, r)
		}
		if err == nil && events != nil {
			err = events.Add(m.Epoch, scalars(r))
		}
		if err == nil {
			err = s.save(folder)
		}
		for _, w := range r.Warnings {
			fmt.Fprintf(s.stderr, "warning: epoch %d: %s\n", m.Epoch, w)
		}
		return notSaved(folder, err)
	}
	err := s.search.Run(ctx)
	bar.Done()
	if closing := events.Close(); err == nil {
		err = notSaved(folder, closing)
	}
	if saveErr := s.chooser.Save(); saveErr != nil {
		fmt.Fprintf(s.stderr, "the choice of lowerings could not be kept for the next run: %v\n", saveErr)
	}
	if errors.Is(err, context.Canceled) {
		if err = s.save(folder); err == nil {
			return interrupted(folder)
		}
		err = fmt.Errorf("interrupted, and not saved: %w", notSaved(folder, err))
	}
	if broken := new(search.NonFiniteError); errors.As(err, &broken) {
		return s.diverged(folder, broken)
	}
	if err != nil {
		return err
	}
	return s.derive(folder, stdout)
}

// diverged says where numbers stopped to be numbers. Nothing of the step is saved: the last good checkpoint stays.
func (s *session) diverged(folder string, broken *search.NonFiniteError) error {
	return fmt.Errorf("%w; %s; the last good checkpoint, of %s, is kept: start a new run with a lower rate in --config, now %g",
		broken, search.WhereNonFinite(s.network), checkpointPath(folder), s.config.Rate)
}

// interrupted says the command that continues the run of a folder.
func interrupted(folder string) error {
	return exit.Interrupted{Continue: resumeLine(folder)}
}

// notSaved adds to an error of saving how to go on once its cause, such as a full disk, is away; nil stays nil.
func notSaved(folder string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; when that is mended, continue from the last checkpoint with: %s", err, resumeLine(folder))
}

func resumeLine(folder string) string { return command.Line("search", "resume", folder) }

// scalars are a record as TensorBoard shows it.
func scalars(r rundir.Record) []tensorboard.Scalar {
	found := []tensorboard.Scalar{
		{Tag: "loss/train", Value: r.TrainLoss}, {Tag: "accuracy/train", Value: r.TrainAccuracy}, {Tag: "speed/images per second", Value: r.ImagesPerSecond},
		{Tag: "architecture/entropy alpha", Value: r.EntropyAlpha}, {Tag: "architecture/entropy beta", Value: r.EntropyBeta},
		{Tag: "architecture/skip share", Value: r.SkipShare},
	}
	if r.HeldOutLoss != nil && r.HeldOutAccuracy != nil {
		found = append(found, tensorboard.Scalar{Tag: "loss/held out", Value: *r.HeldOutLoss}, tensorboard.Scalar{Tag: "accuracy/held out", Value: *r.HeldOutAccuracy})
	}
	cost := func(name string, expected, target, factor float64) {
		found = append(found, tensorboard.Scalar{Tag: name + "/expected", Value: expected}, tensorboard.Scalar{Tag: name + "/factor", Value: factor})
		if target > 0 {
			found = append(found, tensorboard.Scalar{Tag: name + "/target", Value: target})
		}
	}
	if r.ExpectedLatencyMS > 0 {
		cost("latency ms", r.ExpectedLatencyMS, r.TargetLatencyMS, r.Factor)
	}
	for i, o := range r.Others {
		cost(fmt.Sprintf("%s %d %s", o.Objective, i+2, o.Unit), o.Expected, o.Target, o.Factor)
	}
	return found
}

// record is that of an epoch, with what is to be warned of behind those before it.
func (s *session) record(folder string, m search.Metrics) (rundir.Record, error) {
	weights, architecture := m.Running.Weights, m.Running.Architecture
	r := rundir.Record{
		Epoch: m.Epoch, Phase: m.Phase, Steps: weights.Steps + architecture.Steps, Seconds: m.Running.Seconds,
		TrainLoss: weights.MeanLoss(), TrainAccuracy: weights.Accuracy(),
		EntropyAlpha: m.EntropyAlpha, EntropyBeta: m.EntropyBeta, SkipShare: m.SkipShare,
	}
	for i, g := range s.goals {
		if i == 0 && g.table != nil {
			r.ExpectedLatencyMS, r.TargetLatencyMS, r.Factor = m.Expected[0], g.Target, m.Factors[0]
			continue
		}
		unit, scale := g.unit()
		other := rundir.OtherObjective{Objective: g.kind, Unit: unit, Expected: scale * m.Expected[i], Target: scale * g.Target, Factor: m.Factors[i]}
		if g.table != nil {
			other.Table = filepath.Base(g.table.Path())
		}
		r.Others = append(r.Others, other)
	}
	if m.Running.Seconds > 0 {
		r.ImagesPerSecond = float64(weights.Images+architecture.Images) / m.Running.Seconds
	}
	if architecture.Steps > 0 {
		loss, accuracy := architecture.MeanLoss(), architecture.Accuracy()
		r.HeldOutLoss, r.HeldOutAccuracy = &loss, &accuracy
	}
	before, _, err := rundir.ReadRecords(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r.Warnings = rundir.Warnings(s.config, before, r, architecture.Images)
	return r, nil
}

// derive writes the derived architecture, within all targets.
func (s *session) derive(folder string, stdout io.Writer) error {
	found, err := derive.ByTargets(s.deployed, s.search.State().Parameters, targetsOf(s.goals), 1)
	if err != nil {
		return err
	}
	a := found[0]
	path := filepath.Join(folder, rundir.ArchitectureFile)
	if err := a.Write(path); err != nil {
		return notSaved(folder, err)
	}
	line := fmt.Sprintf("%s: %d layers, %.4g M multiply-adds, %.4g M parameters", path, len(a.Layers), float64(a.MultiplyAdds())/1e6, float64(a.Parameters())/1e6)
	for i, table := range s.tables {
		predicted, err := table.Predict(a)
		if err != nil {
			return err
		}
		line += fmt.Sprintf(", %.4g ms predicted", predicted.LatencyMS)
		if i > 0 {
			line += " by " + filepath.Base(table.Path())
		}
		if !predicted.Verified {
			line += " (unverified)"
		}
	}
	_, err = fmt.Fprintln(stdout, line)
	return err
}

// absolute makes the path of something that exists independent of the working folder; names that are built in stay as they
// are, whatever is called so in the working folder.
func absolute(path string, names ...string) string {
	if slices.Contains(names, path) {
		return path
	}
	if _, err := os.Stat(path); err != nil {
		return path
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// absoluteData does the same for a specification of data.
func absoluteData(spec string) string {
	if kind, dir, named := strings.Cut(spec, ":"); named && (kind == "mnist" || kind == "cifar10") {
		return kind + ":" + absolute(dir)
	}
	return absolute(spec, "mnist")
}
