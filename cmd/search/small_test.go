package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
	"densenas/supernet/space"
)

// A space, a table, images and a configuration that make a search of a second on the go backend.

const smallSpace = `kind: densenas.space
schema_version: 1
name: small
resolution: 8
channels: 3
classes: 3
forward: 2
stem: {kernel: 3, width: 4, stride: 1}
first: mbconv_k3_t1
head: [mbconv_k3_t3, mbconv_k3_t6]
stack: [mbconv_k3_t3, skip]
blocks:
  - {width: 4, stride: 1, stage: 0, layers: 0}
  - {width: 6, stride: 2, stage: 1, layers: 1}
  - {width: 8, stride: 2, stage: 1, layers: 1}
final: {width: 16, stage: 2}
`

const smallConfig = `kind: densenas.config
schema_version: 1
batch: 8
epochs: 3
architecture_epoch: 1
rate: 0.05
min_rate: 0.001
architecture_rate: 0.05
held_out_share: 0.4
`

var smallClasses = map[string]color.RGBA{"blue": {30, 30, 220, 255}, "green": {30, 220, 30, 255}, "red": {220, 30, 30, 255}}

// small names the files of a small search.
type small struct{ space, table, data, config string }

// smallFiles writes them. Choices of lowerings go to a file of the test.
func smallFiles(t *testing.T) small {
	t.Helper()
	root := t.TempDir()
	// Where the user's cache is on the systems that Go knows.
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, filepath.Join(root, "cache"))
	}
	f := small{
		space: filepath.Join(root, "small.yaml"), table: filepath.Join(root, "small.lut.json"),
		data: filepath.Join(root, "images"), config: filepath.Join(root, "config.yaml"),
	}
	write(t, f.space, smallSpace)
	write(t, f.config, smallConfig)
	writeTable(t, f, nil)
	r := rand.New(rand.NewPCG(1, 2))
	for class, c := range smallClasses {
		for i := range 24 {
			writeImage(t, filepath.Join(f.data, class, fmt.Sprintf("%02d.png", i)), c, r)
		}
	}
	return f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// writeTable writes a table with every op of the space; change, where given, is applied before.
func writeTable(t *testing.T, f small, change func(*lut.Table)) {
	t.Helper()
	s, err := space.Load(f.space)
	if err != nil {
		t.Fatal(err)
	}
	table := &lut.Table{Device: lut.Device{Model: "test"}, Runtime: lut.Runtime{Name: "go"}, Batch: 1, Resolutions: []int{8}, DType: "f32", Layout: "nhwc"}
	for _, c := range s.Ops() {
		table.Entries = append(table.Entries, lut.Entry{Key: c.Op.Key(), MedianMS: 0.01 + float64(c.Op.MultiplyAdds())*1e-5})
	}
	if change != nil {
		change(table)
	}
	if err := table.Write(f.table); err != nil {
		t.Fatal(err)
	}
}

// writeImage writes an 8×8 image of a colour with some noise.
func writeImage(t *testing.T, path string, c color.RGBA, r *rand.Rand) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	noise := func(v uint8) uint8 { return uint8(int(v) + r.IntN(30)) }
	for y := range 8 {
		for x := range 8 {
			img.SetRGBA(x, y, color.RGBA{noise(c.R), noise(c.G), noise(c.B), 255})
		}
	}
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, data.String())
}

// args are those of search run on the files; more follow, which go before them where they say the same again.
func (f small) args(folder string, more ...string) []string {
	return append([]string{"run", "--space", f.space, "--lut", f.table, "--data", f.data, "--config", f.config, "--backend", "go", "-o", folder}, more...)
}

// with is the same with another table.
func (f small) with(table string) small {
	f.table = table
	return f
}

// succeed runs the program and returns what it printed.
func succeed(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if err := run(context.Background(), args, &out, &errs); err != nil {
		t.Fatalf("search %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String()
}

// refused runs the program, which must refuse its input in one line that holds every one of the messages, and print nothing
// to standard output.
func refused(t *testing.T, args []string, messages ...string) {
	t.Helper()
	var out bytes.Buffer
	err := run(context.Background(), args, &out, io.Discard)
	if err == nil || exit.Code(err) != exit.CodeBadInput || strings.Contains(err.Error(), "\n") || out.Len() > 0 {
		t.Errorf("search %s: code %d, printed %q, error %v; want one line and code %d", strings.Join(args, " "), exit.Code(err), out.String(), err, exit.CodeBadInput)
		return
	}
	for _, message := range messages {
		if !strings.Contains(err.Error(), message) {
			t.Errorf("search %s: %q does not say %q", strings.Join(args, " "), err, message)
		}
	}
}
