package remote

import (
	"os/exec"
	"strings"
	"testing"
)

func TestQuotedTextsReachAProgramAsTheyAre(t *testing.T) {
	texts := []string{
		"", "plain", "two words", "it's", "''", `'; touch /tmp/owned; '`, "$(id)", "`id`", "$HOME", `\`, `\'`, `a\nb`, "line\nbreak\r\n", "*", "~", "-n", "#", "!!",
		"\x01\x7f\xff\xfe", "größe", `"double"`, "&& false", strings.Repeat("'", 50),
	}
	words := []string{"printf", `'%s\0'`}
	for _, text := range texts {
		word, err := Quote(text)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, word)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here")
	}
	got, err := exec.Command(shell, "-c", strings.Join(words, " ")).Output()
	if want := strings.Join(texts, "\x00") + "\x00"; err != nil || string(got) != want {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
	if _, err := Quote("a\x00b"); err == nil {
		t.Error("a zero byte was quoted")
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("it's")
	f.Fuzz(func(t *testing.T, text string) {
		word, err := Quote(text)
		if err != nil {
			return
		}
		// Read as a shell does: quoted parts, and escaped quotes between them, are all there is.
		var read strings.Builder
		for rest := word; rest != ""; {
			if after, escaped := strings.CutPrefix(rest, `\'`); escaped {
				read.WriteByte('\'')
				rest = after
				continue
			}
			part, after, closed := strings.Cut(strings.TrimPrefix(rest, "'"), "'")
			if rest[0] != '\'' || !closed {
				t.Fatalf("%q: %s is not quoted in %s", text, rest, word)
			}
			read.WriteString(part)
			rest = after
		}
		if read.String() != text {
			t.Errorf("%q: %s stands for %q", text, word, read.String())
		}
	})
}
