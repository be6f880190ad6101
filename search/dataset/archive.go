package dataset

import (
	"archive/zip"
	"io"
	"io/fs"
	"path"
	"strings"

	"densenas/internal/exit"
)

// archiveFiles opens the image files of a zip archive, which stays open; entries are read concurrently.
type archiveFiles struct {
	closer  io.Closer
	entries []*zip.File
}

func (a *archiveFiles) open(i int32) (io.ReadCloser, error) { return a.entries[i].Open() }

func (a *archiveFiles) Close() error { return a.closer.Close() }

// listArchive lists the image entries and folders of an archive. Entries whose names lead out of it, or name one place twice,
// are refused, although nothing is ever unpacked: such an archive is no honest set of images. Errors begin with origin.
func listArchive(origin string, entries []*zip.File) (listing, error) {
	var l listing
	if len(entries) > maxImages {
		return l, exit.BadInput("%s: %d entries; at most %d are read: use a part of them", origin, len(entries), maxImages)
	}
	files := make(map[string]bool, len(entries))
	folders := map[string]bool{}
	for i, entry := range entries {
		name := strings.TrimSuffix(entry.Name, "/")
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") || len(name) > 1 && name[1] == ':' {
			return l, exit.BadInput("%s: entry %q has an unsafe name; make the archive again with plain relative names", origin, entry.Name)
		}
		if hiddenPath(name) {
			continue
		}
		isFolder := name != entry.Name
		if isFolder {
			folders[name] = true
		} else if !entry.Mode().IsRegular() || !isImage(name) {
			continue
		} else {
			if files[name] {
				return l, exit.BadInput("%s: has two entries %s; make the archive again", origin, name)
			}
			files[name] = true
			// The cast is safe to compare: a size beyond int64 becomes negative, and is refused as well.
			size := int64(entry.UncompressedSize64)
			if size < 0 {
				size = 1<<63 - 1
			}
			l.files = append(l.files, item{path: name, size: size, handle: i})
		}
		// An archive may leave the folders of its entries out.
		for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for name := range folders {
		if files[name] {
			return l, exit.BadInput("%s: %s is a file and a folder; make the archive again", origin, name)
		}
		if strings.Count(name, "/")+1 > maxDepth-1 {
			return l, exit.BadInput("%s: folder %s: folders nest too deep; use train/CLASS/IMAGE or CLASS/IMAGE", origin, name)
		}
		l.folders = append(l.folders, name)
	}
	return l, nil
}

// hiddenPath says whether any part of a path is hidden.
func hiddenPath(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if isHidden(part) {
			return true
		}
	}
	return false
}
