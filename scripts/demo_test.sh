#!/bin/sh
# Goes through `make demo` quickly in all of its ways: on XLA, and as it falls back without a C compiler and without network.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# try NAME EXPECTED [VARIABLE=VALUE...] runs the demo and checks that it says which runtime it took.
try() {
	name=$1 expected=$2
	shift 2
	if ! env "$@" DEMO_QUICK=1 DEMO_FOLDER="$folder/$name" "${MAKE:-make}" demo >"$folder/log" 2>&1; then
		cat "$folder/log" >&2
		echo "demo, $name: failed" >&2
		exit 1
	fi
	if ! grep -q "$expected" "$folder/log"; then
		cat "$folder/log" >&2
		echo "demo, $name: does not say \"$expected\"" >&2
		exit 1
	fi
	echo "demo, $name: $(grep '^==> Done' "$folder/log")"
}

if [ "$(${GO:-go} env CGO_ENABLED)" = 1 ]; then
	try xla "Running on XLA"
	# No plugin in sight, and neither source of one to be reached.
	try offline "Running on the pure-Go backend: a search step takes about 15 times as long" CGO_ENABLED=1 GOPROXY=off \
		PJRT_PLUGIN_LIBRARY_PATH="$folder" PIP_NO_INDEX=1 PIP_FIND_LINKS= \
		HTTPS_PROXY=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9
fi
try fallback "Running on the pure-Go backend" CGO_ENABLED=0
