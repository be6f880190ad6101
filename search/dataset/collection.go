package dataset

import (
	"io"
	"os"
	"path/filepath"
)

// picture is a decoded image: height × width × channels bytes, channels (1 or 3) interleaved.
type picture struct {
	height, width, channels int
	pixels                  []uint8
}

// source gives the images of a data set by index. It may be used by several goroutines at once.
type source interface {
	// picture returns an image; its pixels must not be changed. A *corruptError says that the image cannot be decoded.
	picture(i int32) (picture, error)
	io.Closer
}

// collection is a data set as it was found: every image with its label, and which are for training and for test.
type collection struct {
	name        string
	classes     []string
	labels      []int32 // of every image
	train, test []int32 // images, in a stable order
	held        []int32 // images of train that are held out, where the data say so; nil: drawn by the seed
	source      source
	identity    string
	notes       []string
	digits      bool // images of which mirrored ones are wrong
}

// add appends images with these labels to the training or test data.
func (c *collection) add(labels []uint8, test bool) {
	for _, label := range labels {
		i := int32(len(c.labels))
		c.labels = append(c.labels, int32(label))
		if test {
			c.test = append(c.test, i)
		} else {
			c.train = append(c.train, i)
		}
	}
}

// memory is a source of images of one size that are all in memory.
type memory struct {
	height, width, channels int
	pixels                  []uint8
}

func (m *memory) picture(i int32) (picture, error) {
	n := m.height * m.width * m.channels
	return picture{m.height, m.width, m.channels, m.pixels[int(i)*n : (int(i)+1)*n]}, nil
}

func (m *memory) Close() error { return nil }

// globIn lists the regular files of a folder whose names match a pattern; an unreadable folder has none.
func globIn(dir, pattern string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var paths []string
	for _, entry := range entries {
		if ok, _ := filepath.Match(pattern, entry.Name()); !ok {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			paths = append(paths, path)
		}
	}
	return paths
}
