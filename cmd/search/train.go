package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/binomial"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/internal/progress"
	"densenas/internal/tables"
	"densenas/search"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/search/weights"
	"densenas/supernet/lowering"
	"densenas/supernet/network"
	"densenas/supernet/space"
)

// trainOptions are what search train is asked for.
type trainOptions struct {
	Arch           string
	Data           string
	Resolution     int
	Epochs         int
	Batch          int
	Rate           float64
	WeightDecay    float64
	LabelSmoothing float64
	Mixup          float64
	Inherit        string
	Limit          int
	Augmentation   string
	SkipCorrupt    bool
	Seed           uint64
	Backend        string
	Format         tables.Format
	Output         string
}

func (o *trainOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Arch, "arch", "", "architecture: a *.arch.json file or net_config text")
	f.StringVar(&o.Data, "data", "", "images: mnist, a folder or zip of images by class, or CIFAR-10's binary batches")
	f.IntVar(&o.Resolution, "resolution", 0, "resolution of the images (default: the architecture's)")
	f.IntVar(&o.Epochs, "epochs", 30, "passes over the training images; 0 with --inherit: test the weights as they are")
	f.IntVar(&o.Batch, "batch", 64, "images of a step")
	f.Float64Var(&o.Rate, "rate", 0.1, "learning rate at the start; it falls along a cosine to zero")
	f.Float64Var(&o.WeightDecay, "weight-decay", 4e-5, "L2 decay of the weights")
	f.Float64Var(&o.LabelSmoothing, "label-smoothing", 0.1, "share of a label's weight that is spread over all classes")
	f.Float64Var(&o.Mixup, "mixup", 0, "mix images and labels in pairs, by shares from the symmetric beta distribution of this parameter, such as 0.2; 0: do not")
	f.StringVar(&o.Inherit, "inherit", "", "run folder whose super network the weights begin with (default: drawn by the seed)")
	f.IntVar(&o.Limit, "limit", 0, "use at most so many training images")
	f.StringVar(&o.Augmentation, "augmentation", "", dataset.AugmentationUsage)
	f.BoolVar(&o.SkipCorrupt, "skip-corrupt", false, "leave images out that cannot be decoded, and count them")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of weights and data order")
	f.StringVar(&o.Backend, "backend", "auto", backends.Usage)
	f.Var(&o.Format, "format", tables.FormatUsage)
	f.StringVarP(&o.Output, "output", "o", "", "file for the trained weights, FILE.safetensors; search eval and search export take it")
}

func (o *trainOptions) Validate() error {
	switch {
	case o.Arch == "":
		return exit.BadInput("nothing to train: give --arch FILE")
	case o.Data == "":
		return exit.BadInput("no images: give --data mnist, or a folder or zip of images by class")
	case o.Epochs == 0 && o.Inherit == "":
		return exit.BadInput("--epochs is 0, which trains nothing; only weights of --inherit can be tested as they are")
	case o.Epochs < 0 || o.Epochs > 1e6:
		return exit.BadInput("--epochs is %d, allowed is 1 to 1000000", o.Epochs)
	case o.Batch < 1 || o.Batch > 65536:
		return exit.BadInput("--batch is %d, allowed is 1 to 65536", o.Batch)
	case !(o.Rate > 0 && o.Rate <= 1000):
		return exit.BadInput("--rate is %g, allowed is above 0, at most 1000", o.Rate)
	case !(o.WeightDecay >= 0 && o.WeightDecay <= 1):
		return exit.BadInput("--weight-decay is %g, allowed is 0 to 1", o.WeightDecay)
	case !(o.LabelSmoothing >= 0 && o.LabelSmoothing < 1):
		return exit.BadInput("--label-smoothing is %g, allowed is 0 to below 1", o.LabelSmoothing)
	case !(o.Mixup >= 0 && o.Mixup <= 1):
		return exit.BadInput("--mixup is %g, allowed is 0 to 1", o.Mixup)
	case o.Resolution < 0 || o.Resolution > space.MaxResolution:
		return exit.BadInput("--resolution is %d, allowed is up to %d", o.Resolution, space.MaxResolution)
	}
	if err := backends.Check(o.Backend, backends.Options{}); err != nil || o.Output == "" {
		return err
	}
	return command.CheckOutput(o.Output, o.Arch, o.Data)
}

