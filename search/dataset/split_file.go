package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	splitKind    = "densenas.split"
	splitVersion = 1
	maxSplitFile = 256 << 20 // bytes

	// SplitEnding is how the names of files of splits end.
	SplitEnding = ".split.json"
)

// Split chooses classes out of images by class, and those of their training images that are held out. Its file stands for the data: [Open]
// takes its path.
type Split struct {
	files.Header
	// Data is the path of the folder or archive. In the file it is relative to the file's folder, unless it is absolute.
	Data string `json:"data"`
	// Classes are the names of class folders, sorted.
	Classes []string `json:"classes"`
	// HeldOut are paths of training images within Data, with slashes, sorted. All other training images of the classes are trained on.
	HeldOut []string `json:"held_out"`
}

// SplitOptions say how a split is made.
type SplitOptions struct {
	// Classes to take, in any order; none: all, or Random of them.
	Classes []string
	// Random is how many classes to draw by the seed, where Classes names none; 0: all.
	Random int
	// HeldOutShare is the share of the training images of every class that is held out, above 0, at most 0.9; default 0.2.
	HeldOutShare float64
	// Seed decides which classes and images are drawn.
	Seed uint64
}

// NewSplit divides the training images of a folder or archive of images by class. Counts are the images of its parts. Errors are bad
// input.
func NewSplit(path string, o SplitOptions) (s *Split, counts map[Part]int, err error) {
	checked, err := Options{HeldOutShare: o.HeldOutShare}.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	c, err := findUnsplit(path)
	if err != nil {
		return nil, nil, err
	}
	defer c.source.Close()
	images, ok := c.source.(*imageFiles)
	if !ok {
		return nil, nil, errUnsplit(path)
	}
	s = &Split{Data: path, Classes: slices.Sorted(slices.Values(o.Classes))}
	if len(s.Classes) == 0 {
		s.Classes = slices.Clone(c.classes)
		if o.Random > len(s.Classes) {
			return nil, nil, exit.BadInput("%s: has %d classes, not %d to draw", path, len(s.Classes), o.Random)
		}
		if o.Random > 0 {
			random := newStream(streamKey(o.Seed, forClasses, 0, 0, 0))
			random.Shuffle(len(s.Classes), func(i, j int) { s.Classes[i], s.Classes[j] = s.Classes[j], s.Classes[i] })
			s.Classes = slices.Sorted(slices.Values(s.Classes[:o.Random]))
		}
	}
	if err := s.chooseClasses(path, c); err != nil {
		return nil, nil, err
	}
	groups, err := c.trainingClasses()
	if err != nil {
		return nil, nil, err
	}
	train, held := holdOut(groups, checked.HeldOutShare, o.Seed)
	for _, i := range held {
		s.HeldOut = append(s.HeldOut, images.files[i].path)
	}
	slices.Sort(s.HeldOut)
	return s, map[Part]int{Train: len(train), HeldOut: len(held), Test: len(c.test)}, exit.AsBadInput(s.check())
}

// check reports what no split can be.
func (s *Split) check() error {
	switch n := len(s.Classes); {
	case s.Data == "":
		return errors.New("data is empty; name a folder or archive")
	case strings.HasSuffix(filepath.Clean(s.Data), SplitEnding):
		return fmt.Errorf("data is %q, which is a split itself; name a folder or archive", s.Data)
	case n < 2 || n > maxClasses:
		return fmt.Errorf("%d classes, allowed are 2 to %d", n, maxClasses)
	}
	for _, list := range [][]string{s.Classes, s.HeldOut} {
		for i, name := range list {
			if !utf8.ValidString(name) {
				return fmt.Errorf("%q is no UTF-8, which the file needs; rename it", name)
			}
			if i > 0 && list[i-1] >= name {
				return fmt.Errorf("%q comes behind %q; names must be sorted, each once", list[i], list[i-1])
			}
		}
	}
	return nil
}

// Write writes the file, atomically.
func (s *Split) Write(path string) error {
	whole := *s
	whole.Header = files.Header{Kind: splitKind, SchemaVersion: splitVersion}
	if !filepath.IsAbs(s.Data) {
		folder, err := filepath.Abs(filepath.Dir(path))
		if err != nil {
			return err
		}
		data, err := filepath.Abs(s.Data)
		if err != nil {
			return err
		}
		if within, err := filepath.Rel(folder, data); err == nil {
			data = filepath.ToSlash(within)
		}
		whole.Data = data
	}
	if err := whole.check(); err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	return files.WriteAtomic(path, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		return e.Encode(&whole)
	})
}

