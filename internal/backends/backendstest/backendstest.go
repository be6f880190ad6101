// Package backendstest runs a test on every runtime that this machine has.
package backendstest

import (
	"cmp"
	"os"
	"testing"

	"densenas/internal/backends"
)

// Require is the environment variable that, when not empty, makes a missing XLA plugin a failure instead of a skipped
// test.
const Require = "DENSENAS_REQUIRE_XLA"

// Spec is the environment variable that names another backend, such as xla:cuda, for the tests that run on XLA. Tests that need more
// devices than it has are skipped.
const Spec = "DENSENAS_TEST_XLA"

// Each runs f as a subtest on the pure-Go backend and on XLA. Where XLA has no plugin its subtest is skipped, saying
// how to get one, or fails if [Require] is set. The backend is closed after the subtest.
func Each(t *testing.T, f func(t *testing.T, backend backends.Backend)) {
	t.Helper()
	t.Run(backends.Go, func(t *testing.T) { f(t, open(t, backends.Go, backends.Options{})) })
	t.Run(backends.XLA, func(t *testing.T) { f(t, XLA(t)) })
}

// Go opens the pure-Go backend until the end of the test.
func Go(t testing.TB) backends.Backend {
	t.Helper()
	return open(t, backends.Go, backends.Options{})
}

// XLA opens XLA on the CPU until the end of the test, or skips it as [Each] does.
func XLA(t testing.TB) backends.Backend {
	t.Helper()
	return xla(t, backends.Options{})
}

func xla(t testing.TB, o backends.Options) backends.Backend {
	t.Helper()
	spec := cmp.Or(os.Getenv(Spec), backends.XLA)
	if err := backends.Check(spec, backends.Options{}); err != nil {
		if os.Getenv(Require) != "" {
			t.Fatalf("%s is set: %v", Require, err)
		}
		t.Skipf("no XLA here: %v", err)
	}
	return open(t, spec, o)
}

// Devices opens XLA with so many virtual devices on the CPU until the end of the test, or skips it as [Each] does.
func Devices(t testing.TB, n int) backends.Backend {
	t.Helper()
	return xla(t, backends.Options{Devices: n})
}

func open(t testing.TB, spec string, o backends.Options) backends.Backend {
	t.Helper()
	backend, err := backends.OpenWith(spec, o)
	if err != nil && o.Devices > 1 && os.Getenv(Spec) != "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Finalize)
	return backend
}
