package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"densenas/internal/backends"
	"densenas/internal/command"
	"densenas/internal/exit"
	"densenas/internal/files"
	"densenas/search/dataset"
	"densenas/search/rundir"
	"densenas/search/weights"
	"densenas/supernet/export"
	"densenas/supernet/space"
)

// The formats of search export.
const (
	formatONNX        = "onnx"
	formatSafetensors = "safetensors"
	formatNetConfig   = "net_config"
)

// exportOptions are what search export is asked for.
type exportOptions struct {
	Source        string // run folder, or file of an architecture
	Weights       string
	Format        string
	KeepBatchNorm bool
	Batch         int
	Output        string

	NoCheck     bool
	Data        string
	Images      int
	ONNXRuntime string
	Backend     string
}

func (o *exportOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Weights, "weights", "", "trained weights of the network: the -o of search train")
	f.StringVar(&o.Format, "format", formatONNX, "onnx, safetensors (the weights alone, as in the ONNX file) or net_config (the architecture alone)")
	f.BoolVar(&o.KeepBatchNorm, "keep-batch-norm", false, "keep batch norm as nodes and weights of its own, instead of folding it into the convolutions")
	f.IntVar(&o.Batch, "batch", 0, "fix the number of images of a call (default: any)")
	f.StringVarP(&o.Output, "output", "o", "", "file to write (net_config: default standard output)")
	f.BoolVar(&o.NoCheck, "no-check", false, "do not run the network in ONNX Runtime before the file is written")
	f.StringVar(&o.Data, "data", "", "images to compare ONNX Runtime on (default: the run's)")
	f.IntVar(&o.Images, "images", 256, "compare on at most so many test images")
	f.StringVar(&o.ONNXRuntime, "onnxruntime", "", "library of ONNX Runtime (default: looked for)")
	f.StringVar(&o.Backend, "backend", "auto", "what to compare with; "+backends.Usage)
}

func (o *exportOptions) Validate() error {
	switch {
	case o.Format != formatONNX && o.Format != formatSafetensors && o.Format != formatNetConfig:
		return exit.BadInput("--format is %q, allowed are %s, %s and %s", o.Format, formatONNX, formatSafetensors, formatNetConfig)
	case o.Format == formatNetConfig && (o.Weights != "" || o.KeepBatchNorm):
		return exit.BadInput("%s has no weights; leave --weights and --keep-batch-norm out, or choose another --format", formatNetConfig)
	case o.Format != formatNetConfig && o.Weights == "":
		return exit.BadInput("no weights to export: give --weights FILE, which `search train -o FILE` writes")
	case o.Format != formatNetConfig && o.Output == "":
		return exit.BadInput("no file to write: give -o FILE")
	case o.Batch != 0 && o.Format != formatONNX:
		return exit.BadInput("--batch is of ONNX files alone; leave it out, or choose --format %s", formatONNX)
	case o.Batch < 0 || o.Batch > 4096:
		return exit.BadInput("--batch is %d, allowed is 1 to 4096, or 0 for any", o.Batch)
	case o.Images < 1 || o.Images > 1e9:
		return exit.BadInput("--images is %d, allowed is 1 to 1000000000", o.Images)
	}
	if o.Output != "" {
		inputs := []string{o.Source, o.Weights, o.Data, o.ONNXRuntime}
		for _, name := range []string{rundir.ConfigFile, rundir.MetricsFile, rundir.ParametersFile, rundir.ArchitectureFile} {
			inputs = append(inputs, filepath.Join(o.Source, name))
		}
		if err := command.CheckOutput(o.Output, append(inputs, checkpointPath(o.Source))...); err != nil {
			return err
		}
	}
	if o.NoCheck || o.Format != formatONNX {
		return nil
	}
	return backends.Check(o.Backend, backends.Options{})
}

func newExportCommand() *cobra.Command {
	var o exportOptions
	c := &cobra.Command{
		Use:   "export (FOLDER | ARCH) --weights FILE -o FILE",
		Short: "Write a trained network as ONNX, or its weights or architecture alone",
		Long: `Write a trained network in a form that others run, of the architecture of a run folder or a file.

The ONNX file holds one graph from "input" (float32, [batch, channels, height, width]) to "logits", batch norm folded, and in its
metadata the preprocessing of images, the architecture, and what its table predicted.

Before it is written, the graph is run in ONNX Runtime on test images, and must give what our own inference gives: logits within
1e-4, and the same answers. Where ONNX Runtime is not there, that is said and the file is written unchecked.`,
		Example: `  search export run --weights trained.safetensors -o network.onnx
  search export run --weights trained.safetensors --batch 1 --images 10000 -o network.onnx
  search export phone.arch.json --weights trained.safetensors --data pictures.zip --keep-batch-norm -o network.onnx
  search export run --weights trained.safetensors --format safetensors -o network.safetensors
  search export run --format net_config`,
		Args: command.Arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Source = args[0]
			if err := o.Validate(); err != nil {
				return err
			}
			return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.AddFlags(c.Flags())
	return c
}

func (o *exportOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	a, runData, err := o.source()
	if err != nil {
		return err
	}
	if o.Format == formatNetConfig {
		return o.writeNetConfig(a, stdout)
	}
	trained, err := weights.Read(o.Weights)
	if err != nil {
		return err
	}
	if err := sameNetwork(o.Source, a, o.Weights, trained.Architecture); err != nil {
		return err
	}
	folded, err := trained.Fold()
	if err != nil {
		return err
	}
	layers := layersOf(a, trained, folded, o.KeepBatchNorm)
	metadata, err := o.metadata(a, trained)
	if err != nil {
		return err
	}
	if o.Format == formatSafetensors {
		return export.WriteTensors(o.Output, layers, metadata)
	}
	model, err := export.Model(layers, export.Options{
		Name: cmp.Or(a.Name, a.Space), Batch: o.Batch, Version: command.Version(), Doc: describeInput(trained.Preprocessing), Metadata: metadata,
	})
	if err != nil {
		return err
	}
	content, err := model.Encode()
	if err != nil {
		return exit.AsBadInput(err)
	}
	result := "not checked, as asked for"
	if !o.NoCheck {
		if result, err = o.check(ctx, content, trained, folded, runData, stderr); err != nil {
			return err
		}
	}
	if err := files.WriteBytes(o.Output, content); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: %d layers, %d bytes; %s\n", o.Output, len(layers), len(content), result)
	return err
}

// source reads the architecture, and of a run folder also what images it was searched on.
func (o *exportOptions) source() (a *space.Architecture, data string, err error) {
	path := o.Source
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		config, err := rundir.ReadConfig(path)
		if err != nil {
			return nil, "", err
		}
		data, path = config.Data, filepath.Join(path, rundir.ArchitectureFile)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, "", exit.BadInput("%s is not there: the run has not come to its end; continue it by `%s`, or name the file of an architecture",
				path, command.Line("search", "resume", o.Source))
		}
	}
	a, err = space.ReadArchitecture(path)
	return a, data, err
}

