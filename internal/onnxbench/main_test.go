package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"densenas/internal/onnxruntime/onnxruntimetest"
)

// A peer that knows the form and no runtime.
const plain = `
OPS = [(16, 8, 8, 3, 3, 1), (16, 8, 12, 5, 6, 2)]

def in_onnxruntime(batch, size, cin, cout, k, t, s, threads):
    return lambda: size

def median_ms(call, seconds):
    return float(call())
`

func TestBothSidesMeasureTheSameOperations(t *testing.T) {
	onnxruntimetest.Open(t)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here")
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "plain.py")
	if err := os.WriteFile(file, []byte(plain), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--python", python, "--rounds", "1", "--seconds", "0.001", "--peer"}
	var out, messages bytes.Buffer
	if err := run(t.Context(), append(args, file), &out, &messages); err != nil {
		t.Fatalf("%v\n%s", err, &messages)
	}
	for _, want := range []string{`mbconv_k3_t3_i8_o8_s1_r16 +ours [0-9.]+ ms, from Python 16.0000 ms`, `mbconv_k5_t6_i8_o12_s2_r16 `, `total: ours [0-9.]+ ms, from Python 32.000 ms`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	for name, text := range map[string]string{"no operations": "", "another operation": "OPS = [(16, 8, 8, 4, 3, 1)]", "no time": strings.Replace(plain, "float(call())", "'soon'", 1)} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), append(args, file), &out, &messages); err == nil || !strings.Contains(err.Error(), "the peer ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := run(t.Context(), append(args, filepath.Join(folder, "none.py")), &out, &messages); err == nil || !strings.Contains(err.Error(), "--peer") {
		t.Errorf("no peer: %v", err)
	}
}
