package main

import (
	"path/filepath"
	"strings"
	"testing"

	"densenas/search/dataset"
	"densenas/search/rundir"
)

// A split is searched on like any data: the classes that it lists, the images that it holds out.
func TestSearchOnASplit(t *testing.T) {
	f := smallFiles(t)
	list, file := filepath.Join(t.TempDir(), "classes.txt"), filepath.Join(t.TempDir(), "two.split.json")
	write(t, list, "red\n\n  blue \r\n")
	// Of 24 images of a class 5 are the test's, 4 of the others are held out.
	stdout, _ := succeed(t, "split", "--data", f.data, "--classes", list, "-o", file)
	if want := file + ": 2 classes, 30 training + 8 held-out + 10 test images\n"; stdout != want {
		t.Errorf("printed %q, want %q", stdout, want)
	}
	d, err := dataset.Open(file, dataset.Options{Resolution: 8})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(d.Classes, " ") != "blue red" || d.Count(dataset.Train) != 30 || d.Count(dataset.HeldOut) != 8 || d.Count(dataset.Test) != 10 {
		t.Error(d.Describe())
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	images := f.data
	f.data = file
	folder := filepath.Join(t.TempDir(), "run")
	_, stderr := succeed(t, f.args(folder, "--epochs", "2")...)
	if !strings.Contains(stderr, "2 classes (blue, red), 30 training + 8 held-out + 10 test images") {
		t.Errorf("standard error is %q", stderr)
	}
	config, err := rundir.ReadConfig(folder)
	if err != nil || config.Data != file || config.DataIdentity != d.Identity() {
		t.Errorf("the run says its data are %s, %s; %v", config.Data, config.DataIdentity, err)
	}
	refused(t, f.args(filepath.Join(images, "run")), "lies in the folder of the images")

	if drawn, _ := succeed(t, "split", "--data", images, "--random", "2", "--held-out-share", "0.5", "-o", file); !strings.Contains(drawn, "2 classes, 18 training + 20 held-out") {
		t.Errorf("printed %q", drawn)
	}
	if all, _ := succeed(t, "split", "--data", images, "-o", file); !strings.Contains(all, "3 classes") {
		t.Errorf("printed %q", all)
	}
}

func TestSplitRefuses(t *testing.T) {
	f := smallFiles(t)
	list, file := filepath.Join(t.TempDir(), "classes.txt"), filepath.Join(t.TempDir(), "s.split.json")
	write(t, list, "red\nviolet\n")
	empty := filepath.Join(t.TempDir(), "empty.txt")
	write(t, empty, "\n")
	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{"-o", file}, "--data"},
		{[]string{"--data", f.data}, "-o FILE.split.json"},
		{[]string{"--data", f.data, "-o", file + ".txt"}, "does not end in .split.json"},
		{[]string{"--data", f.data, "-o", file, "--classes", list}, `class "violet"`},
		{[]string{"--data", f.data, "-o", file, "--classes", empty}, "names no class"},
		{[]string{"--data", f.data, "-o", file, "--classes", list + ".none"}, list + ".none"},
		{[]string{"--data", f.data, "-o", file, "--classes", list, "--random", "2"}, "one of the two"},
		{[]string{"--data", f.data, "-o", file, "--random", "4"}, "has 3 classes, not 4"},
		{[]string{"--data", f.data, "-o", file, "--random", "-1"}, "--random is -1"},
		{[]string{"--data", f.data, "-o", file, "--held-out-share", "1"}, "--held-out-share is 1"},
		{[]string{"--data", "mnist", "-o", file}, "image files in folders by class"},
		{[]string{"--data", f.data, "-o", filepath.Join(f.table, "s.split.json")}, f.table},
	} {
		refused(t, append([]string{"split"}, c.args...), c.message)
		missing(t, file)
	}
}
