package backends_test

import (
	"testing"

	"densenas/internal/backends"
	"densenas/internal/backends/backendstest"
	"densenas/internal/exit"
)

func TestDevices(t *testing.T) {
	if b := backendstest.Go(t); b.Devices != 1 {
		t.Errorf("go has %d devices", b.Devices)
	}
	for _, devices := range []int{-1, 2, 1 << 20} {
		if err := backends.Check(backends.Go, backends.Options{Devices: devices}); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("go with %d devices: %v, want bad input", devices, err)
		}
	}
	if b := backendstest.XLA(t); b.Devices != 1 || b.NumDevices() != 1 {
		t.Errorf("xla has %d devices of %d, want one where none are asked for", b.Devices, b.NumDevices())
	}
	if b := backendstest.Devices(t, 3); b.Devices != 3 || b.NumDevices() != 3 {
		t.Errorf("xla has %d devices of %d, want 3", b.Devices, b.NumDevices())
	}
	several, err := backends.OpenWith(backends.XLA, backends.Options{Devices: 2, Clients: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer several.Finalize()
	if several.Devices != 2 || len(several.More) != 0 {
		t.Errorf("%d devices and %d further clients, want 2 devices of one", several.Devices, len(several.More))
	}
}

// TestAutoWithSeveralDevicesTakesNoGo: go would not do what is asked for.
func TestAutoWithSeveralDevicesTakesNoGo(t *testing.T) {
	t.Setenv("PJRT_PLUGIN_LIBRARY_PATH", t.TempDir())
	if b, err := backends.OpenWith("auto", backends.Options{Devices: 2}); exit.Code(err) != exit.CodeBadInput {
		t.Errorf("auto opened %s: %v, want bad input", b.Name, err)
	}
}
