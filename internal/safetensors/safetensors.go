// Package safetensors reads and writes named float32 tensors in the safetensors format: a little-endian uint64 with the
// length of a JSON header, the header (per tensor its type, shape and place, and string metadata), and the data. Other
// tools open such files too.
//
// Beyond the format, a file holds a SHA-256 over metadata, names, shapes and data, so that damage is noticed.
// The package reads nothing but float32, checks every size against the file's before it allocates, and executes nothing.
package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sort"
	"unsafe"

	"densenas/internal/exit"
	"densenas/internal/files"
)

const (
	// maxHeader bounds the header's bytes.
	maxHeader = 256 << 20
	// maxFile bounds a file.
	maxFile = 64 << 30

	metadataKey = "__metadata__"
	checksumKey = "sha256"
)

// Tensor is a named float32 tensor.
type Tensor struct {
	Name string
	Dims []int
	Data []float32
}

// File is what a file holds.
type File struct {
	// Metadata are strings by name; "sha256" is the format's own.
	Metadata map[string]string
	Tensors  []Tensor
}

type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// Write writes f to path, atomically.
func Write(path string, f File) error {
	header := map[string]any{}
	offset := 0
	for _, t := range f.Tensors {
		if _, twice := header[t.Name]; twice || t.Name == metadataKey || size(t.Dims) != len(t.Data) {
			return fmt.Errorf("%s: tensor %q of shape %v with %d values cannot be written", path, t.Name, t.Dims, len(t.Data))
		}
		end := offset + 4*len(t.Data)
		header[t.Name] = entry{"F32", nonNil(t.Dims), [2]int{offset, end}}
		offset = end
	}
	metadata := maps.Clone(f.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[checksumKey] = checksum(File{metadata, f.Tensors})
	header[metadataKey] = metadata
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	// The data starts at a multiple of eight bytes.
	text = append(text, bytes.Repeat([]byte(" "), (8-len(text)%8)%8)...)
	return files.WriteAtomic(path, func(w io.Writer) error {
		if err := binary.Write(w, binary.LittleEndian, uint64(len(text))); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		for _, t := range f.Tensors {
			if _, err := w.Write(asBytes(t.Data)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Read reads a file. Tensors come in the order of their data. Anything wrong with the file is bad input.
func Read(path string) (File, error) {
	data, err := files.ReadBounded(path, maxFile)
	if err != nil {
		return File{}, err
	}
	f, err := parse(data)
	if err != nil {
		return File{}, exit.BadInput("%s: %w; it is damaged or not a safetensors file of densenas: restore it, or make it again; a run whose checkpoint is lost starts again in another folder", path, err)
	}
	return f, nil
}

func parse(data []byte) (File, error) {
	if len(data) < 8 {
		return File{}, fmt.Errorf("has only %d bytes", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	if n > maxHeader || n > uint64(len(data)-8) {
		return File{}, fmt.Errorf("header of %d bytes does not fit", n)
	}
	text, body := data[8:8+n], data[8+n:]
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return File{}, fmt.Errorf("header: %w", err)
	}
	var f File
	if m, ok := raw[metadataKey]; ok {
		if err := json.Unmarshal(m, &f.Metadata); err != nil {
			return File{}, fmt.Errorf("header, %s: %w", metadataKey, err)
		}
	}
	delete(raw, metadataKey)
	want := f.Metadata[checksumKey]
	delete(f.Metadata, checksumKey)
	entries := make(map[string]entry, len(raw))
	for name, m := range raw {
		var e entry
		if err := files.DecodeJSON("header", m, &e); err != nil || e.Shape == nil {
			return File{}, fmt.Errorf("header: tensor %q is not described by dtype, shape and data_offsets", name)
		}
		entries[name] = e
	}
	names := slices.Collect(maps.Keys(entries))
	sort.Slice(names, func(i, j int) bool {
		a, b := entries[names[i]].Offsets, entries[names[j]].Offsets
		return a[0] < b[0] || a[0] == b[0] && (a[1] < b[1] || a[1] == b[1] && names[i] < names[j])
	})
	offset := 0
	for _, name := range names {
		e := entries[name]
		values, err := checkedSize(e.Shape)
		if err != nil || e.DType != "F32" || e.Offsets[0] != offset || e.Offsets[1] > len(body) || e.Offsets[1]-offset != 4*values {
			return File{}, fmt.Errorf("tensor %q: type %s, shape %v at %v does not fit the %d bytes of data", name, e.DType, e.Shape, e.Offsets, len(body))
		}
		t := Tensor{Name: name, Dims: e.Shape, Data: make([]float32, values)}
		for i := range t.Data {
			t.Data[i] = math.Float32frombits(binary.LittleEndian.Uint32(body[offset+4*i:]))
		}
		f.Tensors = append(f.Tensors, t)
		offset = e.Offsets[1]
	}
	if offset != len(body) {
		return File{}, fmt.Errorf("%d bytes of data belong to no tensor", len(body)-offset)
	}
	if got := checksum(f); got != want {
		return File{}, fmt.Errorf("checksum is %q, the content has %s", want, got)
	}
	return f, nil
}

// checksum is over the metadata in the order of its names, and over names, shapes and data of the tensors in theirs.
func checksum(f File) string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(f.Metadata)) {
		if k != checksumKey {
			fmt.Fprintf(h, "%q:%q\n", k, f.Metadata[k])
		}
	}
	for _, t := range f.Tensors {
		fmt.Fprintf(h, "%q%v\n", t.Name, t.Dims)
		h.Write(asBytes(t.Data))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func size(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// checkedSize is size for dimensions of a stranger: negative ones and those that overflow are errors.
func checkedSize(dims []int) (int, error) {
	n := 1
	for _, d := range dims {
		if d < 0 || d > 0 && n > maxFile/d {
			return 0, fmt.Errorf("shape %v is out of range", dims)
		}
		n *= d
	}
	return n, nil
}

func nonNil(dims []int) []int {
	if dims == nil {
		return []int{}
	}
	return dims
}

// asBytes views little-endian float32 values as bytes; all supported platforms are little-endian.
func asBytes(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
}
