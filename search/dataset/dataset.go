package dataset

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"densenas/internal/exit"
)

// Part is a part of the data.
type Part uint8

const (
	// Train is the training data less the held-out share.
	Train Part = iota
	// HeldOut is the share of the training data that is held out of Train.
	HeldOut
	// Test is the test data.
	Test
	// TrainAll is Train and HeldOut together, for training a derived network.
	TrainAll
)

// String names a part as messages do.
func (p Part) String() string {
	switch p {
	case Train:
		return "training"
	case HeldOut:
		return "held-out"
	case Test:
		return "test"
	case TrainAll:
		return "whole training"
	}
	return fmt.Sprintf("part %d", uint8(p))
}

// Dataset is opened data. Its methods may be called by several goroutines.
type Dataset struct {
	// Name is short: mnist, cifar10, or the name of the folder or archive.
	Name string
	// Classes are the names of the labels.
	Classes []string
	// Resolution and Channels are the shape of the images in a batch.
	Resolution, Channels int
	// Mean and Std are the mean and standard deviation, of pixel values scaled to 0…1, that images are normalised by, one of each
	// per channel. They come from at most 2,000 training images, drawn alike for every seed, as evaluation sees them.
	Mean, Std []float32
	// Augmentation of the training images, as chosen.
	Augmentation Augmentation
	// Notes say what was decided about the data that its owner may not expect, one sentence each.
	Notes []string

	options  Options
	source   source
	labels   []int32 // of every image of the source
	parts    [TrainAll + 1][]int32
	identity string
	geometry geometry
	normal   *normaliser
	pool     pool

	mutex   sync.Mutex
	corrupt map[string]bool
}

// Close frees the data. No iterator may be in use.
func (d *Dataset) Close() error { return d.source.Close() }

// Count is the number of images of a part.
func (d *Dataset) Count(p Part) int {
	if int(p) >= len(d.parts) {
		return 0
	}
	return len(d.parts[p])
}

// Identity is a digest of the data as found, before any option: the contents of MNIST and CIFAR-10 files; the names and
// sizes, in archives also the checksums, of the files of images by class.
func (d *Dataset) Identity() string { return d.identity }

// Corrupt names the images that were left out because they could not be decoded, sorted.
func (d *Dataset) Corrupt() []string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	names := make([]string, 0, len(d.corrupt))
	for name := range d.corrupt {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (d *Dataset) noteCorrupt(name string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.corrupt == nil {
		d.corrupt = map[string]bool{}
	}
	d.corrupt[name] = true
}

// Describe says in a line what the data are, and in one more per note what was decided about them. Names from the data are
// shown without what a terminal would obey.
func (d *Dataset) Describe() string {
	return d.describe(fmt.Sprintf("%d training + %d held-out", d.Count(Train), d.Count(HeldOut)))
}

// DescribeWhole is Describe for those who train on all training images, and hold none out.
func (d *Dataset) DescribeWhole() string {
	return d.describe(fmt.Sprintf("%d training", d.Count(TrainAll)))
}

func (d *Dataset) describe(training string) string {
	var text strings.Builder
	var names []string
	for _, class := range d.Classes[:min(10, len(d.Classes))] {
		names = append(names, exit.OneLine(class))
	}
	more := ""
	if len(d.Classes) > len(names) {
		more = ", …"
	}
	fmt.Fprintf(&text, "%s: %d classes (%s%s), %s + %d test images, %d×%d×%d", exit.OneLine(d.Name), len(d.Classes), strings.Join(names, ", "), more,
		training, d.Count(Test), d.Resolution, d.Resolution, d.Channels)
	fmt.Fprintf(&text, ", augmentation %s, mean %s, std %s", d.Augmentation, decimals(d.Mean), decimals(d.Std))
	for _, note := range d.Notes {
		text.WriteString("\n" + exit.OneLine(note))
	}
	if bad := d.Corrupt(); len(bad) > 0 {
		fmt.Fprintf(&text, "\n%d corrupt images left out, first: %s", len(bad), exit.OneLine(bad[0]))
	}
	return text.String()
}

func decimals(values []float32) string {
	var words []string
	for _, v := range values {
		words = append(words, fmt.Sprintf("%.4f", v))
	}
	return strings.Join(words, " ")
}
