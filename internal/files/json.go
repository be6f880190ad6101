package files

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"densenas/internal/exit"
)

// maxDepth bounds the nesting of JSON and YAML; the formats of the project need less than ten.
const maxDepth = 64

// DecodeJSON decodes one JSON value into v, a pointer, strictly:
//   - names match exactly, an unknown or doubled one is an error;
//   - a struct field that is always written is required: all but those tagged omitempty or omitzero, and those that
//     are promoted from an embedded pointer;
//   - null stands only where v has a pointer, slice or map;
//   - nothing follows the value.
//
// A type that decodes itself (json.Unmarshaler, encoding.TextUnmarshaler) is left to do so, but for doubled names in
// it. Errors read "NAME:LINE:COLUMN: …".
func DecodeJSON(name string, data []byte, v any) error {
	if HasByteOrderMark(data) {
		return markError(name)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	w := jsonWalk{name: name, data: data, decoder: d}
	if err := w.value(reflect.TypeOf(v).Elem(), "", 0); err != nil {
		return err
	}
	end := d.InputOffset()
	if _, err := d.Token(); err != io.EOF {
		return ErrorAt(name, data, skipSpace(data, end), "text after the end of the JSON value; remove it")
	}
	if err := json.Unmarshal(data, v); err != nil {
		var typeError *json.UnmarshalTypeError
		if errors.As(err, &typeError) {
			return ErrorAt(name, data, typeError.Offset, "%s%s does not fit, expected %s", at(jsonPath(typeError.Field)), typeError.Value, typeName(typeError.Type))
		}
		return exit.BadInput("%s: %w", name, err)
	}
	return nil
}

// HasByteOrderMark says whether a text begins with what some editors put before UTF-8. DecodeJSON refuses it by name.
func HasByteOrderMark(data []byte) bool { return bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")) }

func markError(name string) error {
	return exit.BadInput("%s: begins with a byte order mark; save it as UTF-8 without one", name)
}

// jsonWalk compares the tokens of a text with a type before anything is allocated for it.
type jsonWalk struct {
	name    string
	data    []byte
	decoder *json.Decoder
}

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// token reads one token and says where it starts.
func (w *jsonWalk) token() (json.Token, int64, error) {
	start := skipSpace(w.data, w.decoder.InputOffset())
	token, err := w.decoder.Token()
	if err != nil {
		return nil, start, syntaxError(w.name, w.data)
	}
	return token, start, nil
}

// value walks one value against t; a nil t takes anything. path names the value for messages: "entries[3].key".
func (w *jsonWalk) value(t reflect.Type, path string, depth int) error {
	if depth > maxDepth {
		return ErrorAt(w.name, w.data, w.decoder.InputOffset(), "%snested deeper than %d; is it the right file?", at(path), maxDepth)
	}
	nullable := false
	for t != nil {
		if reflect.PointerTo(t).Implements(jsonUnmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
			t, nullable = nil, true
			break
		}
		if t.Kind() != reflect.Pointer {
			break
		}
		t, nullable = t.Elem(), true
	}
	token, start, err := w.token()
	if err != nil {
		return err
	}
	kind := reflect.Interface
	if t != nil {
		kind = t.Kind()
	}
	mismatch := func(found string) error {
		return ErrorAt(w.name, w.data, start, "%sfound %s, expected %s", at(path), found, expectation(kind))
	}
	switch token := token.(type) {
	case nil:
		if !nullable && kind != reflect.Slice && kind != reflect.Map && kind != reflect.Interface {
			return mismatch("null")
		}
	case bool:
		if kind != reflect.Bool && kind != reflect.Interface {
			return mismatch("true or false")
		}
	case json.Number:
		if !isNumber(kind) && kind != reflect.Interface {
			return mismatch("a number")
		}
	case string:
		if kind != reflect.String && kind != reflect.Interface {
			return mismatch("a text")
		}
	case json.Delim:
		if token == '[' {
			if kind != reflect.Slice && kind != reflect.Array && kind != reflect.Interface {
				return mismatch("a list")
			}
			return w.list(t, path, depth)
		}
		if kind != reflect.Struct && kind != reflect.Map && kind != reflect.Interface {
			return mismatch("an object")
		}
		return w.object(t, path, start, depth)
	}
	return nil
}

func (w *jsonWalk) list(t reflect.Type, path string, depth int) error {
	var element reflect.Type
	if t != nil && t.Kind() != reflect.Interface {
		element = t.Elem()
	}
	for i := 0; ; i++ {
		if !w.decoder.More() {
			_, _, err := w.token()
			return err
		}
		if t != nil && t.Kind() == reflect.Array && i == t.Len() {
			return ErrorAt(w.name, w.data, skipSpace(w.data, w.decoder.InputOffset()), "%sthe list has more than %d elements", at(path), t.Len())
		}
		if err := w.value(element, fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
			return err
		}
	}
}

func (w *jsonWalk) object(t reflect.Type, path string, start int64, depth int) error {
	var known map[string]jsonField
	var order []string
	if t != nil && t.Kind() == reflect.Struct {
		known = map[string]jsonField{}
		order = jsonFields(t, known, order, true)
	}
	seen := map[string]bool{}
	for w.decoder.More() {
		token, place, err := w.token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return syntaxError(w.name, w.data)
		}
		if seen[key] {
			return ErrorAt(w.name, w.data, place, "%sfield %s stands there twice; remove one", at(path), clip(key))
		}
		seen[key] = true
		var inner reflect.Type
		if known != nil {
			field, ok := known[key]
			if !ok {
				return ErrorAt(w.name, w.data, place, "%sunknown field %s; is it misspelled, or the file of another version?", at(path), clip(key))
			}
			inner = field.t
		} else if t != nil && t.Kind() == reflect.Map {
			inner = t.Elem()
		}
		sub := key
		if path != "" {
			sub = path + "." + key
		}
		if err := w.value(inner, sub, depth+1); err != nil {
			return err
		}
	}
	if _, _, err := w.token(); err != nil {
		return err
	}
	for _, name := range order {
		if known[name].required && !seen[name] {
			return ErrorAt(w.name, w.data, start, "%sfield %q is missing", at(path), name)
		}
	}
	return nil
}

type jsonField struct {
	t        reflect.Type
	required bool
}

// jsonFields collects the fields of a struct by their names in JSON, those of embedded structs included.
func jsonFields(t reflect.Type, known map[string]jsonField, order []string, required bool) []string {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" {
			continue
		}
		if f.Anonymous && name == "" {
			inner, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			if pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				order = jsonFields(inner, known, order, required && !pointer)
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if _, promoted := known[name]; !promoted {
			order = append(order, name)
		}
		known[name] = jsonField{f.Type, required && !optional}
	}
	return order
}

