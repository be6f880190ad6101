package dataset

import (
	"slices"
	"strings"
	"testing"
)

// Names of files and folders, one a line, as a stranger's folder or archive has them: what is accepted has images of every class in
// its folder, and labels that fit.
func FuzzArrange(f *testing.F) {
	for _, paths := range [][]string{
		{"train/dog/1.png", "train/cat/2.png", "test/cat/1.png", "test/dog/1.png"},
		{"train/b/1.png", "train/a/1.png", "val/a/1.png", "val/b/1.png", "unlabelled/1.png"},
		{"w/v/train/b/1.png", "w/v/train/a/1.png", "w/v/test/a/1.png", "w/v/test/b/1.png"},
		{"b/1.png", "a/1.png", "a/2.png", "c/"},
		{"train/", "extra/a/1.png", "1.png"},
		{"/", "//", "a//1.png", "train//1.png", "test/train/1.png"},
	} {
		f.Add(strings.Join(paths, "\n"))
	}
	f.Fuzz(func(t *testing.T, names string) {
		paths := slices.DeleteFunc(strings.Split(names, "\n"), func(p string) bool { return p == "" })
		slices.Sort(paths)
		a, err := arrange("DATA", listingOf(slices.Compact(paths)...))
		if err != nil {
			wantBadInput(t, err, "DATA")
			return
		}
		if len(a.classes) < 2 || len(a.files) != len(a.labels) || len(a.files) != len(a.test) || !slices.IsSorted(a.classes) {
			t.Fatalf("%d classes, %d files, %d labels, %d parts", len(a.classes), len(a.files), len(a.labels), len(a.test))
		}
		counts := make([]int, len(a.classes))
		for i, file := range a.files {
			class := a.classes[a.labels[i]]
			counts[a.labels[i]]++
			if !slices.Contains(paths, file.path) || !strings.Contains("/"+file.path, "/"+class+"/") {
				t.Errorf("%q is of class %q", file.path, class)
			}
		}
		if slices.Contains(counts, 0) {
			t.Errorf("a class without images: %v of %q", counts, a.classes)
		}
	})
}
