#!/bin/sh
# Gets the plugin that XLA runs behind, once per user: `sh scripts/xla.sh [cpu|cuda]`, or `make xla` for cpu.
#
# In this order: a plugin that is already found; go-xla's own installer; for the CPU on Linux x86-64, a Python wheel that
# carries an unmodified build of the plugin, checked by its SHA-256. Ends with 1 and one line where none of them works.
set -eu

accelerator=${1:-cpu}
wheel=fastatomstruct-xla-cpu==2026.6.23
wheel_sha256=88b1c430b341b4bea40a37420311c9c75db6e22b46d2ff95b6986577bee6afe9
library=fastatomstruct_xla_cpu/libpjrt_cpu.so
# Named as go-xla's installer names its plugins, by the PJRT version of this build.
plugin=pjrt_c_api_cpu_v0.106.0_plugin.so

cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
partial=
cleanup() {
	rm -rf "$temporary"
	if [ -n "$partial" ]; then rm -f "$partial"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { echo "xla: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

case $accelerator in
cpu | cuda) ;;
*)
	say "unknown accelerator '$accelerator': use cpu or cuda"
	exit 2
	;;
esac

CGO_ENABLED=0 ${GO:-go} build -o "$temporary/xlaplugin" ./internal/backends/plugin/xlaplugin
if path=$("$temporary/xlaplugin" find "$accelerator" 2>/dev/null); then
	say "the $accelerator plugin is there: $path"
	exit 0
fi

say "asking go-xla's installer for the $accelerator plugin"
if "$temporary/xlaplugin" install "$accelerator" >/dev/null 2>"$temporary/error"; then
	say "installed $("$temporary/xlaplugin" find "$accelerator")"
	exit 0
fi
say "go-xla's installer failed: $(tail -n 1 "$temporary/error")"
if [ "$accelerator" != cpu ]; then
	fail "no other source for the $accelerator plugin; install it by hand and name it by --backend xla:PATH"
fi

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
	fail "no other source for this system; install a PJRT plugin by hand and name it by --backend xla:PATH"
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
	fail "the other source needs python3 with pip; install these, then run \`make xla\` again"
fi
say "downloading the wheel $wheel"
if ! python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$temporary" "$wheel" 2>"$temporary/error"; then
	fail "pip could not get $wheel: $(tail -n 1 "$temporary/error")"
fi
set -- "$temporary"/*.whl
got=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")
if [ "$got" != "$wheel_sha256" ]; then
	fail "the wheel is not the expected one: SHA-256 $got, expected $wheel_sha256"
fi
python3 -m zipfile -e "$1" "$temporary"
folder=$("$temporary/xlaplugin" folder)
mkdir -p "$folder"
# The folder may lie on another file system: copy beside the final name, then rename.
partial=$folder/.$plugin.$$
cp "$temporary/$library" "$partial"
mv "$partial" "$folder/$plugin"
partial=
say "installed $("$temporary/xlaplugin" find cpu)"