func (o *exportOptions) writeNetConfig(a *space.Architecture, stdout io.Writer) error {
	text, err := a.NetConfig()
	if err != nil {
		return exit.AsBadInput(err)
	}
	write := func(w io.Writer) error {
		_, err := fmt.Fprintln(w, text)
		return err
	}
	if o.Output == "" {
		return write(stdout)
	}
	return files.WriteAtomic(o.Output, write)
}

// sameNetwork refuses weights of another architecture. Resolution, channels and classes may differ: they are those of the data
// that the network was trained on.
func sameNetwork(source string, a *space.Architecture, file string, trained *space.Architecture) error {
	have := a.WithResolution(trained.Resolution).WithChannels(trained.Channels).WithClasses(trained.Classes)
	if len(have.Layers) != len(trained.Layers) {
		return exit.BadInput("%s are the weights of a network of %d layers, but %s has %d; name the weights that `search train --arch` of it wrote", file, len(trained.Layers), source, len(have.Layers))
	}
	names := export.Names(a)
	for i, l := range trained.Layers {
		if have.Layers[i].Op != l.Op {
			return exit.BadInput("%s are the weights of another network: %s is %s, but %s has %s; name the weights that `search train --arch` of it wrote",
				file, names[i], l.Op.Key(), source, have.Layers[i].Op.Key())
		}
	}
	return nil
}

// layersOf joins the names of a, which say where its blocks lie in the space, with the weights.
func layersOf(a *space.Architecture, trained *weights.Trained, folded [][][]float32, keep bool) []export.Layer {
	names := export.Names(a)
	layers := make([]export.Layer, len(names))
	for i, l := range trained.Architecture.Layers {
		layers[i] = export.Layer{Name: names[i], Op: l.Op, Params: folded[i]}
		if keep {
			layers[i].Params, layers[i].Statistics = trained.Layers[i].Params, trained.Layers[i].Statistics
		}
	}
	return layers
}

// metadata is what the file says about the network, for programs; docs/exporting.md lists it.
func (o *exportOptions) metadata(a *space.Architecture, trained *weights.Trained) (map[string]string, error) {
	preprocessing, err := json.Marshal(trained.Preprocessing)
	if err != nil {
		return nil, err
	}
	// The architecture as trained, with what was known of it: its prediction is of the deployed one.
	network := *trained.Architecture
	network.Predicted = nil
	architecture, err := json.Marshal(&network)
	if err != nil {
		return nil, err
	}
	m := map[string]string{
		"densenas.version":       command.Version(),
		"densenas.architecture":  string(architecture),
		"densenas.preprocessing": string(preprocessing),
		"densenas.batch_norm":    "folded",
	}
	if o.KeepBatchNorm {
		m["densenas.batch_norm"] = "kept"
	}
	if a.Space != "" {
		m["densenas.space"] = a.Space
	}
	if p := a.Predicted; p != nil {
		number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
		m["densenas.predicted_latency_ms"] = number(p.LatencyMS)
		m["densenas.predicted_low_ms"] = number(p.LowMS)
		m["densenas.predicted_high_ms"] = number(p.HighMS)
		m["densenas.predicted_verified"] = strconv.FormatBool(p.Verified)
		m["densenas.predicted_for"] = fmt.Sprintf("%d×%d×%d images of %d classes", a.Resolution, a.Resolution, a.Channels, a.Classes)
		m["densenas.table"] = p.Table
	}
	return m, nil
}

// describeInput says for people how an image becomes the input.
func describeInput(p dataset.Preprocessing) string {
	var means, deviations []string
	for c := range p.Mean {
		means = append(means, strconv.FormatFloat(float64(p.Mean[c]), 'g', 6, 32))
		deviations = append(deviations, strconv.FormatFloat(float64(p.Std[c]), 'g', 6, 32))
	}
	view := p.View
	if p.CentreShare < 1 {
		view += fmt.Sprintf(" of %g of the shorter side", p.CentreShare)
	}
	return fmt.Sprintf("Input: %s image, %s, resized to %d×%d (%s), pixel values / %g, minus mean [%s], divided by std [%s], channels first.",
		p.Colours, view, p.Resolution, p.Resolution, p.Resize, p.PixelScale, strings.Join(means, ", "), strings.Join(deviations, ", "))
}
