package files

import (
	"bytes"
	"encoding/json"
	"reflect"

	"densenas/internal/exit"

	"go.yaml.in/yaml/v3"
)

// Header begins every file of the project; embed it first in the struct of a format.
type Header struct {
	Kind          string `json:"kind" yaml:"kind"`                     // "densenas.lut", "densenas.arch", …
	SchemaVersion int    `json:"schema_version" yaml:"schema_version"` // from 1; raised when an older reader would misread
}

// Check compares with what the reader expects.
func (h Header) Check(name, kind string, version int) error {
	switch {
	case h.Kind == "":
		return exit.BadInput("%s: has no \"kind\", so it is not a %s file; is it the right file?", name, kind)
	case h.Kind != kind:
		return exit.BadInput("%s: is of kind %s, expected %s; name the right file", name, clip(h.Kind), kind)
	case h.SchemaVersion > version:
		return exit.BadInput("%s: has schema version %d, made by a newer densenas; this one reads up to %d: upgrade it", name, h.SchemaVersion, version)
	case h.SchemaVersion < 1:
		return exit.BadInput("%s: has schema version %d, expected 1 to %d; write the file again", name, h.SchemaVersion, version)
	}
	return nil
}

// DecodeJSONKind checks kind and schema version before it decodes strictly, so that a foreign file is called foreign
// and a newer one newer, whatever else is in them.
func DecodeJSONKind(name string, data []byte, kind string, version int, v any) error {
	h, err := peekJSON(name, data)
	if err != nil {
		return err
	}
	if err := h.Check(name, kind, version); err != nil {
		return err
	}
	return DecodeJSON(name, data, v)
}

// DecodeYAMLKind is DecodeJSONKind for YAML.
func DecodeYAMLKind(name string, data []byte, kind string, version int, v any) error {
	root, err := parseYAML(name, data)
	if err != nil {
		return err
	}
	var h Header
	if err := checkWhole(name, root, reflect.TypeOf(h)); err != nil {
		return err
	}
	if root.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(root.Content); i += 2 {
			// A value of another type leaves the field empty, and Check refuses that.
			switch key, value := root.Content[i].Value, root.Content[i+1]; key {
			case "kind":
				_ = value.Decode(&h.Kind)
			case "schema_version":
				_ = value.Decode(&h.SchemaVersion)
			}
		}
	}
	if err := h.Check(name, kind, version); err != nil {
		return err
	}
	return DecodeYAML(name, data, v)
}

// peekJSON finds kind and schema version among the fields of the outermost object. A file that is no JSON object gives
// an error; one that breaks off or breaks later is left to the strict decoding if both were found before.
func peekJSON(name string, data []byte) (Header, error) {
	var h Header
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	token, err := d.Token()
	if HasByteOrderMark(data) {
		return h, markError(name)
	}
	if err != nil {
		return h, exit.BadInput("%s: is not JSON; is it the right file?", name)
	}
	if token != json.Delim('{') {
		return h, exit.BadInput("%s: is JSON but not an object, expected {\"kind\": …}; is it the right file?", name)
	}
	for d.More() && (h.Kind == "" || h.SchemaVersion == 0) {
		key, err := d.Token()
		if err != nil {
			break
		}
		value, err := d.Token()
		if err != nil {
			break
		}
		switch value := value.(type) {
		case json.Delim:
			for depth := 1; depth > 0 && err == nil; {
				var inner json.Token
				if inner, err = d.Token(); inner == json.Delim('{') || inner == json.Delim('[') {
					depth++
				} else if inner == json.Delim('}') || inner == json.Delim(']') {
					depth--
				}
			}
		case string:
			if key == "kind" {
				h.Kind = value
			}
		case json.Number:
			if key == "schema_version" {
				if n, err := value.Int64(); err == nil {
					h.SchemaVersion = int(n)
				}
			}
		}
		if err != nil {
			break
		}
	}
	if h.Kind == "" && !json.Valid(data) {
		return h, syntaxError(name, data)
	}
	return h, nil
}
