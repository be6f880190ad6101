package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/binomial"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/tables"
	"densenas/search"
	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet/lowering"
)

const (
	// matrixClasses is up to how many classes people are shown the whole confusion matrix.
	matrixClasses = 20
	// shownConfusions of more classes are shown.
	shownConfusions = 20
)

// evalOptions are what search eval is asked for.
type evalOptions struct {
	Weights     string
	Data        string
	Batch       int
	SkipCorrupt bool
	Backend     string
	Format      tables.Format
}

func (o *evalOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Data, "data", "", "images, as those that the network was trained on: the test images are taken")
	f.IntVar(&o.Batch, "batch", 64, "images of a call")
	f.BoolVar(&o.SkipCorrupt, "skip-corrupt", false, "leave images out that cannot be decoded, and count them")
	f.StringVar(&o.Backend, "backend", "auto", backends.Usage)
	f.Var(&o.Format, "format", tables.FormatUsage)
}

func (o *evalOptions) Validate() error {
	switch {
	case o.Data == "":
		return exit.BadInput("no images: give --data, as for search train")
	case o.Batch < 1 || o.Batch > 65536:
		return exit.BadInput("--batch is %d, allowed is 1 to 65536", o.Batch)
	}
	return backends.Check(o.Backend, backends.Options{})
}

func newEvalCommand() *cobra.Command {
	var o evalOptions
	c := &cobra.Command{
		Use:   "eval WEIGHTS --data DATA",
		Short: "Test a trained network on images",
		Long: `Test the network of a file of weights, the -o of search train, on test images: how often its answer is right (top-1), how often the right
class is among its five most likely (top-5), each with its 95 % binomial interval, and which classes it takes for which (confusion).

Up to 20 classes the confusion is shown whole, of more the 20 most frequent mistakes; csv and json have all of it.`,
		Example: `  search eval trained.safetensors --data mnist
  search eval trained.safetensors --data pictures.zip --format json`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Weights = args[0]
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *evalOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	trained, err := weights.Read(o.Weights)
	if err != nil {
		return err
	}
	data, err := openTestImages(ctx, o.Data, trained, o.SkipCorrupt, stderr)
	if err != nil {
		return err
	}
	defer data.Close()
	b, err := backends.OpenWith(o.Backend, backends.Options{})
	if err != nil {
		return err
	}
	defer b.Finalize()
	fmt.Fprintf(stderr, "backend: %s\n", b.Why)
	chooser := lowering.New(b.Backend, lowering.Options{Device: deviceName(b), Batch: o.Batch, File: lowering.CacheFile()})
	e, err := search.Evaluate(ctx, b.Backend, trained, data, dataset.Test, o.Batch, chooser.Choose)
	if err != nil {
		return err
	}
	keepChoices(chooser, stderr)
	r := newEvalResult(e, trained.Preprocessing.Classes)
	return tables.Write(stdout, o.Format, r.tables(o.Format), r)
}

// evalResult is the JSON form of what search eval prints.
type evalResult struct {
	Images  int         `json:"images"`
	Loss    float64     `json:"loss"` // mean cross entropy, in nats
	Top1    evalShare   `json:"top1"`
	Top5    evalShare   `json:"top5"`
	Classes []evalClass `json:"classes"`
}

// evalShare counts correct images. The interval is of 95 %.
type evalShare struct {
	Correct int `json:"correct"`
	binomial.Proportion
}

// evalClass is a row of the confusion matrix.
type evalClass struct {
	Class   string         `json:"class"`
	Images  int            `json:"images"`
	Correct int            `json:"correct"`
	Answers map[string]int `json:"answers"` // images by the class that is answered

	byIndex map[int]int // the same: names may be alike, numbers are not
}

func newEvalResult(e *search.Evaluation, classes []string) evalResult {
	r := evalResult{
		Images: e.Images, Loss: e.MeanLoss(),
		Top1: evalShare{e.Top1, binomial.Of(e.Top1, e.Images)}, Top5: evalShare{e.Top5, binomial.Of(e.Top5, e.Images)},
	}
	for _, class := range classes {
		r.Classes = append(r.Classes, evalClass{Class: class, Answers: map[string]int{}, byIndex: map[int]int{}})
	}
	for at, images := range e.Answers {
		label, answer := at[0], at[1]
		row := &r.Classes[label]
		row.Images += images
		row.Answers[classes[answer]] += images
		row.byIndex[answer] = images
		if label == answer {
			row.Correct += images
		}
	}
	return r
}

func (r evalResult) tables(f tables.Format) []tables.Table {
	shares := tables.Table{
		Header: []string{"answers", "correct", "images", "accuracy", "95 % interval"}, RightAlign: []bool{false, true, true, true, true},
		Notes: []string{fmt.Sprintf("mean cross entropy %.4f", r.Loss)},
	}
	for _, row := range []struct {
		name  string
		share evalShare
	}{{"top-1", r.Top1}, {"top-5", r.Top5}} {
		shares.Rows = append(shares.Rows, []string{row.name, strconv.Itoa(row.share.Correct), strconv.Itoa(r.Images), inPercent(row.share.Share), interval(row.share.Proportion)})
	}
	if len(r.Classes) <= matrixClasses {
		return []tables.Table{shares, r.matrix()}
	}
	return []tables.Table{shares, r.mistakes(f == tables.CSV)}
}

// matrix is the whole confusion matrix.
func (r evalResult) matrix() tables.Table {
	t := tables.Table{
		Title:  "confusion: rows are the images of a class, columns the answers",
		Header: []string{"class", "images", "correct"}, RightAlign: []bool{false, true, true},
	}
	for _, c := range r.Classes {
		t.Header, t.RightAlign = append(t.Header, c.Class), append(t.RightAlign, true)
	}
	for _, c := range r.Classes {
		row := []string{c.Class, strconv.Itoa(c.Images), inPercentOf(c.Correct, c.Images)}
		for answer := range r.Classes {
			row = append(row, strconv.Itoa(c.byIndex[answer]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// mistakes are the most frequent wrong answers, or all.
func (r evalResult) mistakes(all bool) tables.Table {
	t := tables.Table{
		Title:  fmt.Sprintf("confusion: the most frequent mistakes, up to %d; csv and json have all answers", shownConfusions),
		Header: []string{"class", "answer", "images", "of the class"}, RightAlign: []bool{false, false, true, true},
	}
	type mistake struct{ class, answer, images int }
	var found []mistake
	for class, c := range r.Classes {
		for answer, images := range c.byIndex {
			if class != answer {
				found = append(found, mistake{class, answer, images})
			}
		}
	}
	slices.SortFunc(found, func(a, b mistake) int {
		return cmp.Or(cmp.Compare(b.images, a.images), cmp.Compare(a.class, b.class), cmp.Compare(a.answer, b.answer))
	})
	if !all {
		found = found[:min(shownConfusions, len(found))]
	}
	for _, m := range found {
		class := r.Classes[m.class]
		t.Rows = append(t.Rows, []string{class.Class, r.Classes[m.answer].Class, strconv.Itoa(m.images), inPercentOf(m.images, class.Images)})
	}
	return t
}

func inPercent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// inPercentOf is the share of what was counted; empty of nothing.
func inPercentOf(part, whole int) string {
	if whole == 0 {
		return ""
	}
	return inPercent(float64(part) / float64(whole))
}

func interval(p binomial.Proportion) string {
	return fmt.Sprintf("%.2f–%.2f %%", 100*p.Low, 100*p.High)
}
