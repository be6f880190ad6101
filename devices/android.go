package devices

import (
	"strings"

	"densenas/lut"
)

// describeAndroid adds what Android says of itself, by its properties: the kernel tells neither the phone nor, mostly, its processor.
// Elsewhere all properties are empty, and nothing changes.
func describeAndroid(property func(name string) string, device *lut.Device) {
	release := property("ro.build.version.release")
	if release == "" {
		return
	}
	device.OperatingSystem = clean("Android " + release)
	phone := property("ro.product.model")
	if maker := property("ro.product.manufacturer"); !strings.HasPrefix(strings.ToLower(phone), strings.ToLower(maker)) {
		phone = maker + " " + phone
	}
	chip := property("ro.soc.model") // from Android 12 on
	if chip == "" {
		chip = property("ro.board.platform")
	}
	device.Model = clean(phone)
	if chip = clean(chip); chip != "" {
		device.Model = clean(device.Model + ", " + chip)
	}
}
