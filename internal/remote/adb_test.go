package remote

import (
	"slices"
	"strings"
	"testing"

	"densenas/internal/exit"
)

func TestParsePhones(t *testing.T) {
	const list = "* daemon not running; starting now at tcp:5037\n* daemon started successfully\nList of devices attached\n" +
		"0123456789ABCDEF\tdevice\n192.168.1.5:5555\toffline\nx\tno permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]\n\n"
	want := []phone{{"0123456789ABCDEF", "device"}, {"192.168.1.5:5555", "offline"}, {"x", "no permissions (user in plugdev group; are your udev rules wrong?); see [http://developer.android.com]"}}
	if got := parsePhones(list); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := parsePhones("List of devices attached\n\n"); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestChoosePhone(t *testing.T) {
	one := []phone{{"a", "device"}}
	two := []phone{{"a", "device"}, {"b", "offline"}}
	for _, test := range []struct {
		phones []phone
		serial string
		want   string
	}{{one, "", "a"}, {one, "a", "a"}, {two, "a", "a"}} {
		if got, err := choosePhone(test.phones, test.serial); err != nil || got != test.want {
			t.Errorf("%q of %q: %q, %v", test.serial, test.phones, got, err)
		}
	}
	for _, test := range []struct {
		phones []phone
		serial string
		say    []string
	}{
		{nil, "", []string{"USB debugging", "adb devices"}},
		{nil, "a", []string{"USB debugging"}},
		{two, "", []string{"2 phones", "--adb=SERIAL", `"a", "b"`}},
		{one, "b", []string{`"b"`, `only "a"`, "adb connect"}},
		{two, "b", []string{`"b"`, "offline", "adb reconnect"}},
		{[]phone{{"a", "unauthorized"}}, "", []string{"unlock", "allow USB debugging"}},
		{[]phone{{"a", "no permissions (x)"}}, "", []string{"udev"}},
		{[]phone{{"a", "recovery"}}, "", []string{`"recovery"`, "start Android"}},
		{[]phone{{"a\x1b[2J", "sideload\x1b[2J"}}, "", []string{`"a\x1b[2J"`, `"sideload\x1b[2J"`}},
	} {
		got, err := choosePhone(test.phones, test.serial)
		if exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%q of %q: taken as %q, %v", test.serial, test.phones, got, err)
			continue
		}
		for _, part := range test.say {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %s", err, part)
			}
		}
	}
}

func FuzzChoosePhone(f *testing.F) {
	f.Add("List of devices attached\na\tdevice\n", "a")
	f.Add("a\tdevice\nb\tunauthorized\n", "")
	f.Fuzz(func(t *testing.T, list, serial string) {
		phones := parsePhones(list)
		got, err := choosePhone(phones, serial)
		if err == nil && (serial != "" && got != serial || !slices.Contains(phones, phone{got, "device"})) {
			t.Errorf("%q of %q: %q", serial, phones, got)
		}
	})
}

func TestPlatformsOfPhones(t *testing.T) {
	for abi, want := range map[string]string{"arm64-v8a\n": "android-arm64", "x86_64\r\n": "android-amd64"} {
		if p, err := (adbConnection{abi: abi}).platform(""); err != nil || p.String() != want {
			t.Errorf("%q: %s, %v", abi, p, err)
		}
	}
	for abi, say := range map[string]string{"armeabi-v7a": "32-bit", "riscv64": "riscv64", "": "arm64-v8a"} {
		if p, err := (adbConnection{abi: abi}).platform(""); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %s, %v", abi, p, err)
		}
	}
}

func TestADBGetsTheScriptInOneWord(t *testing.T) {
	c, err := adbConnection{ADB: ADB{"my phone"}, client: "adb"}.command(t.Context(), probeScript)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Args) != 6 || strings.Join(c.Args[:5], "|") != "adb|-s|my phone|shell|-T" || !strings.HasSuffix(c.Args[5], probeScript) {
		t.Errorf("%q", c.Args)
	}
}
