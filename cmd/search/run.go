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
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/lut"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/supernet/space"
)

// runOptions are what search run is asked for. Flags that are not given leave the configuration's values.
type runOptions struct {
	Config        string
	Space         string
	LUT           string
	LUTResolution int
	LUTBatch      int
	LUTDType      string
	LUTCaches     string
	Data          string
	Augmentation  string
	Limit         int
	SkipCorrupt   bool
	TargetLatency time.Duration
	Resolution    int
	Batch         int
	Epochs        int
	ArchEpoch     int
	Seed          uint64
	Backend       string
	Sharing       sharing
	DType         string
	Output        string

	flags *pflag.FlagSet
}

func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	o.flags = f
	f.StringVar(&o.Space, "space", "", "space to search: mbv2, cifar, tiny, or a YAML file")
	f.StringVar(&o.LUT, "lut", "", "lookup table of the device, FILE.lut.json")
	f.IntVar(&o.LUTResolution, "lut-resolution", 0, "resolution that the network is deployed at and the table measured for (default: the space's)")
	f.IntVar(&o.LUTBatch, "lut-batch", 1, "batch that the table was measured at")
	f.StringVar(&o.LUTDType, "lut-dtype", "f32", "type of numbers that the table was measured with: f32, bf16 or f16")
	f.StringVar(&o.LUTCaches, "lut-caches", lut.Warm, "state of the caches that the table was measured with: warm or cold")
	f.StringVar(&o.Data, "data", "", "images: mnist, a folder or zip of images by class, or CIFAR-10's binary batches")
	f.StringVar(&o.Augmentation, "augmentation", "", "none, shift, crop-flip or resized-crop-flip (default: chosen by the data)")
	f.IntVar(&o.Limit, "limit", 0, "use at most so many training images")
	f.BoolVar(&o.SkipCorrupt, "skip-corrupt", false, "leave images out that cannot be decoded, and count them")
	f.DurationVar(&o.TargetLatency, "target-latency", 0, "latency that the derived network must meet, such as 15ms")
	f.IntVar(&o.Resolution, "resolution", 0, "resolution of the images in training (default: the space's)")
	f.IntVar(&o.Batch, "batch", 0, "images of a training step (default: the configuration's)")
	f.IntVar(&o.Epochs, "epochs", 0, "length of the search (default: the configuration's)")
	f.IntVar(&o.ArchEpoch, "architecture-epoch", 0, "epoch from which on the architecture is trained (default: the configuration's)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of weights, sampling and data order")
	f.StringVar(&o.Backend, "backend", "auto", backends.Usage)
	o.Sharing.AddFlags(f)
	f.StringVar(&o.DType, "dtype", rundir.F32, dtypeUsage)
	f.StringVar(&o.Config, "config", "", "YAML file with any of a run's settings; flags go before it (default: built in, per space)")
	f.StringVarP(&o.Output, "output", "o", "", "run folder to create")
}

func (o *runOptions) Validate() error {
	switch {
	case o.Space == "" && o.Config == "":
		return exit.BadInput("no space to search: give --space mbv2, cifar, tiny, or a YAML file")
	case o.Output == "":
		return exit.BadInput("no run folder: give -o FOLDER")
	case o.flags.Changed("target-latency") && o.TargetLatency <= 0:
		return exit.BadInput("--target-latency is %v, allowed is a positive duration such as 15ms", o.TargetLatency)
	}
	if _, err := os.Stat(o.Output); !errors.Is(err, fs.ErrNotExist) {
		if err := checkEmpty(o.Output); err != nil {
			return err
		}
	}
	return command.CheckOutputFolder(o.Output)
}

// config is the configuration that the flags change.
func (o *runOptions) config() (*rundir.Config, error) {
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
		"lut":                func() { c.LUT.Path = o.LUT },
		"lut-resolution":     func() { c.LUT.Resolution = o.LUTResolution },
		"lut-batch":          func() { c.LUT.Batch = o.LUTBatch },
		"lut-dtype":          func() { c.LUT.DType = o.LUTDType },
		"lut-caches":         func() { c.LUT.Caches = o.LUTCaches },
		"data":               func() { c.Data = o.Data },
		"augmentation":       func() { c.Augmentation = o.Augmentation },
		"limit":              func() { c.Limit = o.Limit },
		"skip-corrupt":       func() { c.SkipCorrupt = o.SkipCorrupt },
		"target-latency":     func() { c.TargetLatencyMS = milliseconds(o.TargetLatency) },
		"resolution":         func() { c.Resolution = o.Resolution },
		"batch":              func() { c.Batch = o.Batch },
		"epochs":             func() { c.Epochs = o.Epochs },
		"architecture-epoch": func() { c.ArchitectureEpoch = o.ArchEpoch },
		"seed":               func() { c.Seed = o.Seed },
		"backend":            func() { c.Backend = o.Backend },
		"devices":            func() { c.Devices = o.Sharing.Devices },
		"dtype":              func() { c.DType = o.DType },
		"sync-batch-norm":    func() { c.SyncBatchNorm = o.Sharing.SyncBatchNorm },
	} {
		if o.flags.Changed(flag) {
			set()
		}
	}
	if c.LUT.Path == "" {
		return nil, exit.BadInput("no lookup table: give --lut FILE.lut.json; `profiler run --space %s -o FILE.lut.json` measures one", c.Space)
	}
	if c.Data == "" {
		return nil, exit.BadInput("no images: give --data mnist, or a folder or zip of images by class")
	}
	c.LUT.Path, c.Space, c.Data = absolute(c.LUT.Path), absolute(c.Space, space.Names()...), absoluteData(c.Data)
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

func newRunCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run --space SPACE --lut FILE --data DATA -o FOLDER",
		Short: "Search for a network, into a run folder",
		Long: `Search a space for the most accurate network on the given images, with a lookup table as the second objective.

The run folder gets the configuration, a record per epoch, a checkpoint, the architecture parameters and the derived
network. With --target-latency the derived network is predicted to meet it. Ctrl-C saves; search resume continues.`,
		Example: `  search run --space tiny --lut host.lut.json --data mnist --target-latency 0.3ms -o run
  search run --space cifar --lut phone.lut.json --data pictures.zip --target-latency 15ms -o run
  search run --space mbv2 --lut phone.lut.json --data imagenet --resolution 128 --batch 64 -o run`,
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

// begin checks and opens everything, and only then creates the run folder. It holds a checkpoint from the start, so that a
// run that ends before its first epoch does can be continued too.
func (o *runOptions) begin(ctx context.Context, stderr io.Writer) (opened *session, err error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
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
	config.SpaceFingerprint, config.DataIdentity, config.LUT.Identity = s.base.Fingerprint(), s.data.Identity(), s.table.Identity()
	config.LUT.Verified = s.table.Verified()
	config.Devices = s.backend.Devices
	s.lock, err = createFolder(o.Output, config, func() error { return s.save(o.Output) })
	return s, err
}

// createFolder creates the folder of a run with its configuration and what save writes, and locks it. Where that fails,
// what it created is removed.
func createFolder(folder string, config *rundir.Config, save func() error) (lock *rundir.Lock, err error) {
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
			for _, name := range []string{rundir.ConfigFile, rundir.CheckpointsFolder, rundir.ParametersFile} {
				os.RemoveAll(filepath.Join(folder, name))
			}
		}
	}()
	if err := os.Mkdir(filepath.Join(folder, rundir.CheckpointsFolder), 0o755); err != nil {
		return lock, err
	}
	if err := config.Write(folder); err != nil {
		return lock, err
	}
	return lock, save()
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
