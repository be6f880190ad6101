package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"densenas/internal/exit"
	"densenas/lut"
)

// inverted is a table with two operations that are faster than a smaller one.
func inverted(t *testing.T) *lut.Table {
	table := sampleTable(t)
	table.Entries = []lut.Entry{
		entryOf("skip_i8_o8_s1_r16", 1), entryOf("skip_i12_o12_s1_r16", 2), entryOf("skip_i16_o16_s1_r16", 1.5), entryOf("skip_i24_o24_s1_r16", 1.99),
		entryOf("mbconv_k3_t6_i8_o12_s2_r16", 3), entryOf("mbconv_k7_t6_i8_o12_s2_r16", 1), {Key: "final_i24_o128_r4", MedianMS: 1},
	}
	table.Entries[0].Flags = []string{"noisy"}
	return table
}

func TestLint(t *testing.T) {
	folder := t.TempDir()
	path := stored(t, folder, "a.lut.json", inverted(t))
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"lint", path}, &stdout, &stderr)
	if exit.Code(err) != exit.CodeFailure || !strings.Contains(err.Error(), "2 of 7 operations faster than a smaller one") || stderr.Len() > 0 {
		t.Errorf("error %v, stderr %q", err, stderr.String())
	}
	text := stdout.String()
	for _, want := range []string{"mbconv_k7_t6_i8_o12_s2_r16", "0.99–1.01", "2.97–3.03", "kernel", "3.000", "skip_i16_o16_s1_r16", "skip_i12_o12_s1_r16", "width", "1.333",
		"1 of 7 operations flagged: 1 noisy", "1 of 7 operations without an interval", "unverified"} {
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "skip_i24_o24_s1_r16") || strings.Index(text, "mbconv_k7") > strings.Index(text, "skip_i16") {
		t.Errorf("not the inverted ones, worst first:\n%s", text)
	}

	stdout.Reset()
	if err := run(t.Context(), []string{"lint", path, "--format", "json", "--allow", "2"}, &stdout, &stderr); err != nil {
		t.Errorf("allowed: %v", err)
	}
	var r lintReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || r.Inverted != 2 || len(r.Inversions) != 2 || r.Inversions[0].Larger.HighMS != 1.01 || r.Flags["noisy"] != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestLintOfASoundTable(t *testing.T) {
	folder := t.TempDir()
	table := inverted(t)
	table.Entries = table.Entries[:2]
	table.Entries[0].Flags = nil
	accuracy := lut.NewAccuracy([]float64{1, 2}, []float64{1, 2})
	table.Verification = &lut.Verification{Space: "tiny", Resolution: 32, Fit: lut.Fit{Networks: 2, Terms: []lut.Term{{Pattern: "*", Scale: 1}}}, HeldOut: accuracy, Sum: accuracy}
	stdout, stderr := profilerRun(t, "lint", stored(t, folder, "a.lut.json", table))
	if stdout != "0 of 2 operations faster than a smaller one, beyond both intervals\n" || stderr != "" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestLintRefuses(t *testing.T) {
	folder := t.TempDir()
	path := stored(t, folder, "a.lut.json", sampleTable(t))
	refused(t, folder, []string{"argument is missing"}, "lint")
	refused(t, folder, []string{"--allow is -1"}, "lint", path, "--allow", "-1")
	refused(t, folder, []string{"truncated"}, "lint", write(t, folder, "b.lut.json", `{"kind": "densenas.lut", "schema_version": 1,`))
}
