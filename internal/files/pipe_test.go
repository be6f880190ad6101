//go:build unix

package files

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestReadBoundedDoesNotWaitForAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadBounded(path, 5); err != nil || len(data) > 0 {
		t.Errorf("read %q, error %v", data, err)
	}
}

// A shell's <(command) is a pipe that may be written to later than it is opened.
func TestReadBoundedReadsAPipe(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux is /dev/fd/N opened anew")
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go func() {
		defer writer.Close()
		for _, text := range []string{"12", "34", "5"} {
			runtime.Gosched()
			writer.WriteString(text)
		}
	}()
	if data, err := ReadBounded(fmt.Sprintf("/dev/fd/%d", reader.Fd()), 5); err != nil || string(data) != "12345" {
		t.Errorf("read %q, error %v", data, err)
	}
}
