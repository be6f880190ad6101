package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/lut"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/supernet/space"
)

// settings are what searches can be asked for, one or many. Flags that are not given leave the configuration's values.
type settings struct {
	Config        string
	Space         string
	Objectives    []string
	MultiplyAdds  millions // target
	Parameters    millions // target
	LUTResolution int
	LUTBatch      int
	LUTDType      string
	LUTCaches     string
	Data          string
	Augmentation  string
	Limit         int
	SkipCorrupt   bool
	Resolution    int
	Batch         int
	Epochs        int
	ArchEpoch     int
	Seed          uint64
	Backend       string
	Sharing       sharing
	DType         string
	TensorBoard   bool
	Output        string

	flags *pflag.FlagSet
}

func (o *settings) AddFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.Space, "space", "", "space to search: mbv2, res, cifar, mbv2-fixed, cifar-fixed, tiny, or a YAML file")
	f.StringSliceVar(&o.Objectives, "objective", []string{rundir.ObjectiveLatency}, "what to train the architecture for besides accuracy: latency, multiply-adds, parameters, or several of them")
	f.Var(&o.MultiplyAdds, "target-multiply-adds", "multiply-adds of an image that the derived network may have, such as 300M")
	f.Var(&o.Parameters, "target-parameters", "parameters that the derived network may have, such as 3.5M")
	f.IntVar(&o.LUTResolution, "lut-resolution", 0, "resolution that the network is deployed at and the table measured for (default: the space's)")
	f.IntVar(&o.LUTBatch, "lut-batch", 1, "batch that the table was measured at")
	f.StringVar(&o.LUTDType, "lut-dtype", "f32", "type of numbers that the table was measured with: f32, bf16 or f16")
	f.StringVar(&o.LUTCaches, "lut-caches", lut.Warm, "state of the caches that the table was measured with: warm or cold")
	f.StringVar(&o.Data, "data", "", "images: mnist, a folder or zip of images by class, or CIFAR-10's binary batches")
	f.StringVar(&o.Augmentation, "augmentation", "", dataset.AugmentationUsage)
	f.IntVar(&o.Limit, "limit", 0, "use at most so many training images")
	f.BoolVar(&o.SkipCorrupt, "skip-corrupt", false, "leave images out that cannot be decoded, and count them")
	f.IntVar(&o.Resolution, "resolution", 0, "resolution of the images in training (default: the space's)")
	f.IntVar(&o.Batch, "batch", 0, "images of a training step (default: the configuration's)")
	f.IntVar(&o.Epochs, "epochs", 0, "length of a search (default: the configuration's)")
	f.IntVar(&o.ArchEpoch, "architecture-epoch", 0, "epoch from which on the architecture is trained (default: the configuration's)")
	f.StringVar(&o.Backend, "backend", "auto", backends.Usage)
	o.Sharing.AddFlags(f)
	f.StringVar(&o.DType, "dtype", lut.F32, dtypeUsage)
	f.BoolVar(&o.TensorBoard, "tensorboard", false, "write the records for TensorBoard too, into the folder tensorboard of the run")
	f.StringVar(&o.Config, "config", "", "YAML file with any of a run's settings; flags go before it (default: built in, per space)")
}

func (o *settings) Validate() error {
	switch {
	case o.Space == "" && o.Config == "":
		return exit.BadInput("no space to search: give --space mbv2, res, cifar, mbv2-fixed, cifar-fixed, tiny, or a YAML file")
	case o.Output == "":
		return exit.BadInput("no folder for the results: give -o FOLDER")
	}
	return command.CheckOutputFolder(o.Output)
}

