#!/bin/sh
# Builds the programs for other machines, and runs those for linux/arm64 on an emulated processor: a table comes out, and report
# reads it. Without the emulator this is skipped.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

DIST=$folder/dist sh scripts/dist.sh
(cd "$folder/dist" && if command -v sha256sum >/dev/null; then sha256sum -c --quiet SHA256SUMS; else shasum -a 256 -c --quiet SHA256SUMS; fi)
for target in linux-amd64 linux-arm64 darwin-arm64; do
	for program in profiler report; do
		if [ ! -x "$folder/dist/$program-$target" ]; then
			echo "dist: no $program-$target" >&2
			exit 1
		fi
	done
done
echo "dist: $(ls "$folder/dist" | wc -l | tr -d ' ') files"

emulator=
if [ "$(uname -sm)" != "Linux aarch64" ]; then
	if ! emulator=$(command -v qemu-aarch64-static); then
		echo "dist: not run, because qemu-aarch64-static is not here: install qemu-user-static"
		exit 0
	fi
fi
# emulated PROGRAM ARGUMENTS... runs a program for linux/arm64.
emulated() {
	program=$1
	shift
	timeout 90 $emulator "$folder/dist/$program-linux-arm64" "$@"
}
emulated profiler run --space tiny --only 'skip_*' --backend go --threads 1 --precision 0.5 --limit 50ms -o "$folder/arm64.lut.json" 2>"$folder/log" ||
	{ cat "$folder/log" >&2; echo "dist: profiler-linux-arm64 failed" >&2; exit 1; }
for report in "emulated report" "${GO:-go} run -tags noxla ./cmd/report"; do
	CGO_ENABLED=0 $report lut "$folder/arm64.lut.json" >"$folder/report"
	if ! grep -q skip "$folder/report"; then
		cat "$folder/report" >&2
		echo "dist: the report of the table does not list its operations" >&2
		exit 1
	fi
done
echo "dist: profiler and report for linux/arm64 ran, with a table of $(grep -c '"key":"skip_' "$folder/arm64.lut.json") operations"

# The one with ONNX Runtime, where the cross compiler is here: it starts and finds the library. Loading it is not tried: version 1.32.0
# crashes in the emulator when it is loaded, most likely because it reads what the system says of the processor, which is another one.
libraries=/usr/aarch64-linux-gnu
if [ ! -e "$folder/dist/profiler-onnxruntime-linux-arm64" ]; then
	echo "dist: no profiler with ONNX Runtime, because the cross compiler is not here: install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"
	exit 0
fi
echo library >"$folder/libonnxruntime.so"
export QEMU_LD_PREFIX=$libraries DENSENAS_ONNXRUNTIME="$folder/libonnxruntime.so"
if ! emulated profiler-onnxruntime device >"$folder/report" || ! grep -q 'onnxruntime .*libonnxruntime.so, sha256 ' "$folder/report"; then
	cat "$folder/report" >&2
	echo "dist: profiler-onnxruntime-linux-arm64 does not find a library of ONNX Runtime" >&2
	exit 1
fi
echo "dist: profiler with ONNX Runtime for linux/arm64 ran"
