package dataset

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"densenas/internal/exit"
)

// folderFiles opens the image files of a folder.
type folderFiles struct {
	root  string
	names []string
}

func (f *folderFiles) open(i int32) (io.ReadCloser, error) {
	return os.Open(filepath.Join(f.root, filepath.FromSlash(f.names[i])))
}

func (f *folderFiles) Close() error { return nil }

// listFolder lists the image files and folders below root, at most maxDepth deep. It follows links, and leaves out hidden
// files and whatever is neither an image by its name nor a folder.
func listFolder(root string) (listing, error) {
	var l listing
	var walk func(rel string, depth int) error
	walk = func(rel string, depth int) error {
		dir := filepath.Join(root, filepath.FromSlash(rel))
		entries, err := os.ReadDir(dir)
		if err != nil {
			return exit.BadInput("%w; make the folder readable", err)
		}
		for _, entry := range entries {
			name := entry.Name()
			at := path.Join(rel, name)
			full := filepath.Join(dir, name)
			if isHidden(name) || !entry.IsDir() && entry.Type()&fs.ModeSymlink == 0 && !isImage(name) {
				continue
			}
			info, err := os.Stat(full)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return exit.BadInput("%s: is a link to a file that does not exist; remove or repair it", full)
			case err != nil:
				return exit.BadInput("%w; remove it or make it readable", err)
			case info.IsDir() && depth+1 > maxDepth-1:
				return exit.BadInput("%s: folders nest too deep; use train/CLASS/IMAGE or CLASS/IMAGE", full)
			case info.IsDir():
				l.folders = append(l.folders, at)
				if err := walk(at, depth+1); err != nil {
					return err
				}
			case isImage(name) && !info.Mode().IsRegular():
				return exit.BadInput("%s: is named like an image but is no regular file; remove it", full)
			case isImage(name):
				l.files = append(l.files, item{path: at, size: info.Size()})
			}
			if len(l.files)+len(l.folders) > maxImages {
				return exit.BadInput("%s: more than %d files; use a part of them", root, maxImages)
			}
		}
		return nil
	}
	return l, walk("", 0)
}
