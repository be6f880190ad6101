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
	if report.Device.Model == "" || report.Runtimes["go"] != "yes" || report.Runtimes["xla"] == "" {
		t.Errorf("%+v", report)
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
	refused(t, t.TempDir(), []string{"toaster", "raspberry-pi-5"}, "device", "toaster")
}
