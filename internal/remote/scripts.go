package remote

import (
	"fmt"
	"strings"
)

// Scripts for the other machine's POSIX shell. They hold fixed words, digits and hexadecimal digits only, and no quote, so that
// login shells of every kind pass them on unchanged.
const (
	cacheFolder = `cache="${XDG_CACHE_HOME:-$HOME/.cache}/densenas"; `
	probeMark   = "densenas-probe"
	probeScript = "echo " + probeMark + "; uname -sm; " + cacheFolder + `ls -d "$cache"/bin/*/profiler 2>/dev/null; true`
)

// uploadScript stores standard input as a program, whole or not at all.
func uploadScript(digest string, size int64) string {
	return fmt.Sprintf(`umask 077; %sfolder="$cache/bin/%s"; part="$folder/.part.$$"; mkdir -p "$folder" && cat >"$part" && test $(wc -c <"$part") -eq %d && `+
		`chmod 700 "$part" && mv -f "$part" "$folder/profiler" || { rm -f "$part"; exit 1; }`, cacheFolder, digest, size)
}

// serveScript starts the program to serve a run.
func serveScript(digest, id string) string {
	return fmt.Sprintf(`%sexec "$cache/bin/%s/profiler" remote "$cache" %s`, cacheFolder, digest, id)
}

// shellCommand is a script as the command line that ssh hands to the login shell.
func shellCommand(script string) (string, error) {
	if strings.ContainsAny(script, "'\\!\n") {
		return "", fmt.Errorf("the script %q has what login shells differ about", script)
	}
	word, err := Quote(script)
	return "exec /bin/sh -c " + word, err
}
