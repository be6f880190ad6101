package dataset

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imageNet is a small folder in ImageNet's form: classes by number, jpegs larger than they are trained at, some of them gray, an
// unlabelled test folder.
func imageNet(t testing.TB, classes, train, val int) string {
	t.Helper()
	files := map[string][]byte{}
	seed := 0
	for class := range classes {
		for part, n := range map[string]int{"train": train, "val": val} {
			for i := range n {
				name := imageNetClass(class) + "_" + string(rune('a'+i)) + ".JPEG"
				if part == "val" {
					name = "ILSVRC2012_val_" + name
				}
				files[part+"/"+imageNetClass(class)+"/"+name] = photograph(t, 80+seed%17, 96+seed%23, seed, i == 0)
				seed++
			}
		}
	}
	files["test/ILSVRC2012_test_00000001.JPEG"] = photograph(t, 80, 96, seed, false)
	return writeFolder(t, files)
}

func imageNetClass(i int) string { return "n0000000" + string(rune('0'+i)) }

func writtenSplit(t testing.TB, data, path string, o SplitOptions) *Split {
	t.Helper()
	s, counts, err := NewSplit(data, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.HeldOut) != counts[HeldOut] {
		t.Errorf("%d images held out, counted %d", len(s.HeldOut), counts[HeldOut])
	}
	if err := s.Write(path); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSplitStandsForItsData(t *testing.T) {
	data := imageNet(t, 6, 10, 3)
	file := filepath.Join(t.TempDir(), "some.split.json")
	s := writtenSplit(t, data, file, SplitOptions{Random: 4, Seed: 3})
	if len(s.Classes) != 4 || !slices.IsSorted(s.Classes) || len(s.HeldOut) != 4*2 {
		t.Fatalf("classes %v, held out %v", s.Classes, s.HeldOut)
	}
	d := mustOpen(t, file, Options{Resolution: 64, Seed: 99})
	if d.Name != "some" || !slices.Equal(d.Classes, s.Classes) || d.Count(Train) != 4*8 || d.Count(HeldOut) != 4*2 || d.Count(TrainAll) != 4*10 || d.Count(Test) != 4*3 {
		t.Error(d.Describe())
	}
	files := d.source.(*imageFiles).files
	var held []string
	for part := range TrainAll + 1 {
		for _, i := range d.parts[part] {
			name := files[i].path
			if class := strings.Split(name, "/")[1]; d.Classes[d.labels[i]] != class {
				t.Errorf("%s has label %d", name, d.labels[i])
			}
			if part == HeldOut {
				held = append(held, name)
			}
			if part == Train && slices.Contains(s.HeldOut, name) {
				t.Errorf("%s is held out and trained on", name)
			}
		}
	}
	if slices.Sort(held); !slices.Equal(held, s.HeldOut) {
		t.Errorf("held out are %v, not %v", held, s.HeldOut)
	}
	if text := d.Describe(); !strings.Contains(text, "held-out images are those of "+file) || !strings.Contains(text, "folder test is not used") {
		t.Error(text)
	}
	if got := Folder(file); got != data {
		t.Errorf("the folder is %q, want %q", got, data)
	}

	// Another seed draws others, the same the same; a list takes what it says.
	if again := writtenSplit(t, data, file, SplitOptions{Random: 4, Seed: 3}); !slices.Equal(again.Classes, s.Classes) || !slices.Equal(again.HeldOut, s.HeldOut) {
		t.Error("the same seed splits differently")
	}
	if again := mustOpen(t, file, Options{Resolution: 64}); again.Identity() != d.Identity() {
		t.Error("the same split has another identity")
	}
	if other := writtenSplit(t, data, file, SplitOptions{Random: 4, Seed: 4}); slices.Equal(other.Classes, s.Classes) && slices.Equal(other.HeldOut, s.HeldOut) {
		t.Error("another seed splits alike")
	}
	if other := mustOpen(t, file, Options{Resolution: 64}); other.Identity() == d.Identity() {
		t.Error("another split has the same identity")
	}
	named := writtenSplit(t, data, file, SplitOptions{Classes: []string{imageNetClass(5), imageNetClass(1)}, HeldOutShare: 0.5, Seed: 4})
	if !slices.Equal(named.Classes, []string{imageNetClass(1), imageNetClass(5)}) || len(named.HeldOut) != 10 {
		t.Errorf("classes %v, %d held out", named.Classes, len(named.HeldOut))
	}
	if all := writtenSplit(t, data, file, SplitOptions{}); len(all.Classes) != 6 {
		t.Errorf("all classes are %v", all.Classes)
	}

	// A limit leaves both parts their share.
	writtenSplit(t, data, file, SplitOptions{HeldOutShare: 0.3, Seed: 4})
	for _, n := range []int{12, 20, 59} {
		d = mustOpen(t, file, Options{Resolution: 64, Limit: n})
		if d.Count(TrainAll) != n || d.Count(HeldOut) < max(6, n*3/10-1) || d.Count(HeldOut) > max(6, n*3/10+1) {
			t.Errorf("limited to %d: %s", n, d.Describe())
		}
	}
	_, err := Open(file, Options{Resolution: 64, Limit: 11})
	wantBadInput(t, err, "limit of 11", "at least 12")
}

// The file names its data relative to itself, and archives do as folders do.
func TestSplitMovesWithItsData(t *testing.T) {
	root := t.TempDir()
	t.Chdir(root)
	if err := os.WriteFile("images.zip", zipOf(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b", "c"}, 10)), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("splits", 0o777); err != nil {
		t.Fatal(err)
	}
	writtenSplit(t, "images.zip", filepath.Join("splits", "two.split.json"), SplitOptions{Random: 2})
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(root, moved); err != nil {
		t.Fatal(err)
	}
	d := mustOpen(t, filepath.Join(moved, "splits", "two.split.json"), Options{})
	if d.Count(Train) != 16 || d.Count(HeldOut) != 4 || d.Count(Test) != 20 {
		t.Error(d.Describe())
	}
}

func TestSplitRefuses(t *testing.T) {
	data := writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b", "c"}, 4))
	for name, c := range map[string]struct {
		data string
		o    SplitOptions
		word string
	}{
		"too many classes": {data, SplitOptions{Random: 4}, "has 3 classes, not 4"},
		"one class":        {data, SplitOptions{Random: 1}, "1 classes, allowed are 2"},
		"no such class":    {data, SplitOptions{Classes: []string{"a", "x"}}, `class "x"`},
		"a class twice":    {data, SplitOptions{Classes: []string{"a", "a"}}, `class "a" is named twice`},
		"share":            {data, SplitOptions{HeldOutShare: 1}, "held-out share 1"},
		"a split":          {"x" + SplitEnding, SplitOptions{}, "image files in folders by class"},
		"digits":           {writeFolder(t, mnistFiles(t, 20, 10)), SplitOptions{}, "image files in folders by class"},
		"nothing there":    {filepath.Join(data, "none"), SplitOptions{}, "no such file or folder"},
		"one image":        {writeFolder(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 1)), SplitOptions{}, "class a has 1 training images"},
	} {
		_, _, err := NewSplit(c.data, c.o)
		t.Run(name, func(t *testing.T) { wantBadInput(t, err, c.word) })
	}

	file := filepath.Join(t.TempDir(), "f.split.json")
	for name, c := range map[string]struct {
		change func(s map[string]any)
		word   string
	}{
		"a missing image":  {func(s map[string]any) { s["held_out"].([]any)[0] = "train/a/none.png" }, "train/a/none.png is none of the training images"},
		"a test image":     {func(s map[string]any) { s["held_out"].([]any)[0] = "test/a/000.png" }, "test/a/000.png is none of the training images"},
		"a class less":     {func(s map[string]any) { s["classes"] = []string{"a", "b"} }, "is none of the training images"},
		"another class":    {func(s map[string]any) { s["classes"] = []string{"a", "b", "x"} }, `class "x"`},
		"a class twice":    {func(s map[string]any) { s["classes"] = []string{"a", "a", "b"} }, "each once"},
		"nothing held out": {func(s map[string]any) { s["held_out"] = []string{} }, "0 of the 4 training images of class a"},
		"all held out":     {func(s map[string]any) { s["held_out"] = allOf("a", "b", "c") }, "4 of the 4 training images of class a"},
		"no data":          {func(s map[string]any) { s["data"] = "" }, "data is empty"},
		"data of digits":   {func(s map[string]any) { s["data"] = writeFolder(t, mnistFiles(t, 20, 10)) }, "image files in folders by class"},
		"data not there":   {func(s map[string]any) { s["data"] = "none" }, "no such file or folder"},
		"another kind":     {func(s map[string]any) { s["kind"] = "densenas.lut" }, "expected densenas.split"},
		"a newer one":      {func(s map[string]any) { s["schema_version"] = 2 }, "newer densenas"},
		"an unknown field": {func(s map[string]any) { s["more"] = 1 }, "more"},
	} {
		t.Run(name, func(t *testing.T) {
			writtenSplit(t, data, file, SplitOptions{})
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s map[string]any
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			c.change(s)
			if text, err = json.Marshal(s); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, text, 0o666); err != nil {
				t.Fatal(err)
			}
			_, err = Open(file, Options{})
			wantBadInput(t, err, file, c.word)
		})
	}
}

// allOf are the training images of classes of four.
func allOf(classes ...string) []string {
	var names []string
	for _, class := range classes {
		for i := range 4 {
			names = append(names, "train/"+class+"/00"+string(rune('0'+i))+".png")
		}
	}
	return names
}

func FuzzParseSplit(f *testing.F) {
	f.Add([]byte(`{"kind":"densenas.split","schema_version":1,"data":"images","classes":["a","b"],"held_out":["train/a/1.png"]}`))
	f.Add([]byte(`{"kind":"densenas.split","schema_version":1,"data":"x.split.json","classes":["b","a"],"held_out":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSplit("fuzz", data)
		if err != nil {
			wantBadInput(t, err, "fuzz")
			return
		}
		if len(s.Classes) < 2 || !slices.IsSorted(s.Classes) || !slices.IsSorted(s.HeldOut) || s.Data == "" {
			t.Errorf("read %+v", s)
		}
		path := filepath.Join(t.TempDir(), "f.split.json")
		if err := s.Write(path); err != nil {
			t.Fatal(err)
		}
	})
}
