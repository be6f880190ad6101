#!/bin/sh
# Builds the programs for other machines, and runs those for linux/arm64 on an emulated processor (scripts/arm64.sh): tables come out, one of
# them measured in ONNX Runtime, and report reads them. Without the emulator this is skipped.
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

if [ "$(uname -sm)" != "Linux aarch64" ] && ! command -v qemu-aarch64-static >/dev/null; then
	echo "dist: not run, because qemu-aarch64-static is not here: install qemu-user-static"
	exit 0
fi
# emulated PROGRAM ARGUMENTS... runs a program for linux/arm64.
emulated() {
	program=$1
	shift
	timeout 90 sh scripts/arm64.sh "$folder/dist/$program-linux-arm64" "$@"
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

# The one with ONNX Runtime, where the cross compiler is here.
if [ ! -e "$folder/dist/profiler-onnxruntime-linux-arm64" ]; then
	echo "dist: no profiler with ONNX Runtime, because the cross compiler is not here: install gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"
	exit 0
fi
sh scripts/onnxruntime.sh linux/arm64
library=$(CGO_ENABLED=0 "${GO:-go}" run ./internal/onnxruntime/library/ortlibrary find linux/arm64)
emulated profiler-onnxruntime run --space tiny --only 'mbconv_k3_t3_i12_*' --backend "onnxruntime:$library" --threads 1 --precision 0.5 --limit 50ms \
	-o "$folder/onnxruntime.lut.json" 2>"$folder/log" ||
	{ cat "$folder/log" >&2; echo "dist: profiler-onnxruntime-linux-arm64 failed" >&2; exit 1; }
if ! grep -qF "from $library" "$folder/log" || ! grep -q '"key":"mbconv_k3_t3_i12_o12_s1_r8"' "$folder/onnxruntime.lut.json"; then
	cat "$folder/log" >&2
	echo "dist: profiler-onnxruntime-linux-arm64 did not measure in ONNX Runtime" >&2
	exit 1
fi
echo "dist: profiler with ONNX Runtime for linux/arm64 ran, with a table of $(grep -c '"key":"mbconv_' "$folder/onnxruntime.lut.json") operations"
