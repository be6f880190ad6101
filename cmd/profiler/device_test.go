package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDeviceShowsThisHost(t *testing.T) {
	out, _ := profilerRun(t, "device", "--format", "json")
	var report hostReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Device.Model == "" || len(report.Runtimes) != 4 {
		t.Fatalf("%+v", report)
	}
	for _, r := range report.Runtimes {
		if (r.Build == nil) == (r.Missing == "") || r.Build != nil && (r.Build.Version == "" || (r.Build.Name == "go") != (r.Build.Digest == "")) {
			t.Errorf("%s: %+v", r.Backend, r)
		}
	}
	if report.Runtimes[0].Build == nil {
		t.Errorf("no runtime go: %+v", report.Runtimes[0])
	}
	if text, _ := profilerRun(t, "device"); !strings.Contains(text, report.Device.Model) {
		t.Errorf("no model in\n%s", text)
	}
}

func TestDeviceShowsADescription(t *testing.T) {
	text, _ := profilerRun(t, "device", "raspberry-pi-5")
	if !strings.Contains(text, "Cortex-A76") || !strings.Contains(text, "cooler") {
		t.Errorf("description:\n%s", text)
	}
	if text, _ := profilerRun(t, "device", "rk3588-big-cores"); !strings.Contains(text, "4, 5, 6, 7") {
		t.Errorf("description:\n%s", text)
	}
	refused(t, t.TempDir(), []string{"toaster", "raspberry-pi-5"}, "device", "toaster")
}
