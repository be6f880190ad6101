package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"densenas/internal/exit"
)

const (
	idxImagesMagic  = 0x00000803 // unsigned bytes, three dimensions
	idxLabelsMagic  = 0x00000801 // unsigned bytes, one dimension
	maxIDXSide      = 256        // pixels
	maxIDXBytes     = 256 << 20  // pixels of all images; MNIST has 47 MB
	maxBinaryLabels = 10         // MNIST and CIFAR-10 have ten classes
)

// readIDXImages reads an idx file of images (magic 0x803, count, rows, columns, then the pixels, row by row), compressed by
// gzip or not. Errors name the file.
func readIDXImages(name string, r io.Reader) (height, width int, pixels []uint8, err error) {
	var header [3]uint32
	body, err := openIDX(name, r, idxImagesMagic, "images", header[:])
	if err != nil {
		return 0, 0, nil, err
	}
	count, rows, columns := int64(header[0]), int64(header[1]), int64(header[2])
	if rows < 1 || rows > maxIDXSide || columns < 1 || columns > maxIDXSide {
		return 0, 0, nil, exit.BadInput("%s: images of %d×%d pixels in its header; 1 to %d a side are read", name, rows, columns, maxIDXSide)
	}
	if count < 1 || count*rows*columns > maxIDXBytes {
		return 0, 0, nil, exit.BadInput("%s: %d images of %d×%d pixels in its header; 1 to %d of that size are read", name, count, rows, columns, maxIDXBytes/(rows*columns))
	}
	pixels, err = readIDXBody(name, body, count*rows*columns)
	return int(rows), int(columns), pixels, err
}

// readIDXLabels reads an idx file of labels (magic 0x801, count, then one byte each), compressed by gzip or not. Labels are
// 0 to 9. Errors name the file.
func readIDXLabels(name string, r io.Reader) ([]uint8, error) {
	var header [1]uint32
	body, err := openIDX(name, r, idxLabelsMagic, "labels", header[:])
	if err != nil {
		return nil, err
	}
	if header[0] < 1 || header[0] > maxIDXBytes {
		return nil, exit.BadInput("%s: %d labels in its header; 1 to %d are read", name, header[0], maxIDXBytes)
	}
	labels, err := readIDXBody(name, body, int64(header[0]))
	if err != nil {
		return nil, err
	}
	for i, label := range labels {
		if label >= maxBinaryLabels {
			return nil, exit.BadInput("%s: label %d of image %d is out of range; labels are 0 to %d: fetch the file again", name, label, i, maxBinaryLabels-1)
		}
	}
	return labels, nil
}

// openIDX undoes gzip where there is any, checks the magic number and reads the sizes that follow it.
func openIDX(name string, r io.Reader, magic uint32, what string, sizes []uint32) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 1<<16)
	body := io.Reader(buffered)
	if start, _ := buffered.Peek(2); len(start) == 2 && start[0] == 0x1f && start[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, exit.BadInput("%s: broken gzip header: %w; fetch the file again", name, err)
		}
		body = unzipped
	}
	var found uint32
	if err := binary.Read(body, binary.BigEndian, &found); err != nil {
		return nil, truncated(name, err)
	}
	if found != magic {
		return nil, exit.BadInput("%s: is no idx file of %s: magic number 0x%08x instead of 0x%08x", name, what, found, magic)
	}
	if err := binary.Read(body, binary.BigEndian, sizes); err != nil {
		return nil, truncated(name, err)
	}
	return body, nil
}

// readIDXBody reads exactly n bytes up to the end. Memory grows with what the file really has, not with what its header says.
func readIDXBody(name string, r io.Reader, n int64) ([]uint8, error) {
	body, err := io.ReadAll(io.LimitReader(r, n+1))
	switch {
	case err != nil:
		return nil, truncated(name, err)
	case int64(len(body)) < n:
		return nil, truncated(name, fmt.Errorf("%d of %d bytes", len(body), n))
	case int64(len(body)) > n:
		return nil, exit.BadInput("%s: has data after its %d bytes; fetch the file again", name, n)
	}
	return body, nil
}

func truncated(name string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return exit.BadInput("%s: truncated or damaged: %w; fetch the file again", name, err)
}
