package remote

import (
	"fmt"
	"strings"
)

// Quote makes any text one word of a POSIX shell that stands for the text itself. A text with a zero byte cannot be a word.
func Quote(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%q has a zero byte, and cannot be passed to a program", text)
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'", nil
}
