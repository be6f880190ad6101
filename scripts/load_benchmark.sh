#!/bin/sh
# What the profiler's sentinel does under load: how far medians move when neighbours are busy for 5 s and quiet for 5 s, in the
# profiler and in a plain loop. Takes some ten minutes on an otherwise quiet machine, and prints the ratio. Arguments go to
# the program: --backend xla, --space mbv2 --only '*_r7', --repeats 3.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${GO:-go} build -o "$folder/loadbench" ./internal/loadbench
"$folder/loadbench" "$@"
