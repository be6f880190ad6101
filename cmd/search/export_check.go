package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"densenas/internal/backends"
	"densenas/internal/exit"
	"densenas/internal/onnxruntime"
	"densenas/search/dataset"
	"densenas/search/weights"
	"densenas/supernet/export"
	"densenas/supernet/network"
)

const (
	// checkTolerance is how far logits may differ, as a share of the largest of an image's where that is above 1.
	checkTolerance = 1e-4
	// checkBatch is the images of a call where the file takes any number.
	checkBatch = 32
	// noiseImages are compared where there are no others.
	noiseImages = 64
)

// agreement counts how two inferences agree.
type agreement struct {
	images       int
	difference   float64 // largest, as checkTolerance counts it
	otherAnswers int     // images whose largest logit is another one
	ours, theirs int     // correct answers
}

// add compares the logits of images, [len(labels), classes].
func (a *agreement) add(ours, theirs []float32, labels []int32) {
	classes := len(ours) / len(labels)
	for i, label := range labels {
		o, t := ours[i*classes:(i+1)*classes], theirs[i*classes:(i+1)*classes]
		scale := 1.0
		for _, v := range o {
			scale = max(scale, math.Abs(float64(v)))
		}
		for k := range o {
			d := math.Abs(float64(o[k])-float64(t[k])) / scale
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			a.difference = max(a.difference, d)
		}
		ourAnswer, theirAnswer := answer(o), answer(t)
		// Two logits that are closer than they are exact have no order.
		if ourAnswer != theirAnswer && float64(o[ourAnswer]-o[theirAnswer]) > 2*checkTolerance*scale {
			a.otherAnswers++
		}
		if ourAnswer == int(label) {
			a.ours++
		}
		if theirAnswer == int(label) {
			a.theirs++
		}
		a.images++
	}
}

// answer is the class of the largest logit, the first of several.
func answer(logits []float32) int {
	best := 0
	for k, v := range logits {
		if v > logits[best] {
			best = k
		}
	}
	return best
}

func (a *agreement) ok() bool { return a.difference <= checkTolerance && a.otherAnswers == 0 }