// config is the configuration that the flags change. Own changes of a command come last.
func (o *settings) config(own func(*rundir.Config) error) (*rundir.Config, error) {
	var c *rundir.Config
	var err error
	if o.Config != "" {
		c, err = rundir.Load(o.Config, o.Space)
	} else {
		c, err = rundir.Default(o.Space)
	}
	if err != nil {
		return nil, err
	}
	for flag, set := range map[string]func(){
		"space":              func() { c.Space = o.Space },
		"objective":          func() { c.Objectives = o.Objectives },
		"lut-resolution":     func() { c.LUT.Resolution = o.LUTResolution },
		"lut-batch":          func() { c.LUT.Batch = o.LUTBatch },
		"lut-dtype":          func() { c.LUT.DType = o.LUTDType },
		"lut-caches":         func() { c.LUT.Caches = o.LUTCaches },
		"data":               func() { c.Data = o.Data },
		"augmentation":       func() { c.Augmentation = o.Augmentation },
		"limit":              func() { c.Limit = o.Limit },
		"skip-corrupt":       func() { c.SkipCorrupt = o.SkipCorrupt },
		"resolution":         func() { c.Resolution = o.Resolution },
		"batch":              func() { c.Batch = o.Batch },
		"epochs":             func() { c.Epochs = o.Epochs },
		"architecture-epoch": func() { c.ArchitectureEpoch = o.ArchEpoch; c.FitSingleCandidateEpochs() },
		"seed":               func() { c.Seed = o.Seed },
		"backend":            func() { c.Backend = o.Backend },
		"devices":            func() { c.Devices = o.Sharing.Devices },
		"dtype":              func() { c.DType = o.DType },
		"tensorboard":        func() { c.TensorBoard = o.TensorBoard },
		"sync-batch-norm":    func() { c.SyncBatchNorm = o.Sharing.SyncBatchNorm },
	} {
		if o.flags.Changed(flag) {
			set()
		}
	}
	for _, counted := range []struct {
		flag   string
		target millions
		of     *rundir.Counted
		kind   string
	}{
		{"target-multiply-adds", o.MultiplyAdds, &c.MultiplyAdds, rundir.ObjectiveMultiplyAdds},
		{"target-parameters", o.Parameters, &c.Parameters, rundir.ObjectiveParameters},
	} {
		if !o.flags.Changed(counted.flag) {
			continue
		}
		if counted.of.TargetMillions = float64(counted.target); !c.Has(counted.kind) {
			return nil, exit.BadInput("--%s is a target of an objective that is not asked for: add --objective %s", counted.flag, strings.Join(append(c.Objectives, counted.kind), ","))
		}
	}
	if err := own(c); err != nil {
		return nil, err
	}
	switch latency := c.Has(rundir.ObjectiveLatency); {
	case latency && (c.LUT.Path == "" || slices.ContainsFunc(c.OtherLUTs, func(l rundir.OtherLUT) bool { return l.Path == "" })):
		return nil, exit.BadInput("no lookup table: give --lut FILE.lut.json; `profiler run --space %s -o FILE.lut.json` measures one", c.Space)
	case !latency && (c.LUT.Path != "" || len(c.OtherLUTs) > 0 || c.TargetLatencyMS > 0):
		return nil, exit.BadInput("a table and a target of latency are for the objective latency: add --objective %s, or leave them out", strings.Join(append(c.Objectives, rundir.ObjectiveLatency), ","))
	}
	if c.Data == "" {
		return nil, exit.BadInput("no images: give --data mnist, or a folder or zip of images by class")
	}
	c.LUT.Path, c.Space, c.Data = absolute(c.LUT.Path), absolute(c.Space, space.Names()...), absoluteData(c.Data)
	paths := []string{c.LUT.Path}
	for i := range c.OtherLUTs {
		path := absolute(c.OtherLUTs[i].Path)
		if slices.Contains(paths, path) {
			return nil, exit.BadInput("--lut %s is given twice; name each device's table once", path)
		}
		c.OtherLUTs[i].Path, paths = path, append(paths, path)
	}
	if err := c.Validate(); err != nil {
		return nil, exit.BadInput("%w; correct the flag of that name, or --config", err)
	}
	if inside(o.Output, dataset.Folder(c.Data)) {
		return nil, exit.BadInput("-o %s lies in the folder of the images, %s, and would become a part of them; name a folder elsewhere", o.Output, dataset.Folder(c.Data))
	}
	if c.ArchitectureEpoch >= c.Epochs {
		return nil, exit.BadInput("the architecture would never be trained: --architecture-epoch is %d, counted from 0, of --epochs %d; lower the former or raise the latter",
			c.ArchitectureEpoch, c.Epochs)
	}
	return c, nil
}

// runOptions are what search run is asked for.
type runOptions struct {
	settings
	Tables        []string
	TargetLatency []time.Duration // of the tables, in their order
	Factor        float64

	commandLine string
}