// checkpoint is the file beside the output that the training is saved in until its end; empty where there is no output.
func (o *trainOptions) checkpoint() string {
	if o.Output == "" {
		return ""
	}
	return strings.TrimSuffix(o.Output, weightsEnding) + ".checkpoint" + weightsEnding
}

// weightsEnding is how names of files of weights end, usually.
const weightsEnding = ".safetensors"

func newTrainCommand() *cobra.Command {
	var o trainOptions
	c := &cobra.Command{
		Use:   "train --arch FILE --data DATA",
		Short: "Train an architecture from scratch and test it",
		Long: `Train an architecture on all training images, and print its accuracy on the test images.

Weights are drawn by the seed, or taken over from the super network of a run, by --inherit; layers that it has not trained are
drawn. SGD with momentum, its rate along a cosine. The classifier gets the data's number of classes.

With -o FILE.safetensors all of the state is saved in FILE.checkpoint.safetensors after every epoch and at Ctrl-C; the same command goes
on from there, as if it had not stopped. At the end that file is removed.`,
		Example: `  search train --arch run/arch.json --data mnist --epochs 2
  search train --arch run/arch.json --data pictures.zip --epochs 60 -o trained.safetensors
  search train --arch run/arch.json --data pictures.zip --inherit run --epochs 10 -o trained.safetensors
  search train --arch run/arch.json --data imagenet --resolution 224 --batch 256 --epochs 240 --mixup 0.2 -o trained.safetensors`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.stopped(o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()), given(c))
		},
	}
	o.AddFlags(c.Flags())
	return c
}

// given is the command line of a command that takes flags alone, as it was given.
func given(c *cobra.Command) string {
	words := strings.Fields(c.CommandPath())
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			words = append(words, "--"+f.Name+"="+f.Value.String())
			return
		}
		words = append(words, "--"+f.Name, f.Value.String())
	})
	return command.Line(words...)
}

// stopped adds to an error how to go on: by the same command line.
func (o *trainOptions) stopped(err error, line string) error {
	_, missing := os.Stat(o.checkpoint())
	saved := missing == nil
	switch unsaved := (search.NotSaved{}); {
	case errors.As(err, &unsaved) && saved:
		return fmt.Errorf("%w; when that is mended, continue from the last checkpoint with: %s", err, line)
	case !errors.Is(err, context.Canceled):
		return err
	case saved:
		return exit.Interrupted{Continue: line}
	case o.Output == "":
		return fmt.Errorf("%w; nothing is saved without -o FILE", exit.Interrupted{})
	}
	return fmt.Errorf("%w before the first step: nothing was saved; start again with the same command", exit.Interrupted{})
}

// trainResult is the JSON form of what search train prints.
type trainResult struct {
	TrainAccuracy float64 `json:"train_accuracy"` // of the last epoch, as the network was trained: on varied images
	TrainLoss     float64 `json:"train_loss"`     // with label smoothing and mixup
	TestAccuracy  float64 `json:"test_accuracy"`
	TestLow       float64 `json:"test_accuracy_low"` // of the 95 % interval
	TestHigh      float64 `json:"test_accuracy_high"`
	TestLoss      float64 `json:"test_loss"`
	TestImages    int     `json:"test_images"`
}

