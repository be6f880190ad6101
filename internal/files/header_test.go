package files

import (
	"testing"

	"densenas/internal/exit"
)

func TestDecodeKindNamesForeignAndNewerFiles(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"package.json", "{\n \"name\": \"left\", \"dependencies\": {\"kind\": \"^1\"}}", `f: has no "kind", so it is not a x file; is it the right file?`},
		{"other kind", `{"kind": "densenas.arch", "schema_version": 1}`, `f: is of kind "densenas.arch", expected x; name the right file`},
		{"newer, with fields of its own", `{"schema_version": 3, "kind": "x", "new": {"kind": "y"}}`, `f: has schema version 3, made by a newer densenas; this one reads up to 1: upgrade it`},
		{"no version", `{"kind": "x"}`, `f: has schema version 0, expected 1 to 1; write the file again`},
		{"version text", `{"kind": "x", "schema_version": "1"}`, `f: has schema version 0, expected 1 to 1; write the file again`},
		{"kind in a nested object only", `{"a": [{"kind": "x"}], "schema_version": 1}`, `f: has no "kind", so it is not a x file; is it the right file?`},
		{"yaml", "a: b\n", `f: is not JSON; is it the right file?`},
		{"byte order mark", "\ufeff{}", `f: begins with a byte order mark; save it as UTF-8 without one`},
		{"list", `[1]`, `f: is JSON but not an object, expected {"kind": …}; is it the right file?`},
		{"truncated early", `{"ki`, `f:1:5: the file ends in the middle, it is truncated; fetch or write it again`},
		{"truncated late", `{"kind": "x", "schema_version": 1, "count`, `f:1:42: the file ends in the middle, it is truncated; fetch or write it again`},
		{"foreign and long", `{"kind": "0123456789012345678901234567890123456789012345678901234567890123456789"}`, `f: is of kind "012345678901234567890123456789012345678901234567890123456789"…, expected x; name the right file`},
	} {
		var v outer
		err := DecodeJSONKind("f", []byte(c.data), "x", 1, &v)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
		if exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%s: exit code %d", c.name, exit.Code(err))
		}
	}
	var v outer
	if err := DecodeJSONKind("f", []byte(goodJSON), "x", 1, &v); err != nil {
		t.Error(err)
	}
}

func TestDecodeYAMLKind(t *testing.T) {
	var v settings
	if err := DecodeYAMLKind("c.yaml", []byte("kind: x\nschema_version: 2\nepochs: 4\n"), "x", 2, &v); err != nil || v.Epochs != 4 {
		t.Errorf("decoded %+v, error %v", v, err)
	}
	for _, c := range []struct{ name, data, want string }{
		{"foreign", "services:\n  web: {}\n", `c.yaml: has no "kind", so it is not a x file; is it the right file?`},
		{"newer", "kind: x\nschema_version: 3\nnew: 1\n", `c.yaml: has schema version 3, made by a newer densenas; this one reads up to 2: upgrade it`},
		{"version fraction", "kind: x\nschema_version: 1.9\n", `c.yaml:2: 1.9 is not a whole number; write one`},
		{"scalar", "x", `c.yaml: has no "kind", so it is not a x file; is it the right file?`},
	} {
		err := DecodeYAMLKind("c.yaml", []byte(c.data), "x", 2, &settings{})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: error %v\nwant %s", c.name, err, c.want)
		}
	}
}