func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	o.settings.AddFlags(f)
	f.StringArrayVar(&o.Tables, "lut", nil, "lookup table of the device, FILE.lut.json; once for each device that the network must suit")
	f.DurationSliceVar(&o.TargetLatency, "target-latency", nil, "latency that the derived network must meet, such as 15ms; one for each --lut, in their order")
	f.Float64Var(&o.Factor, "factor", 0, "fixed weight of each objective that has no target, against the accuracy (default: the configuration's)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of weights, sampling and data order")
	f.StringVarP(&o.Output, "output", "o", "", "run folder to create")
}

func (o *runOptions) Validate() error {
	if err := o.settings.Validate(); err != nil {
		return err
	}
	for _, target := range o.TargetLatency {
		if target <= 0 {
			return exit.BadInput("--target-latency is %v, allowed is a positive duration such as 15ms", target)
		}
	}
	if _, err := os.Stat(o.Output); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return checkEmpty(o.Output)
}

func (o *runOptions) config() (*rundir.Config, error) {
	return o.settings.config(func(c *rundir.Config) error {
		if len(o.Tables) > 0 {
			c.LUT.Path, c.OtherLUTs = o.Tables[0], nil
			for _, path := range o.Tables[1:] {
				c.OtherLUTs = append(c.OtherLUTs, rundir.OtherLUT{Path: path})
			}
		}
		if len(o.TargetLatency) == 0 {
			return o.applyFactor(c)
		}
		if n := 1 + len(c.OtherLUTs); len(o.TargetLatency) != n {
			return exit.BadInput("--target-latency has %d targets for %d tables; give one for each --lut, in their order", len(o.TargetLatency), n)
		}
		c.TargetLatencyMS = milliseconds(o.TargetLatency[0])
		for i := range c.OtherLUTs {
			c.OtherLUTs[i].TargetLatencyMS = milliseconds(o.TargetLatency[i+1])
		}
		return o.applyFactor(c)
	})
}

// applyFactor takes --factor for the objectives whose cost is not steered to a target. There has to be one.
func (o *runOptions) applyFactor(c *rundir.Config) error {
	if !o.flags.Changed("factor") {
		return nil
	}
	free := false
	for _, of := range []struct {
		objective string
		steered   bool
		factor    *float64
	}{
		{rundir.ObjectiveLatency, c.TargetLatencyMS > 0 && !slices.ContainsFunc(c.OtherLUTs, func(l rundir.OtherLUT) bool { return l.TargetLatencyMS == 0 }), &c.Factor},
		{rundir.ObjectiveMultiplyAdds, c.MultiplyAdds.TargetMillions > 0, &c.MultiplyAdds.Factor},
		{rundir.ObjectiveParameters, c.Parameters.TargetMillions > 0, &c.Parameters.Factor},
	} {
		if c.Has(of.objective) && !of.steered {
			*of.factor, free = o.Factor, true
		}
	}
	if !free {
		return exit.BadInput("--factor would not count: what is searched for has a target, to which it is steered; leave out the one or the other")
	}
	return nil
}

// newRunCommand takes the whole command line, which the run folder keeps.
func newRunCommand(commandLine string) *cobra.Command {
	o := runOptions{commandLine: commandLine}
	c := &cobra.Command{
		Use:   "run --space SPACE --lut FILE --data DATA -o FOLDER",
		Short: "Search for a network, into a run folder",
		Long: `Search a space for the most accurate network on the given images, with a lookup table as the second objective.

The run folder gets the configuration, a record per epoch, a checkpoint, the architecture parameters and the derived
network. With --target-latency the derived network is predicted to meet it. Ctrl-C saves; search resume continues.

With several --lut the network must suit several devices, each with its own --target-latency. With --objective the
architecture is trained for few multiply-adds or parameters, instead of a low latency or besides.`,
		Example: `  search run --space tiny --lut host.lut.json --data mnist --target-latency 0.3ms -o run
  search run --space cifar --lut phone.lut.json --data pictures.zip --target-latency 15ms -o run
  search run --space mbv2 --lut phone.lut.json --data imagenet --resolution 128 --batch 64 -o run
  search run --space cifar --lut phone.lut.json --lut car.lut.json --target-latency 15ms,4ms --data pictures.zip -o run
  search run --space cifar --objective multiply-adds --target-multiply-adds 40M --data pictures.zip -o run`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *runOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	s, err := o.begin(ctx, stderr)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w before the first step: nothing was saved; start again with the same command", exit.Interrupted{})
	}
	if err != nil {
		return err
	}
	defer s.close()
	return s.execute(ctx, o.Output, stdout)
}