// ReadSplit reads the file of a split; Data becomes a path from here.
func ReadSplit(path string) (*Split, error) {
	data, err := files.ReadBounded(path, maxSplitFile)
	if err != nil {
		return nil, err
	}
	s, err := parseSplit(path, data)
	if err != nil {
		return nil, err
	}
	if s.Data = filepath.FromSlash(s.Data); !filepath.IsAbs(s.Data) {
		s.Data = filepath.Join(filepath.Dir(path), s.Data)
	}
	return s, nil
}

func parseSplit(name string, data []byte) (*Split, error) {
	s := new(Split)
	if err := files.DecodeJSONKind(name, data, splitKind, splitVersion, s); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	return s, nil
}

// errUnsplit refuses data that have no names.
func errUnsplit(spec string) error {
	return exit.BadInput("data %s: a split is of image files in folders by class; name such a folder or archive", spec)
}

// findUnsplit finds the data that a split is of.
func findUnsplit(spec string) (*collection, error) {
	if strings.HasSuffix(spec, SplitEnding) {
		return nil, errUnsplit(spec)
	}
	return find(spec)
}

// openSplit finds the data of a split's file and takes what it chooses.
func openSplit(path string) (*collection, error) {
	s, err := ReadSplit(path)
	if err != nil {
		return nil, err
	}
	c, err := findUnsplit(s.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.choose(path, c); err != nil {
		c.source.Close()
		return nil, err
	}
	c.name = strings.TrimSuffix(filepath.Base(path), SplitEnding)
	c.notes = append(c.notes, fmt.Sprintf("classes and held-out images are those of %s", path))
	return c, nil
}

// choose leaves in a collection what the split chooses.
func (s *Split) choose(origin string, c *collection) error {
	images, ok := c.source.(*imageFiles)
	if !ok {
		return exit.BadInput("%s: %w", origin, errUnsplit(s.Data))
	}
	if err := s.chooseClasses(origin, c); err != nil {
		return err
	}
	byName := make(map[string]int32, len(c.train))
	for _, i := range c.train {
		byName[images.files[i].path] = i
	}
	c.held = []int32{}
	for _, name := range s.HeldOut {
		i, ok := byName[name]
		if !ok {
			return exit.BadInput("%s: held-out image %s is none of the training images of %s; put it back, or make the split again by `search split`", origin, name, s.Data)
		}
		c.held = append(c.held, i)
	}
	slices.Sort(c.held)
	all, held := byClass(c.train, c.labels, len(c.classes)), byClass(c.held, c.labels, len(c.classes))
	for class, name := range c.classes {
		if n := len(held[class]); n == 0 || n == len(all[class]) {
			return exit.BadInput("%s: %d of the %d training images of class %s are held out; at least one must be, and one must not: make the split again by `search split`", origin, n, len(all[class]), name)
		}
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%q\x00%q", c.identity, s.Classes, s.HeldOut)
	c.identity = "split:" + hex.EncodeToString(hash.Sum(nil))
	return nil
}

// chooseClasses leaves the split's classes in a collection. Images of others get no label and are in no part.
func (s *Split) chooseClasses(origin string, c *collection) error {
	const none = -1
	relabelled := slices.Repeat([]int32{none}, len(c.classes))
	for label, class := range s.Classes {
		old, ok := slices.BinarySearch(c.classes, class)
		if !ok || relabelled[old] != none {
			return exit.BadInput("%s: class %q is named twice, or none of the %d classes of %s (%s, …); correct the list of classes", origin, class, len(c.classes), s.Data, c.classes[0])
		}
		relabelled[old] = int32(label)
	}
	labels := make([]int32, len(c.labels))
	for i, label := range c.labels {
		labels[i] = relabelled[label]
	}
	other := func(i int32) bool { return labels[i] == none }
	c.train, c.test = slices.DeleteFunc(c.train, other), slices.DeleteFunc(c.test, other)
	c.classes, c.labels = s.Classes, labels
	return nil
}
