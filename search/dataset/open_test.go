package dataset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"densenas/internal/testdata"
)

func TestOpenImages(t *testing.T) {
	parted := byClassFiles(t, []string{"train", "test"}, []string{"cat", "dog"}, 10)
	alone := byClassFiles(t, []string{""}, []string{"cat", "dog"}, 10)
	for name, c := range map[string]struct {
		spec        string
		train, test int
		note        string
	}{
		"folder":         {writeFolder(t, parted), 20, 20, ""},
		"zip":            {writeFile(t, "images.zip", zipOf(t, parted)), 20, 20, ""},
		"classes":        {writeFolder(t, alone), 16, 4, "no test folder"},
		"zip of classes": {writeFile(t, "images.zip", zipOf(t, alone)), 16, 4, "no test folder"},
	} {
		t.Run(name, func(t *testing.T) {
			last, total := 0, 0
			d := mustOpen(t, c.spec, Options{Workers: 3, Progress: func(done, of int) {
				if done <= last || done > of {
					t.Errorf("progress from %d to %d of %d", last, done, of)
				}
				last, total = done, of
			}})
			if d.Count(TrainAll) != c.train || d.Count(Test) != c.test || d.Count(Train)+d.Count(HeldOut) != c.train || d.Count(HeldOut) != 4 {
				t.Errorf("%d = %d + %d training, %d test images", d.Count(TrainAll), d.Count(Train), d.Count(HeldOut), d.Count(Test))
			}
			if last != total || total != 2*(c.train+c.test) {
				t.Errorf("progress ended at %d of %d", last, total)
			}
			text := d.Describe()
			for _, word := range []string{d.Name, "2 classes (cat, dog)", "32×32×3", "crop-flip", c.note} {
				if !strings.Contains(text, word) {
					t.Errorf("%q lacks %q", text, word)
				}
			}
			for text, want := range map[string]string{
				text:              fmt.Sprintf("), %d training + 4 held-out + %d test images,", c.train-4, c.test),
				d.DescribeWhole(): fmt.Sprintf("), %d training + %d test images,", c.train, c.test),
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%q lacks %q", text, want)
				}
			}
			for part := range TrainAll + 1 {
				for _, i := range d.parts[part] {
					if name := d.source.(*imageFiles).files[i].path; strings.Contains(name, "cat") != (d.labels[i] == 0) {
						t.Errorf("%s has label %d", name, d.labels[i])
					}
				}
			}
		})
	}
}

func TestPartsAreDisjoint(t *testing.T) {
	d := mustOpen(t, writeFolder(t, byClassFiles(t, []string{""}, []string{"a", "b"}, 20)), Options{Limit: 20})
	seen := map[int32]Part{}
	for _, part := range []Part{Train, HeldOut, Test} {
		for _, i := range d.parts[part] {
			if other, twice := seen[i]; twice {
				t.Errorf("image %d is %v and %v", i, other, part)
			}
			seen[i] = part
		}
	}
	if d.Count(TrainAll) != 20 || d.Count(Test) != 8 || len(seen) != 28 {
		t.Errorf("%d training, %d test images, %d in all", d.Count(TrainAll), d.Count(Test), len(seen))
	}
}

