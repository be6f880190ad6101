package remote

import (
	"strings"
	"testing"

	"densenas/internal/exit"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"pi@board": {"pi", "board", 0}, "board": {"", "board", 0}, "a.b_c-d@10.0.0.7:2222": {"a.b_c-d", "10.0.0.7", 2222},
		"pi@[fe80::1%eth0]:22": {"pi", "fe80::1%eth0", 22}, "[::1]": {"", "::1", 0},
	} {
		if got, err := ParseTarget(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "@", "pi@", "@board", "-oProxyCommand=touch x", "pi@-oProxyCommand=x", "-l@board", "pi@board:", "pi@board:0", "pi@board:70000", "pi@board:+22",
		"pi@board:22:22", "pi@bo ard", "pi@board;id", "pi@$(id)", "pi@board\n", "pi@::1", "pi@[::1", "pi@[::1]22", "pi@[x]", "a@b@c", "`id`@board", strings.Repeat("a", 300),
	} {
		if got, err := ParseTarget(text); exit.Code(err) != exit.CodeBadInput {
			t.Errorf("%q: taken as %+v, %v", text, got, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("pi@board:22")
	f.Add("pi@[::1%x]:22")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTarget(text)
		if err != nil {
			return
		}
		for _, word := range []string{got.User, got.Host} {
			if strings.HasPrefix(word, "-") || strings.ContainsAny(word, " \t\r\n'\"`$;&|<>(){}\\@") {
				t.Errorf("%q: taken as %+v", text, got)
			}
		}
	})
}