// syntaxError is the first error of the text as JSON; a text that breaks off is called truncated.
func syntaxError(name string, data []byte) error {
	var ignored json.RawMessage
	err := json.NewDecoder(bytes.NewReader(data)).Decode(&ignored)
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return exit.BadInput("%s: is empty; fetch or write it again", name)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrorAt(name, data, int64(len(data)), "the file ends in the middle, it is truncated; fetch or write it again")
	case errors.As(err, &syntax):
		return ErrorAt(name, data, syntax.Offset-1, "not JSON: %s", syntax.Error())
	}
	// The decoder's tokens break where the text as a whole does not: a stray delimiter after the value.
	return exit.BadInput("%s: not JSON; is it the right file?", name)
}

// skipSpace is the offset of the next byte that begins a token: not space, and not the comma or colon before it.
func skipSpace(data []byte, offset int64) int64 {
	for offset < int64(len(data)) && strings.IndexByte(" \t\r\n,:", data[offset]) >= 0 {
		offset++
	}
	return offset
}

func isNumber(k reflect.Kind) bool {
	return k >= reflect.Int && k <= reflect.Float64 && k != reflect.Uintptr
}

func expectation(k reflect.Kind) string {
	switch {
	case isNumber(k):
		return "a number"
	case k == reflect.Bool:
		return "true or false"
	case k == reflect.String:
		return "a text"
	case k == reflect.Slice || k == reflect.Array:
		return "a list"
	}
	return "an object"
}

// typeName names a type for a message.
func typeName(t reflect.Type) string {
	if t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64 {
		return "a whole number (" + t.Kind().String() + ")"
	}
	return expectation(t.Kind())
}

// jsonPath drops the names of embedded structs from a field's path: names in our files are of small letters.
func jsonPath(field string) string {
	parts := strings.Split(field, ".")
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part != "" && part[0] >= 'A' && part[0] <= 'Z' }), ".")
}

// at prefixes a message with the path of the value, if there is one.
func at(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// clip quotes a text of a stranger for a message, shortened.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], ""))
	}
	return fmt.Sprintf("%q", s)
}
