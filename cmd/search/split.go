package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/search/dataset"
)

// maxClassList bounds the bytes of a list of classes.
const maxClassList = 16 << 20

// splitOptions are what search split is asked for.
type splitOptions struct {
	Data         string
	Classes      string // file
	Random       int
	HeldOutShare float64
	Seed         uint64
	Output       string
}

func (o *splitOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Data, "data", "", "images: a folder or zip of images by class")
	f.StringVar(&o.Classes, "classes", "", "text file with the classes to take, the name of a class folder on every line (default: all)")
	f.IntVar(&o.Random, "random", 0, "draw so many classes by the seed")
	f.Float64Var(&o.HeldOutShare, "held-out-share", 0.2, "share of the training images of every class that is held out")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the classes and images that are drawn")
	f.StringVarP(&o.Output, "output", "o", "", "file to write, FILE"+dataset.SplitEnding)
}

func (o *splitOptions) Validate() error {
	switch {
	case o.Data == "":
		return exit.BadInput("no images: give --data, a folder or zip of images by class")
	case o.Output == "":
		return exit.BadInput("no file to write: give -o FILE%s", dataset.SplitEnding)
	case !strings.HasSuffix(o.Output, dataset.SplitEnding):
		return exit.BadInput("-o %s does not end in %s, by which --data knows a split; name it so", o.Output, dataset.SplitEnding)
	case o.Classes != "" && o.Random != 0:
		return exit.BadInput("--classes names classes and --random draws them; give one of the two")
	case o.Random < 0:
		return exit.BadInput("--random is %d, allowed is from 2, or 0 for all classes", o.Random)
	case !(o.HeldOutShare > 0 && o.HeldOutShare <= 0.9):
		return exit.BadInput("--held-out-share is %g, allowed is above 0, at most 0.9", o.HeldOutShare)
	}
	return command.CheckOutput(o.Output, o.Data, o.Classes)
}

func newSplitCommand() *cobra.Command {
	var o splitOptions
	c := &cobra.Command{
		Use:   "split --data DATA -o FILE" + dataset.SplitEnding,
		Short: "Choose classes and held-out images of a data set",
		Long: `Choose classes of a data set of images by class, and the training images of each that are held out, and write their names down.

The file stands for the data wherever --data is asked for: a search trains the weights on the images that are not held out, and the
architecture on those that are. No image is copied.`,
		Example: `  search split --data imagenet --random 100 -o imagenet100.split.json
  search split --data imagenet --classes classes.txt --held-out-share 0.2 -o some.split.json
  search run --space mbv2 --lut phone.lut.json --data imagenet100.split.json -o run`,
		Args: command.Arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.OutOrStdout())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *splitOptions) run(stdout io.Writer) error {
	classes, err := o.classes()
	if err != nil {
		return err
	}
	s, counts, err := dataset.NewSplit(o.Data, dataset.SplitOptions{Classes: classes, Random: o.Random, HeldOutShare: o.HeldOutShare, Seed: o.Seed})
	if err != nil {
		return err
	}
	if err := s.Write(o.Output); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %d classes, %d training + %d held-out + %d test images\n",
		o.Output, len(s.Classes), counts[dataset.Train], counts[dataset.HeldOut], counts[dataset.Test])
	return err
}

// classes reads the list of classes; nil where none is named.
func (o *splitOptions) classes() ([]string, error) {
	if o.Classes == "" {
		return nil, nil
	}
	text, err := files.ReadBounded(o.Classes, maxClassList)
	if err != nil {
		return nil, err
	}
	var classes []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			classes = append(classes, line)
		}
	}
	if len(classes) == 0 {
		return nil, exit.BadInput("%s: names no class; write the name of a class folder on every line", o.Classes)
	}
	return classes, nil
}
