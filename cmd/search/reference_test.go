package main

import (
	"path/filepath"
	"testing"

	"densenas/lut"
	"densenas/supernet/space"
)

func TestReferenceWritesMobileNetV2(t *testing.T) {
	file, tablePath := filepath.Join(t.TempDir(), "a.arch.json"), filepath.Join(t.TempDir(), "a.lut.json")
	args := []string{"reference", "mobilenetv2", "--width", "0.75", "--resolution", "32", "--classes", "10"}
	if out, _ := succeed(t, append(args, "-o", file)...); out != "" {
		t.Errorf("printed %q", out)
	}
	a, err := space.ReadArchitecture(file)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := space.ParseArchitecture("standard output", []byte(func() string { out, _ := succeed(t, "reference", "mobilenetv2"); return out }()))
	if err != nil {
		t.Fatal(err)
	}
	if a.Resolution != 32 || a.Classes != 10 || a.Predicted != nil || a.Layers[0].Op.Out != 24 || len(a.Layers) != len(whole.Layers) || whole.Parameters() != 3504872 {
		t.Errorf("%+v; the whole one has %d parameters", a, whole.Parameters())
	}
	table := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{32}, DType: "f32", Layout: "nhwc"}
	for _, c := range a.Counts() {
		table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.5})
	}
	if err := table.Write(tablePath); err != nil {
		t.Fatal(err)
	}
	succeed(t, append(args, "--lut", tablePath, "-o", file)...)
	if a, err = space.ReadArchitecture(file); err != nil || a.Predicted == nil || a.Predicted.LatencyMS != 0.5*float64(len(a.Layers)) {
		t.Errorf("%+v, %v", a.Predicted, err)
	}
	// Fewer halvings are the last ones: the classifier sees larger maps, with the same parameters.
	succeed(t, append(args, "--halvings", "3", "-o", file)...)
	if b, err := space.ReadArchitecture(file); err != nil || b.Layers[0].Op.Stride != 1 || b.Layers[4].Op.Stride != 2 || b.Parameters() != a.Parameters() || b.MultiplyAdds() <= a.MultiplyAdds() {
		t.Errorf("with three halvings %+v, %v", b, err)
	}
	refused(t, append(args, "--halvings", "6"), "--halvings is 6, allowed is 0 to 5")
	refused(t, []string{"reference", "resnet"}, `unknown reference "resnet", known is mobilenetv2`)
	refused(t, append(args, "--width", "0"), "--width is 0")
	refused(t, append(args, "--classes", "0"), "--classes is 0")
	refused(t, append(args, "--width", "1.4", "--lut", tablePath), "keys missing")
	refused(t, append(args, "-o", t.TempDir()), "is not a file")
}
