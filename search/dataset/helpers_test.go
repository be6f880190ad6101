package dataset

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
)

// pngOf encodes an image of which every pixel tells its place and seed.
func pngOf(t testing.TB, height, width, seed int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, color.RGBA{uint8(x*7 + seed), uint8(y*5 + seed*3), uint8(x ^ y + seed*11), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func uniform(height, width int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range height * width {
		img.Set(i%width, i/width, c)
	}
	return img
}

// byClassFiles are n images of 32×32 for each class of each part.
func byClassFiles(t testing.TB, parts, classes []string, n int) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	seed := 0
	for _, part := range parts {
		for _, class := range classes {
			for i := range n {
				files[strings.TrimPrefix(fmt.Sprintf("%s/%s/%03d.png", part, class, i), "/")] = pngOf(t, 32, 32, seed)
				seed++
			}
		}
	}
	return files
}

// writeFolder writes files by their slash paths; a name that ends with a slash is an empty folder.
func writeFolder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o777); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// zipOf archives files in the order of their names.
func zipOf(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entry, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// idxOf builds an idx file: magic, sizes, body.
func idxOf(magic uint32, sizes []uint32, body []byte) []byte {
	data := binary.BigEndian.AppendUint32(nil, magic)
	for _, n := range sizes {
		data = binary.BigEndian.AppendUint32(data, n)
	}
	return append(data, body...)
}

func gzipOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mnistFiles are train and test digits of 28×28: image i has label i%10 and its pixels are i+1.
func mnistFiles(t testing.TB, train, test int) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for part, n := range map[string]int{mnistTrain: train, mnistTest: test} {
		var pixels, labels []byte
		for i := range n {
			pixels = append(pixels, bytes.Repeat([]byte{byte(i + 1)}, 28*28)...)
			labels = append(labels, byte(i%10))
		}
		files[mnistImages(part)+".gz"] = gzipOf(t, idxOf(idxImagesMagic, []uint32{uint32(n), 28, 28}, pixels))
		files[mnistLabels(part)+".gz"] = gzipOf(t, idxOf(idxLabelsMagic, []uint32{uint32(n)}, labels))
	}
	return files
}

// cifarBatch is n records; record i has label i%10, and channel c of pixel p is i+c+p.
func cifarBatch(n int) []byte {
	var data []byte
	for i := range n {
		data = append(data, byte(i%10))
		for c := range 3 {
			for p := range cifarPlane {
				data = append(data, byte(i+c+p))
			}
		}
	}
	return data
}

func mustOpen(t testing.TB, spec string, o Options) *Dataset {
	t.Helper()
	d, err := Open(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// wantBadInput fails unless err is one line of bad input with these words.
func wantBadInput(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	if exit.Code(err) != exit.CodeBadInput {
		t.Errorf("exit code %d for %v", exit.Code(err), err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q lacks %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has several lines: %q", err)
	}
}

// readAll collects copies of the batches of an epoch.
func readAll(t testing.TB, it *Iterator) []Batch {
	t.Helper()
	defer it.Close()
	var batches []Batch
	for {
		b, err := it.Next()
		if err == io.EOF {
			return batches
		}
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, Batch{Index: b.Index, Images: slices.Clone(b.Images), Labels: slices.Clone(b.Labels), Valid: b.Valid})
		b.Release()
	}
}

// photograph is a jpeg of smooth colours that its seed decides.
func photograph(t testing.TB, height, width, seed int, gray bool) []byte {
	t.Helper()
	colours := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			colours.SetRGBA(x, y, color.RGBA{uint8(x + 13*seed), uint8(y + 29*seed), uint8((x + y + 7*seed) / 2), 255})
		}
	}
	if !gray {
		return jpegOf(t, colours)
	}
	grays := image.NewGray(colours.Rect)
	draw.Draw(grays, grays.Rect, colours, image.Point{}, draw.Src)
	return jpegOf(t, grays)
}
