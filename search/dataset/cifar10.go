package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	cifarSide       = 32
	cifarPlane      = cifarSide * cifarSide
	cifarRecord     = 1 + 3*cifarPlane // label, then a plane each of red, green and blue
	maxCIFARBytes   = 256 << 20        // of one file; the published ones have 31 MB
	maxCIFARBatches = 64
	cifarTest       = "test_batch.bin"
)

// openCIFAR10 reads the binary form of CIFAR-10 (Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009):
// data_batch_N.bin and test_batch.bin in one folder.
func openCIFAR10(name, dir string) (*collection, error) {
	c := &collection{name: name, classes: []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}}
	paths := cifarBatches(dir)
	if len(paths) == 0 {
		return nil, exit.BadInput("%s: has no data_batch_N.bin; name the folder of CIFAR-10's binary version", dir)
	}
	if len(paths) > maxCIFARBatches {
		return nil, exit.BadInput("%s: has %d files data_batch_*.bin; at most %d are read", dir, len(paths), maxCIFARBatches)
	}
	memory := &memory{height: cifarSide, width: cifarSide, channels: 3}
	hash := sha256.New()
	for _, path := range append(paths, filepath.Join(dir, cifarTest)) {
		data, err := files.ReadBounded(path, maxCIFARBytes)
		if err != nil {
			return nil, err
		}
		labels, pixels, err := parseCIFAR10(path, data)
		if err != nil {
			return nil, err
		}
		memory.pixels = append(memory.pixels, pixels...)
		c.add(labels, filepath.Base(path) == cifarTest)
		hash.Write([]byte(filepath.Base(path) + "\x00"))
		hash.Write(data)
	}
	c.source = memory
	c.identity = "cifar10:" + hex.EncodeToString(hash.Sum(nil))
	return c, nil
}

// cifarBatches are the files of training data of a folder, in the order of their names.
func cifarBatches(dir string) []string {
	// The folder's own name may hold glob characters, so the pattern must not contain it.
	matches := globIn(dir, "data_batch_*.bin")
	slices.Sort(matches)
	return matches
}

// isCIFAR10 says whether a folder holds CIFAR-10 in its binary form.
func isCIFAR10(dir string) bool { return len(cifarBatches(dir)) > 0 }

// parseCIFAR10 takes a batch file apart: labels, and pixels with interleaved channels. Errors name the file.
func parseCIFAR10(name string, data []byte) (labels, pixels []uint8, err error) {
	if len(data) == 0 || len(data)%cifarRecord != 0 {
		return nil, nil, exit.BadInput("%s: truncated or no CIFAR-10 binary: %d bytes are not a multiple of %d; fetch the file again", name, len(data), cifarRecord)
	}
	n := len(data) / cifarRecord
	labels = make([]uint8, n)
	pixels = make([]uint8, n*3*cifarPlane)
	for i := range n {
		record := data[i*cifarRecord : (i+1)*cifarRecord]
		if record[0] >= maxBinaryLabels {
			return nil, nil, exit.BadInput("%s: label %d of image %d is out of range; labels are 0 to %d (CIFAR-100 is not read)", name, record[0], i, maxBinaryLabels-1)
		}
		labels[i] = record[0]
		image := pixels[i*3*cifarPlane:]
		for c := range 3 {
			for p, v := range record[1+c*cifarPlane : 1+(c+1)*cifarPlane] {
				image[p*3+c] = v
			}
		}
	}
	return labels, pixels, nil
}
