package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"
)

// maxPixels bounds what decoding an image may allocate.
const maxPixels = 50_000_000

var errFormat = errors.New("is no jpeg, png, webp or bmp image")

// format is an image format, known by how its files begin, whatever their names end with.
type format struct {
	begins func(start []byte) bool
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

var formats = []format{
	{func(b []byte) bool { return bytes.HasPrefix(b, []byte("\xff\xd8\xff")) }, jpeg.DecodeConfig, jpeg.Decode},
	{func(b []byte) bool { return bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) }, png.DecodeConfig, png.Decode},
	{func(b []byte) bool {
		return bytes.HasPrefix(b, []byte("RIFF")) && len(b) >= 12 && string(b[8:12]) == "WEBP"
	}, webp.DecodeConfig, webp.Decode},
	{func(b []byte) bool { return bytes.HasPrefix(b, []byte("BM")) }, bmp.DecodeConfig, bmp.Decode},
}

// header is the size of an image as its header has it, and whether it is gray.
type header struct {
	height, width, channels int
}

func (h header) bytes() int64 { return int64(h.height) * int64(h.width) * int64(h.channels) }

// readHeader reads the size of an image and refuses unreasonable ones.
func readHeader(r io.Reader) (h header, f format, err error) {
	defer recoverDecoder(&err)
	buffered := bufio.NewReader(r)
	start, err := buffered.Peek(12)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, f, err
	}
	if len(start) == 0 {
		return h, f, errors.New("is an empty file")
	}
	for _, f := range formats {
		if !f.begins(start) {
			continue
		}
		c, err := f.config(buffered)
		if err != nil {
			return h, f, err
		}
		if c.Width < 1 || c.Height < 1 || int64(c.Width)*int64(c.Height) > maxPixels {
			return h, f, fmt.Errorf("has %d×%d pixels; 1 to %d million are read", c.Width, c.Height, maxPixels/1_000_000)
		}
		h = header{height: c.Height, width: c.Width, channels: 3}
		if c.ColorModel == color.GrayModel || c.ColorModel == color.Gray16Model {
			h.channels = 1
		}
		return h, f, nil
	}
	return h, f, errFormat
}

// decode decodes an image. Transparent pixels are black behind; a jpeg's orientation tag is not applied.
func decode(data []byte) (p picture, err error) {
	defer recoverDecoder(&err)
	h, f, err := readHeader(bytes.NewReader(data))
	if err != nil {
		return picture{}, err
	}
	img, err := f.decode(bytes.NewReader(data))
	if err != nil {
		return picture{}, err
	}
	bounds := img.Bounds()
	if bounds.Dx() != h.width || bounds.Dy() != h.height {
		return picture{}, fmt.Errorf("has %d×%d pixels in its header and %d×%d behind it", h.width, h.height, bounds.Dx(), bounds.Dy())
	}
	p = picture{height: h.height, width: h.width, channels: h.channels}
	if h.channels == 1 {
		gray, ok := img.(*image.Gray)
		if !ok {
			gray = image.NewGray(bounds)
			draw.Draw(gray, bounds, img, bounds.Min, draw.Src)
		}
		p.pixels = make([]uint8, 0, h.bytes())
		for y := range h.height {
			p.pixels = append(p.pixels, gray.Pix[y*gray.Stride:y*gray.Stride+h.width]...)
		}
		return p, nil
	}
	rgba := image.NewRGBA(image.Rect(0, 0, h.width, h.height))
	draw.Draw(rgba, rgba.Rect, img, bounds.Min, draw.Src)
	// Alpha is dropped in place: what is read lies ahead of what is written.
	pixels := rgba.Pix
	for from, to := 0, 0; from < len(pixels); from, to = from+4, to+3 {
		pixels[to], pixels[to+1], pixels[to+2] = pixels[from], pixels[from+1], pixels[from+2]
	}
	p.pixels = pixels[:h.bytes()]
	return p, nil
}

// recoverDecoder turns a panic of a decoder into an error: the files are of strangers, the decoders are not ours, and one
// image must not end a search.
func recoverDecoder(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("breaks its decoder: %v", r)
	}
}
