// Ortlibrary says where ONNX Runtime's library is, or belongs. `make onnxruntime` calls it.
//
//	ortlibrary find                         prints the library's path; fails where there is none
//	ortlibrary find SYSTEM/ARCHITECTURE     likewise, of the library in the user's folder for another system, as Go names it
//	ortlibrary folder SYSTEM/ARCHITECTURE   prints the folder that it is put into, for a system as Go names it
package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"densenas/internal/exit"
	"densenas/internal/onnxruntime/library"
)

func main() { exit.Main(run) }

func run(_ context.Context, args []string, stdout, _ io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "find":
		path, err := library.Find()
		if err == nil {
			fmt.Fprintln(stdout, path)
		}
		return err
	case len(args) == 2 && (args[0] == "find" || args[0] == "folder"):
		system, architecture, ok := strings.Cut(args[1], "/")
		if !ok || system == "" || architecture == "" || strings.ContainsAny(architecture, `/\.`) || strings.ContainsAny(system, `\.`) {
			return exit.BadInput("%q is no SYSTEM/ARCHITECTURE such as linux/arm64", args[1])
		}
		if args[0] == "find" {
			path := library.FindFor(system, architecture)
			if path == "" {
				return exit.BadInput("no library of ONNX Runtime for %s: get it by sh scripts/onnxruntime.sh %s", args[1], args[1])
			}
			fmt.Fprintln(stdout, path)
			return nil
		}
		folder := library.Folder(system, architecture)
		if folder == "" {
			return exit.BadInput("no home folder, so no folder for the library; set HOME")
		}
		fmt.Fprintln(stdout, folder)
		return nil
	}
	return exit.BadInput("usage: ortlibrary find [SYSTEM/ARCHITECTURE], ortlibrary folder SYSTEM/ARCHITECTURE")
}
