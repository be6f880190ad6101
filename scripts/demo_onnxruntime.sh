#!/bin/sh
# From a table measured in ONNX Runtime to a network measured there: `make demo-onnxruntime`. Profiles the space "tiny" in ONNX
# Runtime on one thread, holds the table against whole networks, searches on MNIST for a target on it, trains what comes out on XLA,
# exports it, and measures the file. Ends with 1 unless the file is within the prediction's interval and, but for the measurement's own
# interval, under the target, and answers as our own inference does to 0.1 %. Everything lands in demo/onnxruntime.
#
# DEMO_FOLDER names another, new folder.
set -eu
cd "$(dirname "$0")/.."
folder=${DEMO_FOLDER:-demo/onnxruntime}
started=$(date +%s)

step() { printf '\n==> %s\n' "$*"; }
# value FILE ROW prints what a CSV file of two columns says in the row of this name.
value() { awk -F , -v row="$2" '$1 == row { print $2 }' "$1"; }

sh scripts/onnxruntime.sh
backend=go
if sh scripts/xla.sh cpu; then backend=xla; fi
if [ "$folder" = demo/onnxruntime ]; then
	rm -rf "$folder"
elif [ -e "$folder" ]; then
	echo "$folder exists: name a new folder by DEMO_FOLDER" >&2
	exit 2
fi
mkdir -p "$folder"
table=$folder/tiny.lut.json

step "Profile this machine in ONNX Runtime: every operation of the space, once"
bin/profiler run --space tiny --backend onnxruntime --threads 1 -o "$table"

step "Hold the table against whole networks in ONNX Runtime"
bin/profiler verify "$table" --nets 60 --limit 500ms

step "What the space spans"
bin/search range --space tiny --lut "$table" --format csv >"$folder/range.csv"
cat "$folder/range.csv"
target=$(awk -v a="$(value "$folder/range.csv" fastest)" -v b="$(value "$folder/range.csv" slowest)" 'BEGIN { printf "%.4g", a + 0.4 * (b - a) }')

step "Search for $target ms"
bin/search run --space tiny --lut "$table" --data mnist --backend "$backend" --limit 4500 --epochs 6 --architecture-epoch 2 --batch 64 \
	--target-latency "${target}ms" -o "$folder/run"

step "Train the network, and export it: the file is checked on all test images"
bin/search train --arch "$folder/run/arch.json" --data mnist --backend "$backend" --augmentation none --epochs 1 --batch 32 -o "$folder/trained.safetensors"
bin/search export "$folder/run" --weights "$folder/trained.safetensors" --backend "$backend" --images 10000 -o "$folder/network.onnx" | tee "$folder/export.txt"

step "Measure the exported file in ONNX Runtime"
measure() {
	bin/profiler measure "$folder/run/arch.json" --model "$folder/network.onnx" --lut "$table" --backend onnxruntime --threads 1 "$@"
}
measure
measure --format csv >"$folder/measured.csv"
awk -F , -v target="$target" -v correct="$(grep -o '[0-9.]* % correct (ours [0-9.]* %)' "$folder/export.txt")" '
	$1 == "measured" { ms = $2; low = $3 }
	$1 == "predicted" { predicted = $2; least = $3; most = $4 }
	END {
		split(correct, share, / % correct \(ours | %\)/)
		inside = ms >= least && ms <= most
		under = low <= target
		same = share[1] != "" && share[1] - share[2] <= 0.1 && share[2] - share[1] <= 0.1
		printf "measured %s ms: %s the prediction of %s ms (95 %%: %s to %s), %s the target of %s ms\n", ms, inside ? "inside" : "OUTSIDE", predicted, least, most, under ? "under" : "OVER", target
		printf "accuracy %s: %s\n", correct, same ? "the same to 0.1 %" : "NOT the same to 0.1 %"
		exit !(inside && under && same)
	}' "$folder/measured.csv"
step "Done in $(($(date +%s) - started)) s; everything is in $folder/"
