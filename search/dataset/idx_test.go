package dataset

import (
	"bytes"
	"testing"
)

func TestReadIDX(t *testing.T) {
	images := idxOf(idxImagesMagic, []uint32{2, 2, 3}, []byte("abcdefghijkl"))
	for name, data := range map[string][]byte{"plain": images, "gzip": gzipOf(t, images)} {
		height, width, pixels, err := readIDXImages(name, bytes.NewReader(data))
		if err != nil || height != 2 || width != 3 || string(pixels) != "abcdefghijkl" {
			t.Errorf("%s: %d×%d %q, %v", name, height, width, pixels, err)
		}
	}
	labels, err := readIDXLabels("labels", bytes.NewReader(idxOf(idxLabelsMagic, []uint32{3}, []byte{0, 9, 4})))
	if err != nil || !bytes.Equal(labels, []byte{0, 9, 4}) {
		t.Errorf("labels %v, %v", labels, err)
	}
}

func TestReadIDXRefuses(t *testing.T) {
	good := idxOf(idxImagesMagic, []uint32{2, 2, 3}, make([]byte, 12))
	for name, c := range map[string]struct {
		data []byte
		word string
	}{
		"empty":          {nil, "truncated"},
		"header":         {good[:9], "truncated"},
		"body":           {good[:20], "4 of 12 bytes"},
		"trailing":       {append(bytes.Clone(good), 0), "data after"},
		"foreign":        {[]byte("hello, this is text"), "magic number"},
		"labels":         {idxOf(idxLabelsMagic, []uint32{1}, []byte{1}), "magic number"},
		"broken gzip":    {[]byte{0x1f, 0x8b, 0, 0}, "gzip"},
		"cut gzip":       {gzipOf(t, good)[:30], "truncated"},
		"no images":      {idxOf(idxImagesMagic, []uint32{0, 2, 3}, nil), "0 images"},
		"large sides":    {idxOf(idxImagesMagic, []uint32{1, 257, 3}, nil), "257×3"},
		"promises much":  {idxOf(idxImagesMagic, []uint32{1 << 31, 256, 256}, nil), "images of 256×256"},
		"promises fewer": {idxOf(idxImagesMagic, []uint32{4096, 256, 256}, []byte("x")), "1 of 268435456 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := readIDXImages("FILE", bytes.NewReader(c.data))
			wantBadInput(t, err, "FILE", c.word)
		})
	}
	_, err := readIDXLabels("FILE", bytes.NewReader(idxOf(idxLabelsMagic, []uint32{3}, []byte{0, 10, 4})))
	wantBadInput(t, err, "FILE", "label 10 of image 1")
	_, err = readIDXLabels("FILE", bytes.NewReader(idxOf(idxLabelsMagic, []uint32{3}, []byte{0})))
	wantBadInput(t, err, "FILE", "1 of 3 bytes")
}

func FuzzReadIDX(f *testing.F) {
	f.Add(idxOf(idxImagesMagic, []uint32{2, 2, 3}, make([]byte, 12)))
	f.Add(idxOf(idxLabelsMagic, []uint32{3}, []byte{0, 9, 4}))
	f.Add(gzipOf(f, idxOf(idxImagesMagic, []uint32{1, 1, 1}, []byte{7})))
	f.Fuzz(func(t *testing.T, data []byte) {
		if height, width, pixels, err := readIDXImages("FILE", bytes.NewReader(data)); err == nil {
			if height < 1 || width < 1 || len(pixels) == 0 || len(pixels)%(height*width) != 0 {
				t.Errorf("%d×%d with %d pixels", height, width, len(pixels))
			}
		} else {
			wantBadInput(t, err, "FILE")
		}
		if labels, err := readIDXLabels("FILE", bytes.NewReader(data)); err == nil {
			for _, label := range labels {
				if label > 9 {
					t.Errorf("label %d", label)
				}
			}
		} else {
			wantBadInput(t, err, "FILE")
		}
	})
}
