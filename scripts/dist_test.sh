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

# With ONNX Runtime, where the cross compiler and its C and C++ libraries are here.
libraries=/usr/aarch64-linux-gnu
if [ ! -e "$folder/dist/profiler-onnxruntime-linux-arm64" ] || [ ! -e $libraries/lib/libstdc++.so.6 ]; then
	echo "dist: not run with ONNX Runtime, because the cross compiler is not here: install gcc-aarch64-linux-gnu and libstdc++6-arm64-cross"
	exit 0
fi
sh scripts/onnxruntime.sh linux/arm64
DENSENAS_ONNXRUNTIME=$(find "$(CGO_ENABLED=0 ${GO:-go} run ./internal/onnxruntime/library/ortlibrary folder linux/arm64)" -name 'libonnxruntime.so.*' | sort | tail -n 1)
export DENSENAS_ONNXRUNTIME QEMU_LD_PREFIX=$libraries
emulated profiler-onnxruntime run --space tiny --only 'mbconv_k3_t3_i8_*_r16' --backend onnxruntime --threads 1 --precision 0.5 --limit 50ms -o "$folder/onnx.lut.json" 2>"$folder/log" ||
	{ cat "$folder/log" >&2; echo "dist: profiler-onnxruntime-linux-arm64 failed" >&2; exit 1; }
if ! grep -q '"name":"onnxruntime"' "$folder/onnx.lut.json" || ! grep -q '"architecture":"arm64"' "$folder/onnx.lut.json"; then
	cat "$folder/onnx.lut.json" >&2
	echo "dist: the table does not say that ONNX Runtime measured it on arm64" >&2
	exit 1
fi
echo "dist: profiler for linux/arm64 ran in ONNX Runtime, with a table of $(grep -c '"key":"mbconv_' "$folder/onnx.lut.json") operations"
