#!/bin/sh
# Gets ONNX Runtime's library, once per user: `sh scripts/onnxruntime.sh [SYSTEM/ARCHITECTURE]`, or `make onnxruntime` for this
# system. Another system's, as Go names it (linux/arm64), is for programs that are tried in an emulator or copied elsewhere.
#
# The library comes out of the Python wheel of ONNX Runtime that pip downloads, checked by its SHA-256; nothing of Python's is
# kept. Ends with 1 and one line where that does not work.
set -eu

version=1.32.0

cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
partial=
cleanup() {
	rm -rf "$temporary"
	if [ -n "$partial" ]; then rm -f "$partial"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { echo "onnxruntime: $*" >&2; }
fail() {
	say "$*"
	exit 1
}

go=${GO:-go}
here=$("$go" env GOHOSTOS)/$("$go" env GOHOSTARCH)
target=${1:-$here}
library=libonnxruntime.so.$version
case $target in
linux/amd64)
	platform=manylinux_2_28_x86_64
	wheel_sha256=99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8
	;;
linux/arm64)
	platform=manylinux_2_28_aarch64
	wheel_sha256=e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054
	;;
darwin/arm64)
	platform=macosx_14_0_arm64
	wheel_sha256=d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e
	library=libonnxruntime.$version.dylib
	;;
*) fail "no source for $target, only for linux/amd64, linux/arm64 and darwin/arm64; install ONNX Runtime by hand and name its library by DENSENAS_ONNXRUNTIME" ;;
esac

CGO_ENABLED=0 GOOS= GOARCH= "$go" build -o "$temporary/ortlibrary" ./internal/onnxruntime/library/ortlibrary
folder=$("$temporary/ortlibrary" folder "$target")
if [ "$target" = "$here" ] && path=$("$temporary/ortlibrary" find 2>/dev/null); then
	say "the library is there: $path"
	exit 0
fi
if [ -s "$folder/$library" ]; then
	say "the library is there: $folder/$library"
	exit 0
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
	fail "the library comes from a Python wheel, which needs python3 with pip; install these, then run \`make onnxruntime\` again"
fi
say "downloading the wheel onnxruntime $version for $target"
# Any Python's wheel has the same library: one is chosen, so that its digest is known.
if ! python3 -m pip download --quiet --no-deps --only-binary :all: --implementation cp --python-version 3.12 --platform "$platform" \
	--dest "$temporary" "onnxruntime==$version" 2>"$temporary/error"; then
	fail "pip could not get onnxruntime $version: $(tail -n 1 "$temporary/error")"
fi
set -- "$temporary"/*.whl
got=$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1")
if [ "$got" != "$wheel_sha256" ]; then
	fail "the wheel is not the expected one: SHA-256 $got, expected $wheel_sha256"
fi
python3 -m zipfile -e "$1" "$temporary"
mkdir -p "$folder"
# The folder may lie on another file system: copy beside the final name, then rename.
partial=$folder/.$library.$$
cp "$temporary/onnxruntime/capi/$library" "$partial"
mv "$partial" "$folder/$library"
partial=
say "installed $folder/$library"
