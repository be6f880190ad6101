package dataset

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
)

func encode(t testing.TB, img image.Image, kind string) []byte {
	t.Helper()
	if kind == "jpeg" {
		return jpegOf(t, img)
	}
	var b bytes.Buffer
	var err error
	if kind == "bmp" {
		err = bmp.Encode(&b, img)
	} else {
		err = png.Encode(&b, img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pngHeader is the start of a png image that promises a size.
func pngHeader(width, height uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	data := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	data = append(data, chunk...)
	return binary.BigEndian.AppendUint32(data, crc32.ChecksumIEEE(chunk))
}

// webpOf is an image of 1×1 pixels, without loss: a VP8L chunk of one code per channel.
var webpOf = []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00")

func TestDecodeFormats(t *testing.T) {
	for _, kind := range []string{"jpeg", "png", "bmp"} {
		p, err := decode(encode(t, uniform(5, 7, color.RGBA{200, 100, 50, 255}), kind))
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if p.height != 5 || p.width != 7 || p.channels != 3 || len(p.pixels) != 5*7*3 {
			t.Fatalf("%s: %d×%d×%d, %d bytes", kind, p.height, p.width, p.channels, len(p.pixels))
		}
		for i, v := range p.pixels {
			if want := []int{200, 100, 50}[i%3]; int(v) < want-3 || int(v) > want+3 {
				t.Fatalf("%s: byte %d is %d, want %d", kind, i, v, want)
			}
		}
	}
	p, err := decode(webpOf)
	if err != nil || p.height != 1 || p.width != 1 || len(p.pixels) != 3 {
		t.Errorf("webp: %+v, %v", p, err)
	}
}

// A jpeg of 16×8 pixels in the four inks of printers, as some of ImageNet's: left red, right cyan. Our own encoder writes none.
const cmykJPEG = "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFBgSFBUU/8AAFAgACAAQ" +
	"BEMRAE0RAFkRAEsRAP/EABYAAQEBAAAAAAAAAAAAAAAAAAkKAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAOBEMATQBZAEsAAD8AVMVQqippV1VCqhn/2Q=="

func TestDecodeInks(t *testing.T) {
	data, err := base64.StdEncoding.DecodeString(cmykJPEG)
	if err != nil {
		t.Fatal(err)
	}
	p, err := decode(data)
	if err != nil || p.height != 8 || p.width != 16 || p.channels != 3 {
		t.Fatalf("%d×%d×%d, %v", p.height, p.width, p.channels, err)
	}
	for x, want := range map[int][3]uint8{2: {255, 0, 0}, 13: {0, 255, 255}} {
		if got := [3]uint8(p.pixels[(4*16+x)*3:]); got != want {
			t.Errorf("pixel %d is %v, want %v", x, got, want)
		}
	}
}

func TestDecodeGray(t *testing.T) {
	eight := image.NewGray(image.Rect(0, 0, 6, 4))
	sixteen := image.NewGray16(image.Rect(0, 0, 6, 4))
	for i := range 24 {
		eight.SetGray(i%6, i/6, color.Gray{uint8(i)})
		sixteen.SetGray16(i%6, i/6, color.Gray16{uint16(i) << 8})
	}
	for _, img := range []image.Image{eight, sixteen} {
		p, err := decode(encode(t, img, "png"))
		if err != nil || p.channels != 1 || p.height != 4 || p.width != 6 {
			t.Fatalf("%+v, %v", p, err)
		}
		for i, v := range p.pixels {
			if int(v) != i {
				t.Fatalf("%T: pixel %d is %d", img, i, v)
			}
		}
	}
}

func TestDecodeTransparent(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	img.Set(0, 0, color.NRGBA{255, 128, 0, 0})
	img.Set(1, 0, color.NRGBA{255, 128, 0, 255})
	p, err := decode(encode(t, img, "png"))
	if err != nil || !bytes.Equal(p.pixels, []byte{0, 0, 0, 255, 128, 0}) {
		t.Errorf("%v, %v", p.pixels, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	photo := encode(t, uniform(40, 40, color.RGBA{1, 2, 3, 255}), "jpeg")
	for name, c := range map[string]struct {
		data []byte
		word string
	}{
		"empty":         {nil, "empty"},
		"text":          {[]byte("a text of some words"), "no jpeg, png, webp or bmp"},
		"one byte":      {[]byte{0xff}, "no jpeg"},
		"cut jpeg":      {photo[:len(photo)/2], "unexpected EOF"},
		"cut png":       {pngOf(t, 9, 9, 1)[:60], "pixel data"},
		"many pixels":   {pngHeader(8000, 8000), "8000×8000 pixels"},
		"very many":     {pngHeader(1<<30, 1<<30), ""},
		"no pixels":     {pngHeader(0, 5), ""},
		"only a header": {pngHeader(5, 5), "EOF"},
	} {
		if _, err := decode(c.data); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: error %v, want %q", name, err, c.word)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(pngOf(f, 3, 4, 1))
	f.Add(encode(f, uniform(3, 4, color.Gray{7}), "jpeg"))
	f.Add(encode(f, uniform(3, 4, color.Gray{7}), "bmp"))
	f.Add(webpOf)
	f.Fuzz(func(t *testing.T, data []byte) {
		// Images near the limit of pixels are sound, but slow.
		if h, _, err := readHeader(bytes.NewReader(data)); err == nil && h.bytes() > 1<<20 {
			t.Skip()
		}
		p, err := decode(data)
		if err == nil && (len(p.pixels) != p.height*p.width*p.channels || len(p.pixels) == 0) {
			t.Errorf("%d×%d×%d has %d bytes", p.height, p.width, p.channels, len(p.pixels))
		}
	})
}
