package dataset

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"
)

func openZip(t testing.TB, data []byte) []*zip.File {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r.File
}

func TestListArchive(t *testing.T) {
	entries := openZip(t, zipOf(t, map[string][]byte{
		"train/a/1.png": []byte("x"), "train/b/2.JPG": []byte("xy"), "train/empty/": nil, "train/a/notes.txt": nil,
		"__MACOSX/train/a/1.png": nil, "train/a/.DS_Store": nil, "train/.hidden/1.png": nil,
	}))
	l, err := listArchive("ZIP", entries)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range l.files {
		names = append(names, f.path)
		if entries[f.handle].Name != f.path || f.size != int64(entries[f.handle].UncompressedSize64) {
			t.Errorf("%+v is entry %s", f, entries[f.handle].Name)
		}
	}
	if got := strings.Join(names, " "); got != "train/a/1.png train/b/2.JPG" {
		t.Errorf("files %s", got)
	}
	_, err = arrange("ZIP", l)
	wantBadInput(t, err, "ZIP", "train/empty is empty")
}

func TestListArchiveRefuses(t *testing.T) {
	for _, name := range []string{"../a/1.png", "a/../../1.png", "/etc/1.png", "a//1.png", "a\\1.png", "C:/a/1.png", "a/./1.png", "a/\xff.png", "a/1\x00.png"} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		if _, err := w.CreateHeader(&zip.FileHeader{Name: name}); err != nil {
			t.Fatal(err)
		}
		w.Close()
		_, err := listArchive("ZIP", openZip(t, b.Bytes()))
		wantBadInput(t, err, "ZIP", "unsafe name")
	}

	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.Create("a/1.png")
	w.Create("a/1.png")
	w.Close()
	_, err := listArchive("ZIP", openZip(t, b.Bytes()))
	wantBadInput(t, err, "ZIP", "two entries a/1.png")

	_, err = listArchive("ZIP", openZip(t, zipOf(t, map[string][]byte{"a/1.png": nil, "a/1.png/2.png": nil})))
	wantBadInput(t, err, "ZIP", "a file and a folder")
	_, err = listArchive("ZIP", openZip(t, zipOf(t, map[string][]byte{"a/b/c/d/1.png": nil})))
	wantBadInput(t, err, "ZIP", "nest too deep")
	_, err = listArchive("ZIP", make([]*zip.File, maxImages+1))
	wantBadInput(t, err, "ZIP", "5000001 entries")
}

// An entry whose header tells a small size must not be unpacked beyond it, and one that tells a large size is refused.
func TestArchiveSizes(t *testing.T) {
	entries := openZip(t, zipOf(t, byClassFiles(t, []string{"train", "test"}, []string{"a", "b"}, 3)))
	entries[4].UncompressedSize64 = maxImageBytes + 1
	_, err := arrangeArchive("zip", "ZIP", entries, io.NopCloser(nil))
	wantBadInput(t, err, "ZIP", entries[4].Name, "67108865 bytes")
	entries[4].UncompressedSize64 = 1<<64 - 1
	_, err = arrangeArchive("zip", "ZIP", entries, io.NopCloser(nil))
	wantBadInput(t, err, "ZIP", entries[4].Name)

	entries[4].UncompressedSize64 = 100
	c, err := arrangeArchive("zip", "ZIP", entries, io.NopCloser(nil))
	if err != nil {
		t.Fatal(err)
	}
	o, _ := Options{}.withDefaults()
	_, err = prepare(t.Context(), c, o)
	wantBadInput(t, err, "ZIP", "corrupt image "+entries[4].Name)
}

func FuzzArchive(f *testing.F) {
	f.Add(zipOf(f, byClassFiles(f, []string{"train", "test"}, []string{"a", "b"}, 1)))
	f.Add(zipOf(f, map[string][]byte{"a/1.png": []byte("x"), "b/1.jpg": nil, "c/": nil}))
	f.Add(zipOf(f, map[string][]byte{"w/train/a/1.bmp": []byte("BM"), "w/train/b/1.webp": []byte("RIFF"), "w/val/a/1.png": nil, "w/val/b/1.png": nil}))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		c, err := arrangeArchive("zip", "ZIP", r.File, io.NopCloser(nil))
		if err != nil {
			wantBadInput(t, err, "ZIP")
			return
		}
		if len(c.classes) < 2 || len(c.train)+len(c.test) != len(c.labels) {
			t.Errorf("%d classes, %d + %d images, %d labels", len(c.classes), len(c.train), len(c.test), len(c.labels))
		}
		for i, label := range c.labels {
			if label < 0 || int(label) >= len(c.classes) {
				t.Errorf("label %d of %d classes", label, len(c.classes))
			}
			if p, err := c.source.picture(int32(i)); err == nil && len(p.pixels) != p.height*p.width*p.channels {
				t.Errorf("picture of %d×%d×%d has %d bytes", p.height, p.width, p.channels, len(p.pixels))
			}
		}
	})
}
