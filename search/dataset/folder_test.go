package dataset

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestListFolder(t *testing.T) {
	root := writeFolder(t, map[string][]byte{
		"train/a/1.png": []byte("x"), "train/a/2.jpeg": []byte("xyz"), "train/a/notes.txt": nil, "train/empty/": nil,
		".git/1.png": nil, "train/a/.1.png": nil,
	})
	l, err := listFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	if want := []item{{path: "train/a/1.png", size: 1}, {path: "train/a/2.jpeg", size: 3}}; !slices.Equal(l.files, want) {
		t.Errorf("files %v", l.files)
	}
	slices.Sort(l.folders)
	if want := []string{"train", "train/a", "train/empty"}; !slices.Equal(l.folders, want) {
		t.Errorf("folders %v", l.folders)
	}
}

func TestListFolderLinks(t *testing.T) {
	root := writeFolder(t, byClassFiles(t, []string{""}, []string{"a"}, 3))
	other := writeFolder(t, byClassFiles(t, []string{""}, []string{"b"}, 3))
	if err := os.Symlink(filepath.Join(other, "b"), filepath.Join(root, "b")); err != nil {
		t.Skip(err)
	}
	if d := mustOpen(t, root, Options{}); len(d.Classes) != 2 {
		t.Errorf("classes %v", d.Classes)
	}
	if err := os.Symlink(filepath.Join(root, "absent"), filepath.Join(root, "a", "9.png")); err != nil {
		t.Fatal(err)
	}
	_, err := Open(root, Options{})
	wantBadInput(t, err, filepath.Join("a", "9.png"), "does not exist")

	// A link to a folder around it would be listed without end.
	loop := writeFolder(t, byClassFiles(t, []string{""}, []string{"a", "b"}, 3))
	if err := os.Symlink(loop, filepath.Join(loop, "b", "c")); err != nil {
		t.Fatal(err)
	}
	_, err = Open(loop, Options{})
	wantBadInput(t, err, loop, "nest too deep")
}
