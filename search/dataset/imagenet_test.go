package dataset

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// ImageNet's folders as they are: jpegs named .JPEG, some gray, one in the inks of printers, one that is a png, and test images without labels.
func TestImageNetFolders(t *testing.T) {
	folder := imageNet(t, 3, 6, 2)
	if err := os.WriteFile(filepath.Join(folder, "train", imageNetClass(1), "n00000001_p.JPEG"), pngOf(t, 90, 90, 1), 0o666); err != nil {
		t.Fatal(err)
	}
	b := BatchOptions{Size: 7, Shuffle: true, Augment: true}
	var first []Batch
	for _, o := range []Options{{Workers: 1}, {Workers: 3}, {Workers: 3, CacheBytes: -1}} {
		o.Resolution = 64
		d := mustOpen(t, folder, o)
		if d.Augmentation != ResizedCropFlipColour || d.Channels != 3 || d.Count(TrainAll) != 3*6+1 || d.Count(Test) != 3*2 {
			t.Fatal(d.Describe())
		}
		if p := d.Preprocessing(); p.View != ViewCentre || p.CentreShare != 0.875 || !slices.Equal(p.Classes, []string{imageNetClass(0), imageNetClass(1), imageNetClass(2)}) {
			t.Errorf("evaluation takes %+v", p)
		}
		batches := readAll(t, d.Batches(t.Context(), TrainAll, 5, b))
		if first == nil {
			first = batches
		}
		if !reflect.DeepEqual(batches, first) {
			t.Errorf("%d workers, cache %d: other batches", o.Workers, o.CacheBytes)
		}
	}
	// The colours that vary are what sets these apart from crops alone.
	crops := readAll(t, mustOpen(t, folder, Options{Resolution: 64, Augmentation: ResizedCropFlip}).Batches(t.Context(), TrainAll, 5, b))
	if !slices.Equal(crops[0].Labels, first[0].Labels) || slices.Equal(crops[0].Images, first[0].Images) {
		t.Error("colours do not vary")
	}
}

// The commands of docs/data.md sort flat validation images by the list that comes with them.
func TestImageNetFlatValidation(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell here")
	}
	folder := imageNet(t, 3, 4, 2)
	list := "ImageId,PredictionString\n"
	for class := range 3 {
		inner := filepath.Join(folder, "val", imageNetClass(class))
		entries, err := os.ReadDir(inner)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Rename(filepath.Join(inner, e.Name()), filepath.Join(folder, "val", e.Name())); err != nil {
				t.Fatal(err)
			}
			list += strings.TrimSuffix(e.Name(), ".JPEG") + "," + imageNetClass(class) + " 1 2 3 4 " + imageNetClass(class) + " 5 6 7 8 \n"
		}
		if err := os.Remove(inner); err != nil {
			t.Fatal(err)
		}
	}
	_, err = Open(folder, Options{Resolution: 64})
	wantBadInput(t, err, "image val/ILSVRC2012_val_n00000000_a.JPEG lies in no class folder", "docs/data.md")

	if err := os.WriteFile(filepath.Join(folder, "LOC_val_solution.csv"), []byte(list), 0o666); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "data.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "    $ "); ok && strings.Contains(command, "LOC_val_solution.csv") {
			commands = append(commands, command)
		}
	}
	if len(commands) != 1 {
		t.Fatalf("docs/data.md has %d commands for flat validation images", len(commands))
	}
	c := exec.Command(shell, "-e", "-c", commands[0])
	c.Dir = folder
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", commands[0], err, out)
	}
	d := mustOpen(t, folder, Options{Resolution: 64})
	if d.Count(Test) != 6 {
		t.Error(d.Describe())
	}
	files := d.source.(*imageFiles).files
	for _, i := range d.parts[Test] {
		// In this test the class is in the name of the image, too.
		if class := d.Classes[d.labels[i]]; !strings.Contains(filepath.Base(files[i].path), class) {
			t.Errorf("%s has class %s", files[i].path, class)
		}
	}
}