func TestOpenRefuses(t *testing.T) {
	folder := writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 3))
	for name, c := range map[string]struct {
		spec string
		o    Options
		word string
	}{
		"nothing":      {"", Options{}, "use mnist"},
		"absent":       {filepath.Join(folder, "absent"), Options{}, "no such file or folder"},
		"unknown kind": {"imagenet:" + folder, Options{}, "use mnist, mnist:DIR, cifar10:DIR"},
		"no folder":    {"cifar10:", Options{}, "cifar10: names no folder"},
		"nor here":     {"mnist:", Options{}, "mnist: names no folder"},
		"not a zip":    {writeFile(t, "images.zip", []byte("PK or so")), Options{}, "no readable zip"},
		"cut zip":      {writeFile(t, "images.zip", zipOf(t, byClassFiles(t, []string{""}, []string{"a", "b"}, 3))[:200]), Options{}, "no readable zip"},
		"device":       {os.DevNull, Options{}, "neither a file nor a folder"},
		"few images":   {writeFolder(t, byClassFiles(t, []string{""}, []string{"a", "b"}, 2)), Options{}, "class a has 2 images; 3 are needed"},
		"one to train": {writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 1)), Options{}, "class a has 1 training images"},
		"resolution":   {folder, Options{Resolution: 4}, "resolution 4"},
		"channels":     {folder, Options{Channels: 2}, "channels 2"},
		"share":        {folder, Options{HeldOutShare: 1}, "held-out share 1"},
		"share nan":    {folder, Options{HeldOutShare: math.NaN()}, "held-out share NaN"},
		"limit":        {folder, Options{Limit: 3}, "limit of 3"},
		"negative":     {folder, Options{Limit: -1}, "limit of -1"},
		"augmentation": {folder, Options{Augmentation: "rotate"}, `augmentation "rotate"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.spec, c.o)
			wantBadInput(t, err, c.word)
		})
	}
}

// Names in folders and archives are a stranger's, and are shown on a terminal.
func TestDescribeShowsNoControlCharacters(t *testing.T) {
	const colour, back, line, title = "a\x1b[31m", "b\rgone", "c\nforged: line", "d\u009b2J\u202e"
	files := byClassFiles(t, []string{"train", "test"}, []string{colour, back, line, title}, 4)
	files["train/"+colour+"/\x1b]0;owned\x07.png"] = []byte("no image")
	files["ex\x1b[2Jtra\nx/one/1.png"] = pngOf(t, 8, 8, 1)
	for _, spec := range []string{writeFolder(t, files), writeFile(t, "ima\x1bges.zip", zipOf(t, files))} {
		d := mustOpen(t, spec, Options{SkipCorrupt: true})
		if len(d.Classes) != 4 || d.Classes[0] != colour {
			t.Errorf("classes %q", d.Classes)
		}
		lines := strings.Split(d.Describe(), "\n")
		if len(lines) != 3 {
			t.Errorf("%d lines, want one of the data, one note and one of the corrupt image:\n%q", len(lines), lines)
		}
		for _, text := range append(lines, d.Notes...) {
			if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("control characters: %q", text)
			}
		}
		if !strings.Contains(lines[0], "(a\uFFFD[31m, b\uFFFDgone, c forged: line, d\uFFFD2J\uFFFD)") {
			t.Errorf("classes are not shown: %q", lines[0])
		}
	}
}

func TestCorruptImages(t *testing.T) {
	files := byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 10)
	files["train/a/003.png"] = files["train/a/003.png"][:60] // found by decoding
	files["train/b/007.png"] = []byte("no image")            // found by its header
	files["test/b/001.png"] = pngHeader(20000, 20000)        // too large
	bad := []string{"test/b/001.png", "train/a/003.png", "train/b/007.png"}
	for _, spec := range []string{writeFolder(t, files), writeFile(t, "images.zip", zipOf(t, files))} {
		_, err := Open(spec, Options{})
		wantBadInput(t, err, spec, "corrupt image train/a/003.png", "(3 of 40 images)", "--skip-corrupt")

		d := mustOpen(t, spec, Options{SkipCorrupt: true})
		if !slices.Equal(d.Corrupt(), bad) || d.Count(TrainAll) != 18 || d.Count(Test) != 19 {
			t.Errorf("corrupt %v, %d and %d images", d.Corrupt(), d.Count(TrainAll), d.Count(Test))
		}
		if !strings.Contains(d.Describe(), "3 corrupt images left out, first: test/b/001.png") {
			t.Error(d.Describe())
		}
	}
	for i := range 9 {
		files["train/a/00"+string(rune('0'+i))+".png"] = []byte("no image")
	}
	_, err := Open(writeFolder(t, files), Options{SkipCorrupt: true})
	wantBadInput(t, err, "class a has 1 training images that can be read")
}

func TestNormalisedTrainingData(t *testing.T) {
	for _, channels := range []int{1, 3} {
		d := mustOpen(t, writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 10)), Options{Channels: channels})
		var count, sum, squares float64
		for _, b := range readAll(t, d.Batches(t.Context(), TrainAll, 0, BatchOptions{Size: 20})) {
			for _, v := range b.Images {
				count++
				sum += float64(v)
				squares += float64(v) * float64(v)
			}
		}
		if mean := sum / count; math.Abs(mean) > 1e-4 || math.Abs(squares/count-1) > 1e-3 || len(d.Mean) != channels || len(d.Std) != channels {
			t.Errorf("mean %g, mean square %g; by %v and %v", mean, squares/count, d.Mean, d.Std)
		}
	}
}

// Mean and deviation belong to the data, not to the seed or the workers.
func TestMeanDoesNotDependOnSeed(t *testing.T) {
	spec := writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 10))
	one := mustOpen(t, spec, Options{Seed: 1, Workers: 1})
	two := mustOpen(t, spec, Options{Seed: 2, Workers: 4, CacheBytes: -1})
	if !slices.Equal(one.Mean, two.Mean) || !slices.Equal(one.Std, two.Std) {
		t.Errorf("%v %v and %v %v", one.Mean, one.Std, two.Mean, two.Std)
	}
	if slices.Equal(one.parts[HeldOut], two.parts[HeldOut]) {
		t.Error("two seeds hold the same images out")
	}
}

func TestIdentity(t *testing.T) {
	files := byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 3)
	folder := writeFolder(t, files)
	first := mustOpen(t, folder, Options{}).Identity()
	if again := mustOpen(t, writeFolder(t, files), Options{Seed: 5, Limit: 5}).Identity(); again != first {
		t.Errorf("the same files have identities %s and %s", first, again)
	}
	archived := mustOpen(t, writeFile(t, "i.zip", zipOf(t, files)), Options{}).Identity()
	files["train/a/000.png"], files["train/a/001.png"] = files["train/a/001.png"], files["train/a/000.png"]
	if swapped := mustOpen(t, writeFile(t, "i.zip", zipOf(t, files)), Options{}).Identity(); swapped == archived {
		t.Error("other contents in an archive have the same identity")
	}
	delete(files, "train/a/002.png")
	if fewer := mustOpen(t, writeFolder(t, files), Options{}).Identity(); fewer == first {
		t.Error("fewer files have the same identity")
	}

	digits := mnistFiles(t, 20, 10)
	one := mustOpen(t, writeFolder(t, digits), Options{}).Identity()
	digits["train-labels-idx1-ubyte.gz"] = idxOf(idxLabelsMagic, []uint32{20}, []byte{1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	if two := mustOpen(t, writeFolder(t, digits), Options{}).Identity(); one == two {
		t.Error("other labels have the same identity")
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.zip")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		dir: dir, "mnist:" + dir: dir, "cifar10:" + dir: dir, file: "", "mnist": "", "mnist:": "", dir + "/none": "",
	} {
		if got := Folder(spec); got != want {
			t.Errorf("folder of %s is %q, want %q", spec, got, want)
		}
	}
}

func TestOpenIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := OpenContext(ctx, writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 3)), Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A file that has gone is not a corrupt image: skipping it would hide that the data are not there.
func TestMissingFileIsNotSkipped(t *testing.T) {
	spec := writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 3))
	d := mustOpen(t, spec, Options{SkipCorrupt: true, CacheBytes: -1})
	if err := os.RemoveAll(filepath.Join(spec, "test", "b")); err != nil {
		t.Fatal(err)
	}
	it := d.Batches(t.Context(), Test, 0, BatchOptions{Size: 6})
	defer it.Close()
	_, err := it.Next()
	wantBadInput(t, err, "test/b/000.png")
	if len(d.Corrupt()) > 0 {
		t.Errorf("corrupt: %v", d.Corrupt())
	}
}

func TestSharedArchive(t *testing.T) {
	d := mustOpen(t, testdata.Shared(t, "data/cifar10-jpeg.zip"), Options{Limit: 1000})
	if len(d.Classes) != 10 || d.Count(TrainAll) != 1000 || d.Count(Test) != 4000 || d.Count(HeldOut) != 200 {
		t.Error(d.Describe())
	}
	for c, want := range []float32{0.491, 0.482, 0.447} { // of all of CIFAR-10
		if math.Abs(float64(d.Mean[c]-want)) > 0.02 {
			t.Errorf("mean %v, want about %v", d.Mean, want)
		}
	}
}

// SplitSeed decides which images are held out and selected, and Seed no more than the order of the others.
func TestSplitSeedHoldsTheSameImagesOut(t *testing.T) {
	folder := writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 20))
	parts := func(seed, split uint64) [2][]int32 {
		d := mustOpen(t, folder, Options{Seed: seed, SplitSeed: split, Limit: 30})
		return [2][]int32{d.parts[Train], d.parts[HeldOut]}
	}
	same := func(a, b [2][]int32) bool { return slices.Equal(a[0], b[0]) && slices.Equal(a[1], b[1]) }
	want := parts(1, 7)
	if !same(want, parts(2, 7)) || !same(want, parts(7, 0)) {
		t.Error("the same split seed holds other images out")
	}
	if same(want, parts(1, 8)) {
		t.Error("another split seed holds the same images out")
	}
}
