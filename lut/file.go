package lut

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"densenas/internal/exit"
	"densenas/internal/files"
)

// Kind and SchemaVersion of the table's file, *.lut.json.
const (
	Kind          = "densenas.lut"
	SchemaVersion = 1
)

// document is the JSON form. Entries are the last field of Table: encode relies on it.
type document struct {
	files.Header
	Unit string `json:"unit"`
	Table
}

// Read reads a table strictly. Errors are bad input that names file, place and way out.
func Read(path string) (*Table, error) {
	data, err := files.ReadBounded(path, maxFile)
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

func parse(name string, data []byte) (*Table, error) {
	// The unit comes before the other fields, because a table in another unit is likely to differ in more.
	var unit struct {
		Unit *string `json:"unit"`
	}
	if err := json.Unmarshal(data, &unit); err == nil && unit.Unit != nil && *unit.Unit != Unit {
		if err := checkKind(name, data); err != nil {
			return nil, err
		}
		return nil, exit.BadInput("%s: unit is %.20q, expected %q; convert the times and the field names, or measure again", name, *unit.Unit, Unit)
	}
	if err := checkLists(name, data); err != nil {
		return nil, cmp.Or(checkKind(name, data), err)
	}
	var d document
	if err := files.DecodeJSONKind(name, data, Kind, SchemaVersion, &d); err != nil {
		return nil, err
	}
	if err := d.Table.Check(); err != nil {
		return nil, exit.BadInput("%s: %w", name, err)
	}
	t := d.Table
	t.path, t.index = name, newIndex(t.Entries)
	return &t, nil
}

// checkKind reports a foreign or newer file.
func checkKind(name string, data []byte) error {
	var h files.Header
	if err := json.Unmarshal(data, &h); err != nil {
		return nil // the strict decoding says what is wrong
	}
	return h.Check(name, Kind, SchemaVersion)
}

// Write writes the table atomically, after checking it.
func (t *Table) Write(path string) error {
	if err := t.Check(); err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	data, err := t.encode()
	if err != nil {
		return fmt.Errorf("%s: not written: %w", path, err)
	}
	return files.WriteBytes(path, data)
}

// Identity is the SHA-256, in hexadecimal, of all that the table says, whatever the layout of its file. A prediction names
// its table by it. It is empty for a table that Check refuses.
func (t *Table) Identity() string {
	data, err := t.encode()
	if err != nil || t.Check() != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// encode is the JSON form with one entry per line.
func (t *Table) encode() ([]byte, error) {
	d := document{Header: files.Header{Kind: Kind, SchemaVersion: SchemaVersion}, Unit: Unit, Table: *t}
	d.Entries = []Entry{}
	head, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	head, ok := bytes.CutSuffix(head, []byte("]\n}"))
	if !ok {
		return nil, errors.New("entries are not the last field of a table")
	}
	b := bytes.NewBuffer(head)
	for i := range t.Entries {
		line, err := json.Marshal(&t.Entries[i])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    ")
		b.Write(line)
	}
	b.WriteString("\n  ]\n}\n")
	return b.Bytes(), nil
}
