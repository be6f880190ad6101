package space

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// writeJSON writes an object with one field per line, and one line per element of a list of lists or objects, so that files can
// be read and compared by line.
func writeJSON(w io.Writer, v json.Marshaler) error {
	compact, err := v.MarshalJSON()
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(compact))
	if _, err := d.Token(); err != nil {
		return err
	}
	separator := "{"
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n  %q: %s", separator, key, spread(value)); err != nil {
			return err
		}
		separator = ","
	}
	_, err = io.WriteString(w, "\n}\n")
	return err
}

// spread puts the elements of a list of lists or objects on lines of their own.
func spread(value json.RawMessage) []byte {
	var elements []json.RawMessage
	if json.Unmarshal(value, &elements) != nil || len(elements) == 0 || elements[0][0] != '[' && elements[0][0] != '{' {
		return value
	}
	var b bytes.Buffer
	b.WriteByte('[')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n    %s", e)
	}
	b.WriteString("\n  ]")
	return b.Bytes()
}
