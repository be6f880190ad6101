package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"densenas/internal/exit"
)

// fileSet opens the files of a folder or archive by index, from several goroutines at once.
type fileSet interface {
	open(i int32) (io.ReadCloser, error)
	io.Closer
}

// imageFiles is a source of images in files: decoded at every use, unless check has decoded them all.
type imageFiles struct {
	fileSet
	origin  string
	files   []item
	headers []header  // filled by check; 0×0 for images that are not used
	cache   []picture // nil, or every used image
}

// corruptError says that an image cannot be decoded.
type corruptError struct {
	origin, name string
	err          error
}

func (e *corruptError) Error() string {
	return fmt.Sprintf("%s: corrupt image %s: %v", e.origin, e.name, e.err)
}

func (e *corruptError) Unwrap() error { return e.err }

// refuseCorrupt is the error for a corrupt image that was not to be skipped. The count, where it is known, begins with a space.
func refuseCorrupt(first *corruptError, count string) error {
	return exit.BadInput("%w%s; repair or remove it, or leave corrupt images out with --skip-corrupt", first, count)
}

func (f *imageFiles) picture(i int32) (picture, error) {
	if f.cache != nil {
		return f.cache[i], nil
	}
	var p picture
	err := f.with(i, func(r io.Reader) error {
		var data bytes.Buffer
		data.Grow(int(min(f.files[i].size, maxImageBytes)) + bytes.MinRead)
		// The size of a file may have changed since it was listed, and that of an archive's entry may be a lie.
		if _, err := data.ReadFrom(io.LimitReader(r, maxImageBytes+1)); err != nil {
			return err
		}
		if data.Len() > maxImageBytes {
			return fmt.Errorf("has more than %d bytes", maxImageBytes)
		}
		var err error
		p, err = decode(data.Bytes())
		return err
	})
	return p, err
}

// with opens a file for a function, and tells errors of the file system, which are returned as they are, from errors in what
// the file holds, which become a *corruptError.
func (f *imageFiles) with(i int32, read func(io.Reader) error) error {
	file, err := f.open(i)
	if err == nil {
		err = read(file)
		file.Close()
	}
	if err == nil {
		return nil
	}
	if system := new(fs.PathError); errors.As(err, &system) {
		return exit.BadInput("%s: image %s: %w; make it readable, or put it back", f.origin, f.files[i].path, err)
	}
	return &corruptError{f.origin, f.files[i].path, err}
}

// check reads the header of every used image, and, where all of them fit cacheBytes, decodes them. It returns the corrupt
// ones in the order of used. Progress goes from 0 to twice the number of images.
func (f *imageFiles) check(ctx context.Context, used []int32, workers int, cacheBytes int64, progress func(done, total int)) ([]*corruptError, error) {
	count := newCounter(2*len(used), progress)
	corrupt := make([]*corruptError, len(used))
	// keep files an error under its image, and passes on those that are not about the image.
	keep := func(n int, err error) error {
		if errors.As(err, &corrupt[n]) {
			return nil
		}
		return err
	}
	f.headers = make([]header, len(f.files))
	err := parallel(ctx, workers, len(used), func(n int) error {
		defer count.add(1)
		return keep(n, f.with(used[n], func(r io.Reader) (err error) {
			f.headers[used[n]], _, err = readHeader(r)
			return err
		}))
	})
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, h := range f.headers {
		total += h.bytes()
	}
	if total <= cacheBytes {
		pictures := make([]picture, len(f.files))
		err = parallel(ctx, workers, len(used), func(n int) error {
			defer count.add(1)
			if corrupt[n] != nil {
				return nil
			}
			p, err := f.picture(used[n])
			// A decoder's buffer may be larger than the pixels that it holds.
			p.pixels = bytes.Clone(p.pixels)
			pictures[used[n]] = p
			return keep(n, err)
		})
		if err != nil {
			return nil, err
		}
		f.cache = pictures
	}
	count.add(2*len(used) - count.done)
	var found []*corruptError
	for _, c := range corrupt {
		if c != nil {
			found = append(found, c)
		}
	}
	return found, nil
}