// check runs the model in ONNX Runtime and compares it with our inference. It returns what to say of it, or, where it is
// skipped, says why on standard error. RunData are the images of the run, empty where there is none.
func (o *exportOptions) check(ctx context.Context, model []byte, trained *weights.Trained, folded [][][]float32, runData string, stderr io.Writer) (string, error) {
	runtime, err := onnxruntime.Open(o.ONNXRuntime)
	if err != nil && o.ONNXRuntime != "" {
		return "", err
	}
	if err != nil {
		fmt.Fprintf(stderr, "the file is not checked in ONNX Runtime: %v\n", err)
		return "not checked", nil
	}
	session, err := runtime.Load(model, onnxruntime.Options{Inputs: []string{export.Input}, Outputs: []string{export.Logits}})
	if err != nil {
		return "", err
	}
	defer session.Close()
	b, err := backends.OpenWith(o.Backend, backends.Options{})
	if err != nil {
		return "", err
	}
	defer b.Finalize()
	size := cmp.Or(o.Batch, checkBatch)
	own, err := network.NewEvaluator(b.Backend, trained.Architecture, nil, size, folded)
	if err != nil {
		return "", err
	}
	defer own.Finalize()

	var agreed agreement
	compare := func(images []float32, labels []int32) error {
		ours, err := own.Logits(images)
		if err != nil {
			return err
		}
		a, n := trained.Architecture, size
		if o.Batch == 0 {
			n = len(labels) // a last batch that is not full
		}
		each := a.Resolution * a.Resolution * a.Channels
		theirs, err := session.Run(onnxruntime.Tensor{
			Dims: []int{n, a.Channels, a.Resolution, a.Resolution}, Data: export.ChannelsFirst(images[:n*each], n, a.Resolution, a.Channels),
		})
		if err != nil {
			return err
		}
		if dims := theirs[0].Dims; !slices.Equal(dims, []int{n, a.Classes}) {
			return fmt.Errorf("the logits have the shape %v in ONNX Runtime, want [%d %d]", dims, n, a.Classes)
		}
		agreed.add(ours[:len(labels)*a.Classes], theirs[0].Data[:len(labels)*a.Classes], labels)
		return nil
	}
	what, err := o.overImages(ctx, trained, runData, size, compare, stderr)
	if err != nil {
		return "", err
	}
	if !agreed.ok() {
		return "", fmt.Errorf("%s is not written: on %d %s ONNX Runtime %s differs from our inference by up to %.2g, allowed is %g, with %d other answers",
			o.Output, agreed.images, what, runtime.Version, agreed.difference, checkTolerance, agreed.otherAnswers)
	}
	text := fmt.Sprintf("checked in ONNX Runtime %s on %d %s: differs by at most %.2g, same answers", runtime.Version, agreed.images, what, agreed.difference)
	if what != noise {
		text += fmt.Sprintf(", %.2f %% correct (ours %.2f %%)", percent(agreed.theirs, agreed.images), percent(agreed.ours, agreed.images))
	}
	return text, nil
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

// noise is what images of no data set are called.
const noise = "images of noise"

// overImages calls compare for batches of test images: of --data, else of the run, else of noise. It returns what they are.
// Labels are those of the images that count; the rest of a batch is padding.
func (o *exportOptions) overImages(ctx context.Context, trained *weights.Trained, runData string, size int, compare func([]float32, []int32) error, stderr io.Writer) (string, error) {
	spec := cmp.Or(o.Data, runData)
	why := "no images are named: give --data"
	if spec != "" {
		data, err := openTestImages(ctx, spec, trained, true, stderr)
		switch {
		case err == nil:
			defer data.Close()
			return "test images of " + exit.OneLine(data.Name), o.overData(ctx, data, trained.Preprocessing, size, compare)
		case o.Data != "" || exit.Code(err) != exit.CodeBadInput:
			return "", err
		}
		why = fmt.Sprintf("the run's images cannot be used: %v; name others by --data", err)
	}
	fmt.Fprintf(stderr, "the file is checked on noise: %s\n", why)
	a := trained.Architecture
	r := rand.New(rand.NewPCG(1, 1))
	for done := 0; done < noiseImages; done += size {
		images, labels := make([]float32, size*a.Resolution*a.Resolution*a.Channels), make([]int32, size)
		for i := range images {
			images[i] = float32(r.NormFloat64())
		}
		if err := compare(images, labels); err != nil {
			return "", err
		}
	}
	return noise, ctx.Err()
}

// openTestImages opens data that must be of the kind that the network was trained on.
func openTestImages(ctx context.Context, spec string, trained *weights.Trained, skipCorrupt bool, stderr io.Writer) (*dataset.Dataset, error) {
	a := trained.Architecture
	data, err := openImages(ctx, spec, dataset.Options{Resolution: a.Resolution, Channels: a.Channels, Seed: 1, SkipCorrupt: skipCorrupt}, stderr)
	if err != nil {
		return nil, err
	}
	if classes := data.Preprocessing().Classes; !slices.Equal(classes, trained.Preprocessing.Classes) {
		data.Close()
		return nil, exit.BadInput("%s: has %d classes, not the %d that the network was trained on (%.60q, …); name the images of `search train`",
			spec, len(classes), a.Classes, trained.Preprocessing.Classes[0])
	}
	fmt.Fprintf(stderr, "data: %s\n", data.Describe())
	if here, there := data.Preprocessing(), trained.Preprocessing; here.View != there.View || here.CentreShare != there.CentreShare {
		fmt.Fprintf(stderr, "the network was trained on %s, share %g of the shorter side; of these images it sees %s, share %g\n", there.View, there.CentreShare, here.View, here.CentreShare)
	}
	return data, nil
}

// overData goes over test images in an order that mixes their classes.
func (o *exportOptions) overData(ctx context.Context, data *dataset.Dataset, p dataset.Preprocessing, size int, compare func([]float32, []int32) error) error {
	batches := data.Batches(ctx, dataset.Test, 0, dataset.BatchOptions{Size: size, Shuffle: true})
	defer batches.Close()
	for done := 0; done < o.Images; {
		b, err := batches.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.Renormalise(b.Images, data)
		n := min(b.Valid, o.Images-done)
		err = compare(b.Images, b.Labels[:n])
		b.Release()
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}
