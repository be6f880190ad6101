#!/bin/sh
# The profiler's calls of ONNX Runtime against those from Python, on the same operations in turns. Takes half a minute on an
# otherwise quiet machine, and prints the ratios. Arguments go to the program: --peer FILE.py, --python FILE (an interpreter that has
# onnxruntime and onnx), --threads 2, --rounds 20.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${GO:-go} build -o "$folder/onnxbench" ./internal/onnxbench
"$folder/onnxbench" "$@"
