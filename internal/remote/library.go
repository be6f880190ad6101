package remote

import (
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime/library"
)

// plainName is a file name that every shell takes for one word.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$`)

// source says where ONNX Runtime's library for p is.
func source(p platform) string {
	if p.system != android {
		return fmt.Sprintf("get it by `sh scripts/onnxruntime.sh %s/%s`", p.system, p.architecture)
	}
	abi := map[string]string{"amd64": "x86_64", "arm64": "arm64-v8a"}[p.architecture]
	return fmt.Sprintf("take jni/%s/libonnxruntime.so out of the package onnxruntime-android (an AAR is a zip), and name it by --remote-library", abi)
}

// findLibrary takes ONNX Runtime's library for p: the one given or, where that is empty, the newest in the user's own folder for p.
// Where there is none, the other machine looks for its own and the part has no path; but Android has none.
func findLibrary(given string, p platform) (part, error) {
	path := given
	if path == "" {
		if path = library.FindFor(p.system, p.architecture); path == "" {
			if p.system == android {
				return part{}, exit.BadInput("no library of ONNX Runtime for %s in %s: %s", p, library.Folder(p.system, p.architecture), source(p))
			}
			return part{}, nil
		}
	}
	if err := library.CheckFile(path); err != nil {
		return part{}, exit.BadInput("no library of ONNX Runtime to copy: %w", err)
	}
	name := filepath.Base(path)
	if !plainName.MatchString(name) {
		return part{}, exit.BadInput("%q is no name for a library on the other machine; call it libonnxruntime.so", name)
	}
	if err := checkLibrary(path, p); err != nil {
		return part{}, exit.BadInput("%s cannot be loaded on %s: %w; %s", path, p, err, source(p))
	}
	return newPart(path, "lib", name)
}

// checkLibrary says why a library cannot be loaded on p.
func checkLibrary(path string, p platform) error {
	if p.system == "darwin" {
		file, err := macho.Open(path)
		if err != nil {
			return fmt.Errorf("it is no library of macOS: %w", err)
		}
		defer file.Close()
		if file.Cpu != macho.CpuArm64 {
			return fmt.Errorf("it is for the processor %s", file.Cpu)
		}
		return nil
	}
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("it is no library of Linux: %w", err)
	}
	defer file.Close()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[p.architecture]; file.Machine != want {
		return fmt.Errorf("it is for the processor %s", file.Machine)
	}
	needs, err := file.ImportedLibraries()
	if err != nil {
		return err
	}
	// The C library's name is libc.so.6 on Linux (glibc), and libc.so on Android.
	switch {
	case p.system == android && slices.Contains(needs, "libc.so.6"):
		return errors.New("it needs Linux's C library, which Android does not have")
	case p.system != android && slices.Contains(needs, "libc.so"):
		return errors.New("it needs Android's C library")
	}
	return nil
}
