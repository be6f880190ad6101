// Package onnxruntimetest gives tests the ONNX Runtime of this machine.
package onnxruntimetest

import (
	"os"
	"testing"

	"densenas/internal/onnxruntime"
	"densenas/internal/onnxruntime/library"
)

// Require is the environment variable that, when not empty, makes a missing library a failure instead of a skipped test.
const Require = "DENSENAS_REQUIRE_ONNXRUNTIME"

// Open loads ONNX Runtime. Where it is not there the test is skipped, saying how to get it, or fails if [Require] is set.
func Open(t testing.TB) *onnxruntime.Runtime {
	t.Helper()
	if _, err := onnxruntime.Find(""); err != nil {
		if os.Getenv(Require) != "" {
			t.Fatalf("%s is set: %v", Require, err)
		}
		t.Skip(err)
	}
	runtime, err := onnxruntime.Open("")
	if err != nil {
		t.Fatal(err)
	}
	// A test that moves the home folder still finds it.
	t.Setenv(library.Variable, runtime.Path)
	return runtime
}
