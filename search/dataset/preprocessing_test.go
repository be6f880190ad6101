package dataset

import (
	"context"
	"encoding/json"
	"image/color"
	"math"
	"testing"

	"densenas/internal/files"
)

// firstTest is the first image of the test part.
func firstTest(t *testing.T, d *Dataset) []float32 {
	t.Helper()
	batches := d.Batches(context.Background(), Test, 0, BatchOptions{Size: 1})
	defer batches.Close()
	b, err := batches.Next()
	if err != nil {
		t.Fatal(err)
	}
	return b.Images
}

func openFiles(t *testing.T, images map[string][]byte, o Options) *Dataset {
	t.Helper()
	d, err := Open(writeFolder(t, images), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// What the description says, done by hand to an image of one colour, is what evaluation gives.
func TestPreprocessingDescribesEvaluation(t *testing.T) {
	images := byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 4)
	images["test/a/000.png"] = jpegOf(t, uniform(40, 40, color.RGBA{200, 100, 50, 255}))
	for _, channels := range []int{1, 3} {
		d := openFiles(t, images, Options{Resolution: 16, Channels: channels})
		p := d.Preprocessing()
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		if p.Channels() != channels || p.Resolution != 16 || p.View != ViewCentre || p.CentreShare != 1 || len(p.Classes) != 2 || p.Classes[1] != "b" {
			t.Errorf("%+v", p)
		}
		pixel := []float64{200, 100, 50}
		if p.Colours == "gray" {
			pixel = []float64{0.299*200 + 0.587*100 + 0.114*50}
		}
		for i, got := range firstTest(t, d) {
			c := i % channels
			want := (pixel[c]/p.PixelScale - float64(p.Mean[c])) / float64(p.Std[c])
			if math.Abs(float64(got)-want) > 0.03 { // a jpeg's colours are not exact
				t.Fatalf("%d channels: value %d is %g, by the description %g", channels, i, got, want)
			}
		}
	}
}

func TestPreprocessingOfPhotographsAndDigits(t *testing.T) {
	large := map[string][]byte{}
	for _, part := range []string{"train", "test"} {
		for i, class := range []string{"a", "b"} {
			for k := range 3 {
				large[part+"/"+class+"/"+string(rune('0'+k))+".png"] = pngOf(t, 80, 90, i+2*k)
			}
		}
	}
	if p := openFiles(t, large, Options{Resolution: 64}).Preprocessing(); p.View != ViewCentre || p.CentreShare != 0.875 {
		t.Errorf("large images: %+v", p)
	}
	digits, err := Open("mnist", Options{Resolution: 32})
	if err != nil {
		t.Fatal(err)
	}
	defer digits.Close()
	if p := digits.Preprocessing(); p.View != ViewPadded || p.Colours != "gray" || len(p.Classes) != 10 {
		t.Errorf("digits: %+v", p)
	}
}

func TestPreprocessingRoundTripAndCheck(t *testing.T) {
	d := openFiles(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 3), Options{Resolution: 32})
	good := d.Preprocessing()
	data, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var read Preprocessing
	if err := files.DecodeJSON("p", data, &read); err != nil || read.Check() != nil {
		t.Errorf("%v, %v", err, read.Check())
	}
	for name, change := range map[string]func(p *Preprocessing){
		"resolution": func(p *Preprocessing) { p.Resolution = 4000 },
		"colours":    func(p *Preprocessing) { p.Colours = "bgr" },
		"view":       func(p *Preprocessing) { p.View = "" },
		"share":      func(p *Preprocessing) { p.CentreShare = 0 },
		"resize":     func(p *Preprocessing) { p.Resize = "nearest" },
		"scale":      func(p *Preprocessing) { p.PixelScale = 1 },
		"channels":   func(p *Preprocessing) { p.Mean = p.Mean[:1] },
		"mean":       func(p *Preprocessing) { p.Mean = []float32{2, 0, 0} },
		"std":        func(p *Preprocessing) { p.Std = []float32{1, 0, 1} },
		"classes":    func(p *Preprocessing) { p.Classes = nil },
	} {
		p := d.Preprocessing()
		change(&p)
		if p.Check() == nil {
			t.Errorf("%s: %+v was accepted", name, p)
		}
	}
}

// Images of data that were measured otherwise become those of the description.
func TestRenormalise(t *testing.T) {
	images := byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 6)
	all, some := openFiles(t, images, Options{Resolution: 32}), openFiles(t, images, Options{Resolution: 32, Limit: 4})
	if all.Mean[0] == some.Mean[0] {
		t.Fatal("a limit does not change the mean here: the test shows nothing")
	}
	want, got := firstTest(t, all), firstTest(t, some)
	all.Preprocessing().Renormalise(got, some)
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Fatalf("value %d is %g, want %g", i, got[i], want[i])
		}
	}
}
