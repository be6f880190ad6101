package export

import (
	"maps"

	"densenas/internal/safetensors"
)

// tensorsKind is the kind of the files that [WriteTensors] writes.
const tensorsKind = "densenas.tensors"

// WriteTensors writes the layers' weights alone, as [Tensors] lists them, to a safetensors file, with metadata. Beyond these
// the file says its "kind", and "format" as PyTorch's loader wants it.
func WriteTensors(path string, layers []Layer, metadata map[string]string) error {
	list, err := Tensors(layers)
	if err != nil {
		return err
	}
	f := safetensors.File{Metadata: map[string]string{"kind": tensorsKind, "schema_version": "1", "format": "pt"}}
	maps.Copy(f.Metadata, metadata)
	for _, t := range list {
		f.Tensors = append(f.Tensors, safetensors.Tensor{Name: t.Name, Dims: t.Dims, Data: t.Data})
	}
	return safetensors.Write(path, f)
}
