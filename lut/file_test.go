package lut

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"densenas/internal/exit"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReadIsWhatWasWritten(t *testing.T) {
	for _, name := range []string{small, "mbv2"} {
		table, _ := sample(t, name)
		place := Connection(3, 0)
		table.Entries[4].Position = &place
		path := filepath.Join(t.TempDir(), "a.lut.json")
		if err := table.Write(path); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(table, got, cmpopts.IgnoreUnexported(Table{})); diff != "" {
			t.Errorf("%s: the table changed (-written +read):\n%s", name, diff)
		}
		if got.Path() != path {
			t.Errorf("path %q", got.Path())
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(data, []byte("\n    {\"key\"")); n != len(table.Entries) {
			t.Errorf("%d lines of entries, want one for each of %d", n, len(table.Entries))
		}
	}
}

func TestIdentityIsOfTheContent(t *testing.T) {
	table, _ := sample(t, small)
	identity := table.Identity()
	if len(identity) != 64 {
		t.Fatalf("identity %q is no SHA-256", identity)
	}
	path := filepath.Join(t.TempDir(), "a.lut.json")
	if err := table.Write(path); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(path)
	spaced, err := parse("spaced", bytes.ReplaceAll(data, []byte(":"), []byte(" :\n")))
	if err != nil {
		t.Fatal(err)
	}
	if got := spaced.Identity(); got != identity {
		t.Errorf("identity %s after another layout of the file, want %s", got, identity)
	}
	table.Entries[7].MedianMS += 1e-9
	if table.Identity() == identity {
		t.Error("the identity does not see a time")
	}
}

func TestWriteRefusesBadTables(t *testing.T) {
	table, _ := sample(t, small)
	table.Batch = 0
	folder := t.TempDir()
	err := table.Write(filepath.Join(folder, "a.lut.json"))
	if err == nil || !strings.Contains(err.Error(), "batch is 0") {
		t.Errorf("error %v", err)
	}
	if names, _ := os.ReadDir(folder); len(names) != 0 {
		t.Errorf("%v was left", names)
	}
}

func TestReadRefuses(t *testing.T) {
	table, _ := sample(t, small)
	valid, err := table.encode()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte {
		if !bytes.Contains(valid, []byte(old)) {
			t.Fatalf("the sample has no %s", old)
		}
		return bytes.Replace(valid, []byte(old), []byte(new), 1)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"truncated", valid[:len(valid)/2], "the file ends in the middle, it is truncated; fetch or write it again"},
		{"empty", nil, "FILE: is not JSON; is it the right file?"},
		{"package.json", []byte(`{"name": "left-pad", "version": "1.3.0"}`), `FILE: has no "kind", so it is not a densenas.lut file; is it the right file?`},
		{"once-for-all yaml", []byte("Conv_1-input:112x112x32-output:112x112x16:\n  count: 50\n  mean: 0.42\n"), "FILE: is not JSON; is it the right file?"},
		{"once-for-all list", []byte("[[1, 2]]"), `FILE: is JSON but not an object, expected {"kind": …}; is it the right file?`},
		{"architecture", replace(`"kind": "densenas.lut"`, `"kind": "densenas.arch"`), `FILE: is of kind "densenas.arch", expected densenas.lut; name the right file`},
		{"newer", replace(`"schema_version": 1`, `"schema_version": 2`), "FILE: has schema version 2, made by a newer densenas; this one reads up to 1: upgrade it"},
		{"microseconds", replace(`"unit": "ms"`, `"unit": "us"`), `FILE: unit is "us", expected "ms"; convert the times and the field names, or measure again`},
		{"seconds, with their names", bytes.ReplaceAll(replace(`"unit": "ms"`, `"unit": "s"`), []byte("_ms"), []byte("_s")), `FILE: unit is "s", expected "ms"; convert the times and the field names, or measure again`},
		{"newer in microseconds", replace(`"schema_version": 1,
  "unit": "ms"`, `"schema_version": 2, "unit": "us"`), "made by a newer densenas"},
		{"no unit", replace(`"unit": "ms",`, ""), `FILE:1:1: field "unit" is missing`},
		{"unknown field", replace(`"median_ms"`, `"median_us"`), `FILE:35:35: entries[0]: unknown field "median_us"; is it misspelled, or the file of another version?`},
		{"missing median", replace(`"median_ms":1.5,`, ""), `FILE:35:5: entries[0]: field "median_ms" is missing`},
		{"text for a time", replace(`"median_ms":1.5`, `"median_ms":"1.5"`), "FILE:35:47: entries[0].median_ms: found a text, expected a number"},
		{"not a number", replace(`"median_ms":1.5`, `"median_ms":NaN`), "FILE:35:47: not JSON: invalid character 'N' looking for beginning of value"},
		{"too large a number", replace(`"median_ms":1.5`, `"median_ms":1e999`), "FILE:35:52: entries.median_ms: number 1e999 does not fit, expected a number"},
		{"negative", replace(`"median_ms":1.5`, `"median_ms":-1.5`), "FILE: entries[0]: stem_k3_i1_o8_s2_r32: median_ms is -1.5, allowed is above 0 to 1e+09; is it in ms?"},
		{"key", replace(`"key":"stem_k3_i1_o8_s2_r32"`, `"key":"conv_3x3"`), `FILE: entries[0]: key "conv_3x3": unknown op "conv", known are`},
		{"text behind", append(bytes.Clone(valid), "{}"...), "text after the end of the JSON value; remove it"},
	} {
		path := filepath.Join(t.TempDir(), "bad.lut.json")
		if err := os.WriteFile(path, c.data, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		if want := strings.Replace(c.want, "FILE", path, 1); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), path+":") {
			t.Errorf("%s: error %v\nwant %s", c.name, err, want)
		}
		if exit.Code(err) != exit.CodeBadInput || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: exit code %d, error %q", c.name, exit.Code(err), err)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "absent.lut.json")); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("an absent file: error %v", err)
	}
}

