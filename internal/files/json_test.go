package files

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"densenas/internal/exit"
)

type inner struct {
	Key   string  `json:"key"`
	Ratio float64 `json:"ratio_ms,omitempty"`
}

type outer struct {
	Header
	Count   int            `json:"count"`
	On      bool           `json:"on,omitempty"`
	Entries []inner        `json:"entries"`
	Pair    [2]int         `json:"pair,omitzero"`
	At      *inner         `json:"at,omitempty"`
	Free    map[string]int `json:"free,omitempty"`
	Own     ownDecoder     `json:"own,omitzero"`
	Hidden  int            `json:"-"`
}

type ownDecoder struct{ raw string }

func (o *ownDecoder) UnmarshalJSON(data []byte) error { o.raw = string(data); return nil }

const goodJSON = `{"kind": "x", "schema_version": 1, "count": 2,
  "entries": [{"key": "a", "ratio_ms": 0.5}, {"key": "b"}], "pair": [1, 2], "at": {"key": "c"}, "free": {"any": 3}, "own": [1, {"x": 2}]}
`

func TestDecodeJSON(t *testing.T) {
	var got outer
	if err := DecodeJSON("f.json", []byte(goodJSON), &got); err != nil {
		t.Fatal(err)
	}
	want := outer{Header: Header{"x", 1}, Count: 2, Entries: []inner{{"a", 0.5}, {"b", 0}}, Pair: [2]int{1, 2},
		At: &inner{Key: "c"}, Free: map[string]int{"any": 3}, Own: ownDecoder{`[1, {"x": 2}]`}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
}

func TestDecodeJSONRefuses(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"empty", "  \n", `f.json: is empty; fetch or write it again`},
		{"byte order mark", "\ufeff" + goodJSON, `f.json: begins with a byte order mark; save it as UTF-8 without one`},
		{"truncated", goodJSON[:70], `f.json:2:24: the file ends in the middle, it is truncated; fetch or write it again`},
		{"syntax", "{\"count\": 1,\n ]", `f.json:2:2: not JSON: invalid character ']' looking for beginning of object key string`},
		{"unknown", `{"kind": "x", "schema_version": 1, "count": 1, "entries": [{"key": "a", "Ratio_ms": 1}]}`, `f.json:1:73: entries[0]: unknown field "Ratio_ms"; is it misspelled, or the file of another version?`},
		{"doubled", "{\"kind\": \"x\",\n\"kind\": \"y\"}", `f.json:2:1: field "kind" stands there twice; remove one`},
		{"doubled in a map", `{"free": {"a": 1, "a": 2}}`, `f.json:1:19: free: field "a" stands there twice; remove one`},
		{"doubled in an own decoder", `{"own": {"a": 1, "a": 2}}`, `f.json:1:18: own: field "a" stands there twice; remove one`},
		{"missing", `{"kind": "x", "schema_version": 1, "entries": []}`, `f.json:1:1: field "count" is missing`},
		{"missing inside", `{"kind": "x", "schema_version": 1, "count": 1, "entries": [{}]}`, `f.json:1:60: entries[0]: field "key" is missing`},
		{"null", `{"count": null}`, `f.json:1:11: count: found null, expected a number`},
		{"text for number", `{"count": "1"}`, `f.json:1:11: count: found a text, expected a number`},
		{"number for text", `{"kind": 1}`, `f.json:1:10: kind: found a number, expected a text`},
		{"object for list", `{"entries": {}}`, `f.json:1:13: entries: found an object, expected a list`},
		{"list for object", `{"at": []}`, `f.json:1:8: at: found a list, expected an object`},
		{"bool for number", `{"count": true}`, `f.json:1:11: count: found true or false, expected a number`},
		{"fraction", `{"kind": "x", "schema_version": 1, "entries": [], "count": 1.5}`, `f.json:1:63: count: number 1.5 does not fit, expected a whole number (int)`},
		{"too long", `{"pair": [1, 2, 3]}`, `f.json:1:17: pair: the list has more than 2 elements`},
		{"trailing", goodJSON + "{}", `f.json:3:1: text after the end of the JSON value; remove it`},
		{"deep", `{"own": ` + strings.Repeat("[", 100), `f.json:1:73: own` + strings.Repeat("[0]", 64) + `: nested deeper than 64; is it the right file?`},
	} {
		var v outer
		err := DecodeJSON("f.json", []byte(c.data), &v)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
		if exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: exit code %d", c.name, exit.Code(err))
		}
	}
}

// What Go writes from a struct without optional fields, the strict decoder reads; and every proper prefix is refused.
func TestDecodeJSONReadsWhatIsWritten(t *testing.T) {
	v := outer{Header: Header{"x", 1}, Entries: []inner{{Key: "a", Ratio: math.SmallestNonzeroFloat64}}, Own: ownDecoder{"{}"}}
	type plain outer
	data, err := json.MarshalIndent(struct {
		plain
		Own struct{} `json:"own"`
	}{plain: plain(v)}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	var got outer
	if err := DecodeJSON("f.json", data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, v) {
		t.Errorf("decoded %+v, want %+v", got, v)
	}
	for n := range data {
		if err := DecodeJSON("f.json", data[:n], &outer{}); err == nil || !strings.Contains(err.Error(), "; ") {
			t.Fatalf("a prefix of %d bytes: error %v", n, err)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{goodJSON, goodJSON[:40], `{}`, `[]`, `{"entries":[{"key":"a"},]}`, `{"own":{"a":{"a":1}}}`, `{"free":{"b":[]}}`, "\xff{\x00", `{} }`, `{"":,}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict outer
		if err := DecodeJSON("f.json", data, &strict); err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "f.json:") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		var lenient outer
		if err := json.Unmarshal(data, &lenient); err != nil {
			t.Fatalf("accepted what the standard decoder refuses: %v", err)
		}
		if !reflect.DeepEqual(strict, lenient) {
			t.Fatalf("decoded %+v, the standard decoder %+v", strict, lenient)
		}
	})
}
