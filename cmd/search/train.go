package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/progress"
	"densenas/internal/tables"
	"densenas/search"
	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet/lowering"
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
	f.IntVar(&o.Epochs, "epochs", 30, "passes over the training images")
	f.IntVar(&o.Batch, "batch", 64, "images of a step")
	f.Float64Var(&o.Rate, "rate", 0.1, "learning rate at the start; it falls along a cosine to zero")
	f.Float64Var(&o.WeightDecay, "weight-decay", 4e-5, "L2 decay of the weights")
	f.Float64Var(&o.LabelSmoothing, "label-smoothing", 0, "share of a label's weight that is spread over all classes")
	f.IntVar(&o.Limit, "limit", 0, "use at most so many training images")
	f.StringVar(&o.Augmentation, "augmentation", "", dataset.AugmentationUsage)
	f.BoolVar(&o.SkipCorrupt, "skip-corrupt", false, "leave images out that cannot be decoded, and count them")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of weights and data order")
	f.StringVar(&o.Backend, "backend", "auto", backends.Usage)
	f.Var(&o.Format, "format", tables.FormatUsage)
	f.StringVarP(&o.Output, "output", "o", "", "file for the trained weights, FILE.safetensors; search export takes it")
}

func (o *trainOptions) Validate() error {
	switch {
	case o.Arch == "":
		return exit.BadInput("nothing to train: give --arch FILE")
	case o.Data == "":
		return exit.BadInput("no images: give --data mnist, or a folder or zip of images by class")
	case o.Epochs < 1 || o.Epochs > 1e6:
		return exit.BadInput("--epochs is %d, allowed is 1 to 1000000", o.Epochs)
	case o.Batch < 1 || o.Batch > 65536:
		return exit.BadInput("--batch is %d, allowed is 1 to 65536", o.Batch)
	case !(o.Rate > 0 && o.Rate <= 1000):
		return exit.BadInput("--rate is %g, allowed is above 0, at most 1000", o.Rate)
	case !(o.WeightDecay >= 0 && o.WeightDecay <= 1):
		return exit.BadInput("--weight-decay is %g, allowed is 0 to 1", o.WeightDecay)
	case !(o.LabelSmoothing >= 0 && o.LabelSmoothing < 1):
		return exit.BadInput("--label-smoothing is %g, allowed is 0 to below 1", o.LabelSmoothing)
	case o.Resolution < 0 || o.Resolution > space.MaxResolution:
		return exit.BadInput("--resolution is %d, allowed is up to %d", o.Resolution, space.MaxResolution)
	}
	if err := backends.Check(o.Backend, backends.Options{}); err != nil || o.Output == "" {
		return err
	}
	return command.CheckOutput(o.Output, o.Arch, o.Data)
}

func newTrainCommand() *cobra.Command {
	var o trainOptions
	c := &cobra.Command{
		Use:   "train --arch FILE --data DATA",
		Short: "Train an architecture from scratch and test it",
		Long: `Train an architecture from scratch on all training images, and print its accuracy on the test images.

The classifier gets the data's number of classes.`,
		Example: `  search train --arch run/arch.json --data mnist --epochs 2
  search train --arch run/arch.json --data pictures.zip --epochs 60 -o trained.safetensors`,
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

// trainResult is the JSON form of what search train prints.
type trainResult struct {
	TrainAccuracy float64 `json:"train_accuracy"`
	TrainLoss     float64 `json:"train_loss"`
	TestAccuracy  float64 `json:"test_accuracy"`
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
	fmt.Fprintf(stderr, "data: %s\n", data.Describe())
	a = a.WithClasses(len(data.Classes))
	b, err := backends.OpenWith(o.Backend, backends.Options{Training: true})
	if err != nil {
		return err
	}
	defer b.Finalize()
	fmt.Fprintf(stderr, "backend: %s\n", b.Why)
	chooser := lowering.New(b.Backend, lowering.Options{Device: deviceName(b), Batch: o.Batch, Training: true, File: lowering.CacheFile()})
	var bar *progress.Bar
	trained, err := search.Train(ctx, b.Backend, a, data, search.TrainOptions{
		Epochs: o.Epochs, Batch: o.Batch, Seed: o.Seed, Rate: o.Rate, Momentum: 0.9, WeightDecay: o.WeightDecay,
		LabelSmoothing: o.LabelSmoothing, Lowering: chooser.Choose,
		Progress: func(step, steps int, loss float64) {
			if bar == nil {
				bar = progress.New(stderr, "training", steps)
			}
			bar.Add(1, fmt.Sprintf("loss %.3f", loss))
		},
	})
	bar.Done()
	if err != nil {
		return err
	}
	if err := chooser.Save(); err != nil {
		fmt.Fprintf(stderr, "the choice of lowerings could not be kept for the next run: %v\n", err)
	}
	if o.Output != "" {
		w := weights.Trained{Architecture: a, Preprocessing: data.Preprocessing(), Layers: trained.Weights}
		if err := w.Write(o.Output); err != nil {
			return err
		}
	}
	r := trainResult{trained.Train.Accuracy(), trained.Train.MeanLoss(), trained.Test.Accuracy(), trained.Test.MeanLoss(), trained.Test.Images}
	return tables.Write(stdout, o.Format, []tables.Table{{
		Header:     []string{"part", "images", "loss", "accuracy"},
		RightAlign: []bool{false, true, true, true},
		Rows: [][]string{
			{"training, last epoch", strconv.Itoa(trained.Train.Images), fmt.Sprintf("%.4f", r.TrainLoss), fmt.Sprintf("%.2f %%", 100*r.TrainAccuracy)},
			{"test", strconv.Itoa(r.TestImages), fmt.Sprintf("%.4f", r.TestLoss), fmt.Sprintf("%.2f %%", 100*r.TestAccuracy)},
		},
	}}, r)
}
