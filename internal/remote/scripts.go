package remote

import (
	"fmt"
	"path"
	"strings"

	"densenas/internal/onnxruntime/library"
)

// Scripts for the other machine's POSIX shell. They hold fixed words, digits, hexadecimal digits and plain names only, and no quote,
// so that login shells of every kind pass them on unchanged.
const (
	cacheFolder = `cache="${XDG_CACHE_HOME:-$HOME/.cache}/densenas"; `
	probeMark   = "densenas-probe"
	probeScript = "echo " + probeMark + "; uname -sm; " + cacheFolder + `ls -d "$cache"/bin/*/* "$cache"/lib/*/* 2>/dev/null; true`
)

// uploadScript stores standard input as a part, whole or not at all.
func uploadScript(p part) string {
	return fmt.Sprintf(`umask 077; %sfolder="$cache/%s"; part="$folder/.part.$$"; mkdir -p "$folder" && cat >"$part" && test $(wc -c <"$part") -eq %d && `+
		`chmod 700 "$part" && mv -f "$part" "$folder/%s" || { rm -f "$part"; exit 1; }`, cacheFolder, path.Dir(p.there()), p.size, p.name)
}

// serveScript starts the program to serve a run.
func serveScript(t there, id string) string {
	script := cacheFolder
	if t.library.path != "" {
		script += fmt.Sprintf(`export %s="$cache/%s"; `, library.Variable, t.library.there())
	}
	return script + fmt.Sprintf(`exec "$cache/%s" remote "$cache" %s`, t.program.there(), id)
}

// shellCommand is a script as the command line that ssh hands to the login shell.
func shellCommand(script string) (string, error) {
	if strings.ContainsAny(script, "'\\!\n") {
		return "", fmt.Errorf("the script %q has what login shells differ about", script)
	}
	word, err := Quote(script)
	return "exec /bin/sh -c " + word, err
}
