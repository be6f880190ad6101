package dataset

import (
	"maps"
	"path"
	"slices"
	"strings"

	"densenas/internal/exit"
)

const (
	maxImages     = 5_000_000
	maxImageBytes = 64 << 20 // of an image file, compressed as an image, not as an archive entry
	maxDepth      = 4        // WRAPPER/train/CLASS/IMAGE
)

// item is an image file in a folder or archive.
type item struct {
	path   string // relative to the folder or archive, with slashes
	size   int64
	handle int // index into the archive's entries
}

// listing is what a folder or archive holds: image files, and folders (which may be empty), in any order.
type listing struct {
	files   []item
	folders []string
}

// arrangement is a listing in the order of classes and names.
type arrangement struct {
	classes []string
	files   []item
	labels  []int32
	test    []bool // of every file
	notes   []string
	parted  bool // there are test images
}

// endings of the names of image files; capitals do as well.
const endings = ".jpg .jpeg .png .webp .bmp"

// isImage says whether a file name has an ending of the image formats that are read.
func isImage(name string) bool {
	return slices.Contains(strings.Fields(endings), strings.ToLower(path.Ext(name)))
}

// isHidden says whether a name is one of those that systems leave in folders and archives.
func isHidden(name string) bool { return strings.HasPrefix(name, ".") || name == "__MACOSX" }

// layout is how a listing divides into parts and classes.
type layout struct {
	prefix string // of folders around everything, with a slash at the end
	parted bool   // PART/CLASS/IMAGE, else CLASS/IMAGE
	test   string // the part with the test images, or ""
}

// testParts are the names of folders with test images, the preferred first. One without class folders, as the unlabelled test images of
// ImageNet, gives way to the next.
var testParts = []string{"test", "val", "valid"}

// findLayout looks at the first level of folders.
func findLayout(origin string, l listing) (layout, error) {
	y := layout{prefix: wrapper(l)}
	top, deep := map[string]bool{}, map[string]bool{} // folders, and those that hold folders
	for _, f := range l.folders {
		if rest, ok := strings.CutPrefix(f, y.prefix); ok {
			first, _, more := strings.Cut(rest, "/")
			top[first] = true
			deep[first] = deep[first] || more
		}
	}
	y.parted = top["train"]
	for _, name := range testParts {
		if top[name] && !deep[y.test] {
			y.test = name
		}
	}
	if y.test != "" && !y.parted {
		return y, exit.BadInput("%s: has a folder %s%s but no %strain; use train/CLASS with test/CLASS, or CLASS alone", origin, y.prefix, y.test, y.prefix)
	}
	return y, nil
}

// locate takes a path of a file or folder apart: which part (0 training, 1 test, -1 neither), which class, and what is left
// behind the class.
func (y layout) locate(p string) (part int, class string, rest []string) {
	pieces := strings.Split(strings.TrimPrefix(p, y.prefix), "/")
	if y.parted {
		switch pieces[0] {
		case "train":
		case y.test:
			part = 1
		default:
			return -1, "", pieces[1:]
		}
		pieces = pieces[1:]
	}
	if len(pieces) == 0 {
		return part, "", nil
	}
	return part, pieces[0], pieces[1:]
}

// folder is the path of a class folder.
func (y layout) folder(part int, class string) string {
	switch {
	case !y.parted:
		return y.prefix + class
	case part == 1:
		return y.prefix + y.test + "/" + class
	}
	return y.prefix + "train/" + class
}

// arrange finds the classes in a listing: train/CLASS/IMAGE with test/CLASS/IMAGE (or val, or valid), or CLASS/IMAGE, all of
// it in any number of folders that hold nothing else. Images elsewhere, empty classes, and classes that only one of the parts
// has are refused. Errors begin with origin.
func arrange(origin string, l listing) (*arrangement, error) {
	if len(l.files) == 0 {
		return nil, exit.BadInput("%s: holds no images (%s) in folders by class", origin, endings)
	}
	slices.SortFunc(l.files, func(a, b item) int { return strings.Compare(a.path, b.path) })
	slices.Sort(l.folders)
	y, err := findLayout(origin, l)
	if err != nil {
		return nil, err
	}
	a := &arrangement{parted: y.test != ""}
	counts := [2]map[string]int{{}, {}} // images of training and test, by class
	for _, f := range l.folders {
		part, class, rest := y.locate(f)
		switch {
		case !strings.HasPrefix(f, y.prefix):
		case part < 0 && len(rest) == 0:
			a.notes = append(a.notes, exit.OneLine("folder "+f+" is not used"))
		case part < 0 || class == "":
		case len(rest) > 0:
			return nil, exit.BadInput("%s: folder %s lies in a class folder; put the images of a class into one folder", origin, f)
		default:
			counts[part][class] += 0
		}
	}
	for _, f := range l.files {
		part, class, rest := y.locate(f.path)
		switch {
		case part < 0 && len(rest) > 0:
			continue
		case len(rest) == 0 && part == 1:
			return nil, exit.BadInput("%s: image %s lies in no class folder; sort the images of %s into folders by class, as those of train are (docs/data.md has commands for ImageNet), or move it away",
				origin, f.path, y.prefix+y.test)
		case len(rest) == 0:
			return nil, exit.BadInput("%s: image %s lies in no class folder; move or remove it", origin, f.path)
		case len(rest) > 1:
			return nil, exit.BadInput("%s: image %s lies in a folder within a class folder; put the images of a class into one folder", origin, f.path)
		case f.size > maxImageBytes:
			return nil, exit.BadInput("%s: image %s has %d bytes; at most %d are read: remove or shrink it", origin, f.path, f.size, maxImageBytes)
		}
		counts[part][class]++
		a.files = append(a.files, f)
		a.test = append(a.test, part == 1)
	}

	a.classes = slices.Sorted(maps.Keys(counts[0]))
	labels := map[string]int32{}
	for i, class := range a.classes {
		labels[class] = int32(i)
		for part := range counts {
			if counts[part][class] == 0 && (part == 0 || a.parted) {
				return nil, exit.BadInput("%s: class folder %s is empty or missing; fill it with images (%s), or remove the class", origin, y.folder(part, class), endings)
			}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(counts[1])) {
		if counts[0][class] == 0 {
			return nil, exit.BadInput("%s: class folder %s is empty or missing, but there is %s; fill it, or remove the class", origin, y.folder(0, class), y.folder(1, class))
		}
	}
	if len(a.files) == 0 {
		return nil, exit.BadInput("%s: folder %strain holds no images (%s)", origin, y.prefix, endings)
	}
	if len(a.classes) < 2 {
		return nil, exit.BadInput("%s: has only one class, %s; classification needs two or more class folders", origin, y.folder(0, a.classes[0]))
	}
	for _, f := range a.files {
		_, class, _ := y.locate(f.path)
		a.labels = append(a.labels, labels[class])
	}
	return a, nil
}

// wrapper is the path of the folders that hold everything else, with a slash at the end, or "".
func wrapper(l listing) string {
	prefix := ""
	for {
		var only string
		deep := false
		for _, p := range l.files {
			first, rest, inFolder := strings.Cut(p.path[len(prefix):], "/")
			if !inFolder || only != "" && only != first {
				return prefix
			}
			only = first
			deep = deep || strings.Contains(rest, "/")
		}
		for _, f := range l.folders {
			if rest, ok := strings.CutPrefix(f, prefix); ok && rest != only && !strings.HasPrefix(rest, only+"/") {
				return prefix
			}
		}
		switch only {
		case "train", "test", "val", "valid":
			return prefix
		}
		if !deep {
			return prefix
		}
		prefix += only + "/"
	}
}
