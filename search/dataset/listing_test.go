package dataset

import (
	"slices"
	"strings"
	"testing"
)

// listingOf is a listing of paths; those that end with a slash are folders. Folders of files are listed as well.
func listingOf(paths ...string) listing {
	var l listing
	folders := map[string]bool{}
	for _, p := range paths {
		name, isFolder := strings.CutSuffix(p, "/")
		if isFolder {
			folders[name] = true
		} else {
			l.files = append(l.files, item{path: p, size: 1, handle: len(l.files)})
		}
		for i, c := range name {
			if c == '/' {
				folders[name[:i]] = true
			}
		}
	}
	for f := range folders {
		l.folders = append(l.folders, f)
	}
	return l
}

func TestArrange(t *testing.T) {
	for name, c := range map[string]struct {
		paths   []string
		classes string
		labels  []int32
		test    []bool
		notes   string
	}{
		"parts": {
			[]string{"train/dog/1.png", "train/cat/2.png", "train/cat/1.png", "test/cat/1.png", "test/dog/1.png"},
			"cat dog", []int32{0, 1, 0, 0, 1}, []bool{true, true, false, false, false}, "",
		},
		"val": {
			[]string{"train/b/1.png", "train/a/1.png", "val/a/1.png", "val/b/1.png"},
			"a b", []int32{0, 1, 0, 1}, []bool{false, false, true, true}, "",
		},
		"test before val": {
			[]string{"train/b/1.png", "train/a/1.png", "test/a/1.png", "test/b/1.png", "val/a/1.png", "unlabelled/1.png"},
			"a b", []int32{0, 1, 0, 1}, []bool{true, true, false, false}, "folder unlabelled is not used; folder val is not used",
		},
		"unlabelled test": {
			[]string{"train/b/1.png", "train/a/1.png", "test/1.png", "test/2.png", "val/a/1.png", "val/b/1.png"},
			"a b", []int32{0, 1, 0, 1}, []bool{false, false, true, true}, "folder test is not used",
		},
		"classes alone": {[]string{"b/1.png", "a/1.png", "a/2.png"}, "a b", []int32{0, 0, 1}, []bool{false, false, false}, ""},
		"train alone":   {[]string{"train/b/1.png", "train/a/1.png"}, "a b", []int32{0, 1}, []bool{false, false}, ""},
		"wrapped": {
			[]string{"w/v/train/b/1.png", "w/v/train/a/1.png", "w/v/test/a/1.png", "w/v/test/b/1.png"},
			"a b", []int32{0, 1, 0, 1}, []bool{true, true, false, false}, "",
		},
		"wrapped classes": {[]string{"w/b/1.png", "w/a/1.png"}, "a b", []int32{0, 1}, []bool{false, false}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := arrange("DATA", listingOf(c.paths...))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(a.classes, " "); got != c.classes {
				t.Errorf("classes %q, want %q", got, c.classes)
			}
			if !slices.Equal(a.labels, c.labels) || !slices.Equal(a.test, c.test) {
				t.Errorf("files %v: labels %v, want %v; test %v, want %v", a.files, a.labels, c.labels, a.test, c.test)
			}
			if got := strings.Join(a.notes, "; "); got != c.notes {
				t.Errorf("notes %q, want %q", got, c.notes)
			}
		})
	}
}

func TestArrangeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		paths []string
		words []string
	}{
		"nothing":             {[]string{"a/", "b/"}, []string{"no images"}},
		"one class":           {[]string{"a/1.png", "a/2.png"}, []string{"only one class, a"}},
		"one class in parts":  {[]string{"train/a/1.png", "test/a/2.png"}, []string{"only one class, train/a"}},
		"empty class":         {[]string{"a/1.png", "b/1.png", "c/"}, []string{"class folder c is empty"}},
		"empty train class":   {[]string{"train/a/1.png", "train/b/", "test/a/1.png", "test/b/1.png"}, []string{"train/b is empty"}},
		"empty test class":    {[]string{"w/train/a/1.png", "w/train/b/1.png", "w/test/a/1.png", "w/test/b/"}, []string{"w/test/b is empty"}},
		"missing test class":  {[]string{"train/a/1.png", "train/b/1.png", "test/a/1.png"}, []string{"test/b is empty or missing"}},
		"missing train class": {[]string{"train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", "test/c/1.png"}, []string{"train/c is empty or missing"}},
		"unknown empty class": {[]string{"train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", "test/c/"}, []string{"train/c is empty or missing"}},
		"image without class": {[]string{"a/1.png", "b/1.png", "1.png"}, []string{"image 1.png lies in no class folder"}},
		"image in train":      {[]string{"train/a/1.png", "train/1.png", "train/b/1.png"}, []string{"image train/1.png lies in no class folder"}},
		"flat test images":    {[]string{"w/train/a/1.png", "w/train/b/1.png", "w/test/1.png", "w/val/1.png"}, []string{"image w/val/1.png lies in no class folder", "sort the images of w/val into folders by class", "docs/data.md"}},
		"stray beside train":  {[]string{"train/a/1.png", "1.png", "train/b/1.png"}, []string{"image 1.png lies in no class folder"}},
		"nested image":        {[]string{"a/1.png", "b/1.png", "b/c/1.png"}, []string{"b/c"}},
		"nested folder":       {[]string{"train/a/1.png", "train/b/1.png", "train/b/c/"}, []string{"folder train/b/c lies in a class folder"}},
		"test without train":  {[]string{"test/a/1.png", "test/b/1.png"}, []string{"test but no train"}},
		"empty train":         {[]string{"train/", "extra/a/1.png"}, []string{"folder train holds no images"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := arrange("DATA", listingOf(c.paths...))
			wantBadInput(t, err, append(c.words, "DATA")...)
		})
	}
	l := listingOf("a/1.png", "b/1.png")
	l.files[1].size = maxImageBytes + 1
	_, err := arrange("DATA", l)
	wantBadInput(t, err, "b/1.png", "67108865 bytes")
}