// What is accepted can be written, reads back the same, and answers with finite numbers.
func FuzzRead(f *testing.F) {
	table, _ := sample(f, small)
	place := Layer(2, 0)
	table.Entries = table.Entries[:4]
	table.Entries[3].Position = &place
	table.Entries[2] = Entry{Key: CompositeKey(mustOps(f, table.Entries[0].Key), mustOps(f, table.Entries[1].Key)), MedianMS: 2}
	data, err := table.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	table.Verification, table.Caches, table.Warnings = verification(), Cold, []string{"governor powersave"}
	table.Sentinel = &Sentinel{Key: table.Entries[0].Key, MedianMS: 1, DriftP10: 0.99, DriftP90: 1.02, Rounds: 40, Dropped: 3}
	verified, err := table.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(verified)
	f.Add(bytes.Replace(verified, []byte(`"mbconv_*"`), []byte(`"*?[a-z]*[^_]?*r*2"`), 1))
	f.Add(bytes.Replace(data, []byte(`"ms"`), []byte(`"us"`), 1))
	f.Add([]byte(`{"kind": "densenas.lut", "schema_version": 1, "unit": "ms", "entries": []}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := parse("f.lut.json", data)
		if err != nil {
			if exit.Code(err) != exit.CodeBadInput || !strings.HasPrefix(err.Error(), "f.lut.json:") {
				t.Fatalf("error without place: %v", err)
			}
			return
		}
		written, err := table.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse("again", written)
		if err != nil {
			t.Fatalf("what was accepted is refused once written: %v", err)
		}
		if again.Identity() != table.Identity() || table.Identity() == "" {
			t.Fatal("the identity changed")
		}
		Lint(table)
		if c := Compare(table, again, nil, nil, 1); len(c.Changes) != len(table.Entries) || len(c.Differences)+len(c.SlowerBy(0)) > 0 {
			t.Fatalf("the table differs from itself: %+v", c)
		}
		if _, err := Merge(table, again); err != nil && len(table.Notes) < maxNotes-2 {
			t.Fatalf("cannot be merged with itself: %v", err)
		}
		for i := range table.Entries {
			ops, err := table.Entries[i].Ops()
			if err != nil {
				t.Fatal(err)
			}
			if len(ops) == 2 {
				_, err = table.Entry(ops...)
			} else {
				var e Estimate
				if e, err = table.Op(ops[0], table.Entries[i].Position); !(0 <= e.LowMS && e.LowMS <= e.MS && e.MS <= e.HighMS && e.HighMS < 1e13) {
					t.Fatalf("%s: estimate %+v", table.Entries[i].Key, e)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
