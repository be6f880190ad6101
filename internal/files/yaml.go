package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"

	"densenas/internal/exit"

	"go.yaml.in/yaml/v3"
)

// maxYAML bounds the size of a YAML text: configurations and spaces are written by hand.
const maxYAML = 1 << 20

// maxYAMLKeys bounds the keys of one mapping: the library compares each with each.
const maxYAMLKeys = 1000

// DecodeYAML decodes one YAML document into v, a pointer, strictly: an unknown or doubled field, an anchor, alias, tag or
// merge key, a fraction for a whole number, a second document, more than 1 MiB, more than 1000 keys in one mapping and
// nesting deeper than 64 are errors. Fields that are absent keep what v has, so defaults go into v before. Errors read
// "NAME:LINE: …".
func DecodeYAML(name string, data []byte, v any) error {
	root, err := parseYAML(name, data)
	if err != nil {
		return err
	}
	if err := checkWhole(name, root, reflect.TypeOf(v)); err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		return yamlError(name, err)
	}
	return nil
}

// parseYAML parses one document into nodes and refuses what could grow when it is decoded.
func parseYAML(name string, data []byte) (*yaml.Node, error) {
	if len(data) > maxYAML {
		return nil, tooLarge(name, maxYAML)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) {
		if len(bytes.TrimSpace(data)) > 0 {
			return nil, exit.BadInput("%s: has nothing but comments; write its fields, such as kind: …", name)
		}
		return nil, exit.BadInput("%s: is empty; write it again", name)
	} else if err != nil {
		return nil, yamlError(name, err)
	}
	if err := checkYAML(name, &document, 0); err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, exit.BadInput("%s: has more than one YAML document; keep one", name)
	}
	if len(document.Content) != 1 {
		return nil, exit.BadInput("%s: is empty; write it again", name)
	}
	return document.Content[0], nil
}

func checkYAML(name string, n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return exit.BadInput("%s:%d:%d: anchors and aliases are not read here; write the value out", name, n.Line, n.Column)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return exit.BadInput("%s:%d:%d: tags such as %s are not read here; write the value without one", name, n.Line, n.Column, clip(n.Tag))
	}
	if n.Tag == "!!merge" {
		return exit.BadInput("%s:%d:%d: merge keys are not read here; write the fields out", name, n.Line, n.Column)
	}
	if depth > maxDepth {
		return exit.BadInput("%s:%d:%d: nested deeper than %d; is it the right file?", name, n.Line, n.Column, maxDepth)
	}
	if n.Kind == yaml.MappingNode {
		if len(n.Content)/2 > maxYAMLKeys {
			return exit.BadInput("%s:%d:%d: more than %d keys in one mapping; is it the right file?", name, n.Line, n.Column, maxYAMLKeys)
		}
		// The library finds doubled keys too, but builds one message for every pair of them.
		lines := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if line, doubled := lines[key.Value]; doubled && key.Kind == yaml.ScalarNode {
				return exit.BadInput("%s:%d:%d: %s stands there twice, first in line %d; remove one", name, key.Line, key.Column, clip(key.Value), line)
			}
			lines[key.Value] = key.Line
		}
	}
	for _, inner := range n.Content {
		if err := checkYAML(name, inner, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// checkWhole refuses fractions where t has integers: the library would cut them off. It walks what t describes, and leaves
// what does not fit t, and types that decode themselves, to the library.
func checkWhole(name string, n *yaml.Node, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p := reflect.PointerTo(t); p.Implements(yamlUnmarshaler) || p.Implements(textUnmarshaler) {
		return nil
	}
	switch kind := t.Kind(); {
	case kind >= reflect.Int && kind <= reflect.Uint64:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!float" {
			return nil
		}
		var value float64
		const exact = 1 << 53 // up to here every whole number has a float64 of its own
		if err := n.Decode(&value); err != nil || value != math.Trunc(value) || math.Abs(value) > exact {
			return exit.BadInput("%s:%d: %s is not a whole number; write one", name, n.Line, clipBare(n.Value))
		}
	case kind == reflect.Slice || kind == reflect.Array:
		if n.Kind != yaml.SequenceNode {
			return nil
		}
		for _, element := range n.Content {
			if err := checkWhole(name, element, t.Elem()); err != nil {
				return err
			}
		}
	case kind == reflect.Map || kind == reflect.Struct:
		if n.Kind != yaml.MappingNode {
			return nil
		}
		var fields map[string]reflect.Type
		if kind == reflect.Struct {
			fields = map[string]reflect.Type{}
			yamlFields(t, fields)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			inner, known := fields[n.Content[i].Value]
			if kind == reflect.Map {
				if err := checkWhole(name, n.Content[i], t.Key()); err != nil {
					return err
				}
				inner, known = t.Elem(), true
			}
			if !known {
				continue
			}
			if err := checkWhole(name, n.Content[i+1], inner); err != nil {
				return err
			}
		}
	}
	return nil
}

var yamlUnmarshaler = reflect.TypeFor[yaml.Unmarshaler]()

// yamlFields collects the fields of a struct by their names in YAML, those of inlined structs included.
func yamlFields(t reflect.Type, fields map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case slices.Contains(strings.Split(options, ","), "inline") && inner.Kind() == reflect.Struct:
			yamlFields(inner, fields)
		case name == "":
			fields[strings.ToLower(f.Name)] = f.Type
		default:
			fields[name] = f.Type
		}
	}
}

