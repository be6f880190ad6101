package files

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"densenas/internal/exit"

	"go.yaml.in/yaml/v3"
)

// maxYAML bounds the size of a YAML text: configurations and spaces are written by hand.
const maxYAML = 1 << 20

// maxYAMLKeys bounds the keys of one mapping: the library compares each with each.
const maxYAMLKeys = 1000

// DecodeYAML decodes one YAML document into v, a pointer, strictly: an unknown or doubled field, an anchor or alias, a
// second document, more than 1 MiB, more than 1000 keys in one mapping and nesting deeper than 64 are errors. Fields that are absent keep what v has, so
// defaults go into v before. Errors read "NAME:LINE: …".
func DecodeYAML(name string, data []byte, v any) error {
	if _, err := parseYAML(name, data); err != nil {
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

// yamlError turns the library's message, "yaml: line 3: …" or a list of them, into "NAME:3: …" for the first.
func yamlError(name string, err error) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	var typeError *yaml.TypeError
	if errors.As(err, &typeError) && len(typeError.Errors) > 0 {
		message = typeError.Errors[0]
	}
	message, _, _ = strings.Cut(message, "\n")
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
