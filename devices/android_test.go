package devices

import (
	"testing"

	"densenas/lut"
)

func TestDescribeAndroid(t *testing.T) {
	before := lut.Device{Model: "unknown", OperatingSystem: "linux", Kernel: "5.10"}
	for name, test := range map[string]struct {
		properties map[string]string
		want       lut.Device
	}{
		"no Android": {nil, before},
		"new": {map[string]string{
			"ro.build.version.release": "14", "ro.product.manufacturer": "Google", "ro.product.model": "Pixel 8", "ro.soc.model": "Tensor G3", "ro.board.platform": "zuma",
		}, lut.Device{Model: "Google Pixel 8, Tensor G3", OperatingSystem: "Android 14", Kernel: "5.10"}},
		"old, whose model begins with the maker": {map[string]string{
			"ro.build.version.release": "9", "ro.product.manufacturer": "nokia", "ro.product.model": "Nokia 7\x1b[2J", "ro.board.platform": "sdm660",
		}, lut.Device{Model: "Nokia 7 [2J, sdm660", OperatingSystem: "Android 9", Kernel: "5.10"}},
	} {
		got := before
		describeAndroid(func(name string) string { return test.properties[name] }, &got)
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