// clipBare is clip without quotes, for what the parser found to be a number.
func clipBare(s string) string { return strings.ReplaceAll(clip(s), `"`, "") }

// yamlError turns the library's message, "yaml: line 3: …" or a list of them, into "NAME:3: …" for the first.
func yamlError(name string, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	var typeError *yaml.TypeError
	syntax := !errors.As(err, &typeError)
	if !syntax && len(typeError.Errors) > 0 {
		message = typeError.Errors[0]
	}
	message, _, _ = strings.Cut(message, "\n")
	if syntax {
		message += "; this is not YAML: correct it there, or name the right file"
	}
	if field, _, found := strings.Cut(message, " not found in type "); found {
		message = field + " is unknown; is it misspelled, or the file of another version?"
	}
	if rest, found := strings.CutPrefix(message, "line "); found {
		if line, rest, found := strings.Cut(rest, ": "); found && strings.Trim(line, "0123456789") == "" {
			return exit.BadInput("%s:%s: %s", name, line, rest)
		}
	}
	return exit.BadInput("%s: %s", name, message)
}

// DecodeWholeYAML is [DecodeYAMLKind] of a file that has every field of v, see [RequireYAMLFields].
func DecodeWholeYAML(name string, data []byte, kind string, version int, v any) error {
	if err := DecodeYAMLKind(name, data, kind, version, v); err != nil {
		return err
	}
	return RequireYAMLFields(name, data, v)
}

// RequireYAMLFields reports the first field that whole, which data were decoded into, would be written with and that data lack.
func RequireYAMLFields(name string, data []byte, whole any) error {
	var have, want yaml.Node
	if err := yaml.Unmarshal(data, &have); err != nil {
		return exit.BadInput("%s: %w", name, err)
	}
	if err := want.Encode(whole); err != nil {
		return err
	}
	if missing := missingField(&want, have.Content[0], ""); missing != "" {
		return exit.BadInput("%s: field %s is missing; such a file has every field: it was edited, or is of another version of the program; start anew, or go on with that version", name, missing)
	}
	return nil
}

func missingField(want, have *yaml.Node, prefix string) string {
	if want.Kind == yaml.SequenceNode {
		for i := range want.Content {
			if missing := missingField(want.Content[i], have.Content[i], fmt.Sprintf("%s[%d].", strings.TrimSuffix(prefix, "."), i)); missing != "" {
				return missing
			}
		}
		return ""
	}
	for i := 0; i+1 < len(want.Content); i += 2 {
		key := want.Content[i].Value
		at := -1
		for j := 0; j+1 < len(have.Content); j += 2 {
			if have.Content[j].Value == key {
				at = j
			}
		}
		if at < 0 || have.Content[at+1].Tag == "!!null" {
			return prefix + key
		}
		if missing := missingField(want.Content[i+1], have.Content[at+1], prefix+key+"."); missing != "" {
			return missing
		}
	}
	return ""
}