func (o *runOptions) begin(ctx context.Context, stderr io.Writer) (*session, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	return begin(ctx, config, o.Output, o.commandLine, stderr)
}

// begin checks and opens everything, and only then creates the run folder. It holds a checkpoint from the start, so that a
// run that ends before its first epoch does can be continued too. The command line is the one that begins it.
func begin(ctx context.Context, config *rundir.Config, folder, commandLine string, stderr io.Writer) (opened *session, err error) {
	s, err := open(ctx, config, stderr)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.search.Start(); err != nil {
		return nil, err
	}
	config.SpaceFingerprint, config.DataIdentity = s.base.Fingerprint(), s.data.Identity()
	for i, table := range s.tables {
		identity, verified := &config.LUT.Identity, &config.LUT.Verified
		if i > 0 {
			identity, verified = &config.OtherLUTs[i-1].Identity, &config.OtherLUTs[i-1].Verified
		}
		*identity, *verified = table.Identity(), table.Verified()
	}
	config.Devices = s.backend.Devices
	s.lock, err = createFolder(folder, func() error {
		if err := config.Write(folder); err != nil {
			return err
		}
		origin := rundir.NewOrigin(commandLine, command.Version(), runtimeOf(s.backend))
		if err := origin.Write(folder); err != nil {
			return err
		}
		if err := keepSpace(folder, config); err != nil {
			return err
		}
		return s.save(folder)
	})
	return s, err
}

// keepSpace keeps the space of a run in its folder, where it is a file that may change or go.
func keepSpace(folder string, c *rundir.Config) error {
	if slices.Contains(space.Names(), c.Space) {
		return nil
	}
	data, err := files.ReadBounded(c.Space, space.MaxFile)
	if err != nil {
		return err
	}
	kept := filepath.Join(folder, rundir.SpaceFile)
	if err := files.WriteBytes(kept, data); err != nil {
		return err
	}
	s, err := space.Load(kept)
	if err == nil && s.Fingerprint() != c.SpaceFingerprint {
		err = fmt.Errorf("%s changed while the search began; start it again", c.Space)
	}
	return err
}

// createFolder creates the folder of a run with what save writes, and locks it. Where that fails, what it created is removed.
func createFolder(folder string, save func() error) (lock *rundir.Lock, err error) {
	var created []string // folders, from the outermost
	for at := filepath.Clean(folder); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		created = slices.Insert(created, 0, at)
	}
	defer func() {
		if err == nil {
			return
		}
		for _, at := range slices.Backward(created) {
			os.Remove(at) // fails where others have put something
		}
	}()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, exit.BadInput("-o: %w; name a folder that can be created", err)
	}
	if lock, err = rundir.Acquire(folder); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Release()
			lock = nil
		}
	}()
	// Another search may have run there while this one read its data.
	if err := checkEmpty(folder); err != nil {
		return lock, err
	}
	defer func() {
		if err != nil {
			removeUnbegun(folder)
		}
	}()
	if err := os.Mkdir(filepath.Join(folder, rundir.CheckpointsFolder), 0o755); err != nil {
		return lock, err
	}
	return lock, save()
}

// removeUnbegun removes what createFolder made of a run that has no checkpoint yet.
func removeUnbegun(folder string) {
	for _, name := range []string{rundir.OriginFile, rundir.SpaceFile, rundir.ConfigFile, rundir.CheckpointsFolder, rundir.ParametersFile} {
		os.RemoveAll(filepath.Join(folder, name))
		files.RemoveAbandoned(filepath.Join(folder, name))
	}
}

// inside says whether a path is, or once it is created would be, a folder or in it. It follows links.
func inside(path, folder string) bool {
	outer, err := os.Stat(folder)
	if err != nil {
		return false
	}
	at, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = real
		}
		if info, err := os.Stat(at); err == nil && os.SameFile(info, outer) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
		at = filepath.Dir(at)
	}
}

// checkEmpty refuses a folder that holds something.
func checkEmpty(folder string) error {
	empty, err := rundir.Empty(folder)
	switch {
	case err != nil:
		return exit.BadInput("-o: %w; name a folder that can be created", err)
	case !empty:
		return exit.BadInput("%s is not empty: continue that run by `%s`, or name another folder", folder, command.Line("search", "resume", folder))
	}
	return nil
}
