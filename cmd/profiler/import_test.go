package main

import (
	"math"
	"path/filepath"
	"testing"

	"densenas/internal/testdata"
	"densenas/supernet/space"
)

func TestImportKeepsPlaces(t *testing.T) {
	published := testdata.Shared(t, "luts/titanxp-mbv2-b32.densenas.txt")
	path := filepath.Join(t.TempDir(), "titanxp.lut.json")
	profilerRun(t, "import", "--format", "densenas", "--space", "mbv2", published, "-o", path)
	table := read(t, path)
	a, err := space.ParseNetConfig("[[16, 16], 'mbconv_k3_t1', [], 0, 1]|[[16, 24], 'mbconv_k3_t6', [], 0, 2]|[[24, 48], 'mbconv_k7_t6', ['mbconv_k3_t3'], 1, 2]|" +
		"[[48, 72], 'mbconv_k5_t6', ['mbconv_k3_t6', 'mbconv_k3_t3'], 2, 2]|[[72, 128], 'mbconv_k3_t6', ['mbconv_k3_t3', 'mbconv_k3_t3'], 2, 1]|" +
		"[[128, 160], 'mbconv_k3_t6', ['mbconv_k7_t3', 'mbconv_k5_t6', 'mbconv_k7_t3'], 3, 2]|[[160, 176], 'mbconv_k3_t3', ['mbconv_k3_t6', 'mbconv_k3_t6', 'mbconv_k3_t6'], 3, 1]|" +
		"[[176, 384], 'mbconv_k7_t6', [], 0, 1]|[[384, 1984], 'conv1_1']")
	if err != nil {
		t.Fatal(err)
	}
	total, _, err := table.Network(a)
	if err != nil || math.Abs(total.MS-17.98) > 0.01 {
		t.Errorf("the network with the published 17.98 ms takes %g ms, %v", total.MS, err)
	}
	refused(t, t.TempDir(), []string{path, "was not measured by profiler run"}, "verify", path)
}

func TestImportRefuses(t *testing.T) {
	folder := t.TempDir()
	file := write(t, folder, "table.txt", "[1.0, [[")
	out := filepath.Join(folder, "a.lut.json")
	refused(t, folder, []string{"--space"}, "import", file, "-o", out)
	refused(t, folder, []string{"-o"}, "import", "--space", "mbv2", file)
	refused(t, folder, []string{"onnx"}, "import", "--format", "onnx", "--space", "mbv2", file, "-o", out)
	refused(t, folder, []string{"would overwrite the input " + file}, "import", "--space", "mbv2", file, "-o", file)
	refused(t, folder, []string{file, "truncated"}, "import", "--space", "mbv2", file, "-o", out)
	refused(t, folder, []string{"nowhere.txt"}, "import", "--space", "mbv2", filepath.Join(folder, "nowhere.txt"), "-o", out)
	refused(t, folder, []string{"nowhere"}, "import", "--space", "nowhere", file, "-o", out)
	refused(t, folder, []string{"is a folder; name a file"}, "import", "--space", "mbv2", folder, "-o", out)
}