func (o *trainOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	a, err := space.ReadArchitecture(o.Arch)
	if err != nil {
		return err
	}
	if o.Resolution > 0 {
		a = a.WithResolution(o.Resolution)
	}
	if path := o.checkpoint(); path != "" {
		lock, err := rundir.AcquireFile(path)
		if err != nil {
			return err
		}
		defer lock.Release()
		files.RemoveAbandoned(path)
	}
	data, err := openImages(ctx, o.Data, dataset.Options{
		Resolution: a.Resolution, Channels: a.Channels, Seed: o.Seed, Limit: o.Limit,
		Augmentation: dataset.Augmentation(o.Augmentation), SkipCorrupt: o.SkipCorrupt,
	}, stderr)
	if err != nil {
		return err
	}
	defer data.Close()
	if n := data.Count(dataset.TrainAll); n < o.Batch {
		return exit.BadInput("%s: %d training images are fewer than a batch of %d; give more images or a smaller --batch", o.Data, n, o.Batch)
	}
	fmt.Fprintf(stderr, "data: %s\n", data.DescribeWhole())
	a = a.WithClasses(len(data.Classes))
	var start []network.Weights
	inherited := "nothing"
	if o.Inherit != "" {
		if start, inherited, err = inheritWeights(o.Inherit, a, stderr); err != nil {
			return err
		}
	}
	b, err := backends.OpenWith(o.Backend, backends.Options{Training: true})
	if err != nil {
		return err
	}
	defer b.Finalize()
	fmt.Fprintf(stderr, "backend: %s\n", b.Why)
	trained, sums, test, err := trainAndEvaluate(ctx, b, a, data, dataset.Test, search.TrainOptions{
		Epochs: o.Epochs, Batch: o.Batch, Seed: o.Seed, Start: start, Rate: o.Rate, Momentum: trainMomentum, WeightDecay: o.WeightDecay,
		LabelSmoothing: o.LabelSmoothing, Mixup: o.Mixup, Checkpoint: o.checkpoint(),
		Identity: search.Identity{Config: fmt.Sprintf("Limit:%d Augmentation:%q SkipCorrupt:%t Inherited:%s", o.Limit, o.Augmentation, o.SkipCorrupt, inherited)},
	}, stderr)
	if err != nil {
		return err
	}
	if o.Output != "" {
		if err := trained.Write(o.Output); err != nil {
			return search.NotSaved{Err: err}
		}
		if err := os.Remove(o.checkpoint()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	share := binomial.Of(test.Top1, test.Images)
	r := trainResult{sums.Accuracy(), sums.MeanLoss(), share.Share, share.Low, share.High, test.MeanLoss(), test.Images}
	t := tables.Table{Header: []string{"part", "images", "loss", "accuracy", "95 % interval"}, RightAlign: []bool{false, true, true, true, true}}
	if sums.Images > 0 {
		t.Rows = append(t.Rows, []string{"training, last epoch", strconv.Itoa(sums.Images), fmt.Sprintf("%.4f", r.TrainLoss), inPercent(r.TrainAccuracy), ""})
	}
	t.Rows = append(t.Rows, []string{"test", strconv.Itoa(r.TestImages), fmt.Sprintf("%.4f", r.TestLoss), inPercent(share.Share), interval(share)})
	return tables.Write(stdout, o.Format, []tables.Table{t}, r)
}

// trainMomentum is that of SGD.
const trainMomentum = 0.9

// trainAndEvaluate trains a, showing the progress, and evaluates it on a part of the data. Lowerings, progress, and data and runtime in the identity
// are filled in.
func trainAndEvaluate(ctx context.Context, b backends.Backend, a *space.Architecture, data *dataset.Dataset, on dataset.Part, o search.TrainOptions, stderr io.Writer) (*weights.Trained, search.Sums, *search.Evaluation, error) {
	chooser := lowering.New(b.Backend, lowering.Options{Device: deviceName(b), Batch: o.Batch, Training: true, File: lowering.CacheFile()})
	if _, err := os.Stat(o.Checkpoint); err == nil {
		fmt.Fprintf(stderr, "continuing from %s\n", o.Checkpoint)
	}
	var bar *progress.Bar
	shown := 0
	o.Lowerings, o.Identity.Data, o.Identity.Runtime = chooser, data.Identity(), runtimeOf(b)
	o.Progress = func(step, steps int, loss float64) {
		if bar == nil {
			bar = progress.New(stderr, "training", steps)
		}
		bar.Add(step-shown, fmt.Sprintf("epoch %d of %d, loss %.3f", 1+(step-1)*o.Epochs/steps, o.Epochs, loss))
		shown = step
	}
	trained, sums, err := search.Train(ctx, b.Backend, a, data, o)
	bar.Done()
	if err != nil {
		return nil, sums, nil, err
	}
	keepChoices(chooser, stderr)
	e, err := search.Evaluate(ctx, b.Backend, trained, data, on, o.Batch, chooser.Choose)
	return trained, sums, e, err
}

// keepChoices keeps the choices of lowerings for the next program, and says where that fails.
func keepChoices(c *lowering.Chooser, stderr io.Writer) {
	if err := c.Save(); err != nil {
		fmt.Fprintf(stderr, "the choice of lowerings could not be kept for the next run: %v\n", err)
	}
}
