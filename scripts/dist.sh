#!/bin/sh
# Builds the programs that run on other machines, static and without XLA, as DIST/PROGRAM-SYSTEM-ARCHITECTURE with their digests.
# Where Debian's cross compiler for arm64 is here (gcc-aarch64-linux-gnu), also a profiler that measures in ONNX Runtime, which needs
# the other machine's C library: DIST/profiler-onnxruntime-linux-arm64.
# TARGETS, a list of SYSTEM/ARCHITECTURE, and DIST replace what is built and where to.
set -eu
cd "$(dirname "$0")/.."
targets=${TARGETS:-linux/amd64 linux/arm64 darwin/arm64}
dist=${DIST:-dist}
go=${GO:-go}

rm -rf "$dist"
mkdir -p "$dist"
for target in $targets; do
	system=${target%/*} architecture=${target#*/}
	# The experiment speeds up the pure-Go backend on amd64; other processors it has nothing for yet.
	experiment=
	if [ "$architecture" = amd64 ] && GOEXPERIMENT=simd "$go" env GOVERSION >/dev/null 2>&1; then
		experiment=simd
	fi
	for program in profiler report; do
		CGO_ENABLED=0 GOOS=$system GOARCH=$architecture GOEXPERIMENT=$experiment \
			"$go" build -tags noxla -trimpath -ldflags='-s -w' -o "$dist/$program-$system-$architecture" "./cmd/$program"
	done
	if [ "$target" = linux/arm64 ] && compiler=$(command -v aarch64-linux-gnu-gcc); then
		CGO_ENABLED=1 CC=$compiler GOOS=$system GOARCH=$architecture GOEXPERIMENT=$experiment \
			"$go" build -tags noxla -trimpath -ldflags='-s -w' -o "$dist/profiler-onnxruntime-$system-$architecture" ./cmd/profiler
	fi
done
cd "$dist"
if command -v sha256sum >/dev/null; then
	sha256sum -- * >.SHA256SUMS
else
	shasum -a 256 -- * >.SHA256SUMS
fi
mv .SHA256SUMS SHA256SUMS
