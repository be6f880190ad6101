package remote

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"densenas/internal/exit"
)

// elfLibrary is a library of Linux or Android that needs others, as far as that is looked at.
func elfLibrary(t *testing.T, machine elf.Machine, needs ...string) []byte {
	t.Helper()
	text := []byte{0}
	var dynamic []elf.Dyn64
	for _, name := range needs {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: uint64(len(text))})
		text = append(text, name+"\x00"...)
	}
	dynamic = append(dynamic, elf.Dyn64{})
	const headers = 64
	offset := uint64(headers + 3*64)
	sections := []elf.Section64{{},
		{Type: uint32(elf.SHT_STRTAB), Off: offset, Size: uint64(len(text))},
		{Type: uint32(elf.SHT_DYNAMIC), Off: offset + uint64(len(text)), Size: uint64(16 * len(dynamic)), Link: 1, Entsize: 16},
	}
	var b bytes.Buffer
	head := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(machine), Version: 1, Shoff: headers, Ehsize: headers, Shentsize: 64, Shnum: 3, Shstrndx: 1,
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
	}
	for _, part := range []any{head, sections, text, dynamic} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestFindLibraryTakesWhatThatMachineCanLoad(t *testing.T) {
	linux, phone := platform{"linux", "arm64"}, platform{android, "arm64"}
	glibc, bionic := elfLibrary(t, elf.EM_AARCH64, "libm.so.6", "libc.so.6"), elfLibrary(t, elf.EM_AARCH64, "libc.so", "liblog.so")
	for name, test := range map[string]struct {
		content []byte
		file    string
		p       platform
		refused string // empty: taken
	}{
		"glibc on Linux":    {glibc, "libonnxruntime.so.1.32.0", linux, ""},
		"bionic on Android": {bionic, "libonnxruntime.so", phone, ""},
		"glibc on Android":  {glibc, "libonnxruntime.so", phone, "Linux's C library, which Android does not have; take jni/arm64-v8a/libonnxruntime.so"},
		"bionic on Linux":   {bionic, "libonnxruntime.so", linux, "Android's C library; get it by `sh scripts/onnxruntime.sh linux/arm64`"},
		"another processor": {elfLibrary(t, elf.EM_X86_64, "libc.so.6"), "libonnxruntime.so", linux, "EM_X86_64"},
		"no library":        {[]byte("text"), "libonnxruntime.so", linux, "no library of Linux"},
		"macOS":             {glibc, "libonnxruntime.dylib", platform{"darwin", "arm64"}, "no library of macOS"},
		"empty":             {nil, "libonnxruntime.so", linux, "empty"},
		"a shell's words":   {glibc, "lib $(touch x).so", linux, "no name for a library"},
	} {
		path := filepath.Join(t.TempDir(), test.file)
		if err := os.WriteFile(path, test.content, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := findLibrary(path, test.p)
		switch {
		case test.refused == "" && (err != nil || got.path != path || got.there() != "lib/"+got.digest+"/"+test.file || got.size != int64(len(test.content))):
			t.Errorf("%s: %+v, %v", name, got, err)
		case test.refused != "" && (exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), test.refused)):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Without a file the one of the user's own folder is taken; where there is none, a machine with Linux may have its own.
func TestFindLibraryLooksInTheUsersFolder(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("the user's folder is elsewhere on macOS")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	if got, err := findLibrary("", platform{"linux", "arm64"}); err != nil || got.path != "" {
		t.Errorf("without one: %+v, %v", got, err)
	}
	if _, err := findLibrary("", platform{android, "arm64"}); exit.Code(err) != exit.CodeBadInput || !strings.Contains(err.Error(), "--remote-library") {
		t.Errorf("without one for Android: %v", err)
	}
	folder := filepath.Join(home, ".local/lib/densenas/linux-arm64")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.32.0", "1.9.0"} {
		if err := os.WriteFile(filepath.Join(folder, "libonnxruntime.so."+version), elfLibrary(t, elf.EM_AARCH64, "libc.so.6"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := findLibrary("", platform{"linux", "arm64"}); err != nil || got.name != "libonnxruntime.so.1.32.0" {
		t.Errorf("%+v, %v", got, err)
	}
}
