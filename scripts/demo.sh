#!/bin/sh
# The whole line once, on this machine and real images: `make demo`. Profiles the space "tiny", searches it on MNIST for two
# targets, trains what comes out, and prints the reports. Everything lands in demo/.
#
# Uses XLA where its plugin is there or can be had, else the pure-Go backend with a smaller schedule. DEMO_BACKEND=go or
# DEMO_BACKEND=xla chooses; DEMO_FOLDER names another, new folder. DEMO_QUICK=1 goes through all of it with next to no
# training: a test of the line, whose networks are worth nothing.
set -eu
cd "$(dirname "$0")/.."
folder=${DEMO_FOLDER:-demo}
backend=${DEMO_BACKEND:-auto}
started=$(date +%s)

step() { printf '\n==> %s\n' "$*"; }
# value FILE ROW prints what a CSV file of two columns says in the row of this name.
value() { awk -F , -v row="$2" '$1 == row { print $2 }' "$1"; }
# last COLUMN prints the last row's entry in a column of a CSV file on the standard input.
last() { awk -F , -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) column = i } { field = $column } END { print field }'; }

if [ "$backend" = auto ]; then
	backend=go
	if [ "$(${GO:-go} env CGO_ENABLED)" = 1 ]; then
		if sh scripts/xla.sh cpu; then backend=xla; fi
	else
		echo "no C compiler: the XLA backend is not built in" >&2
	fi
fi
if [ "$backend" = xla ]; then
	step "Running on XLA"
	schedule="--limit 4500 --epochs 6 --architecture-epoch 2 --batch 64"
	recipe="--epochs 1 --batch 32"
else
	step "Running on the pure-Go backend: a search step takes about 15 times as long as on XLA, so the schedule is shorter"
	schedule="--limit 1500 --epochs 5 --architecture-epoch 3 --batch 16"
	recipe="--epochs 1 --batch 16"
fi

precision=0.05
if [ -n "${DEMO_QUICK:-}" ]; then
	schedule="--limit 200 --epochs 2 --architecture-epoch 1 --batch 16"
	recipe="--epochs 1 --batch 32 --limit 320"
	precision=0.5
fi

if [ "$folder" = demo ]; then
	rm -rf demo
elif [ -e "$folder" ]; then
	echo "$folder exists: name a new folder by DEMO_FOLDER" >&2
	exit 2
fi
mkdir -p "$folder"

step "Profile this machine: every operation of the space, once"
bin/profiler run --space tiny --backend "$backend" --threads 1 --precision "$precision" --limit 400ms -o "$folder/tiny.lut.json"
bin/report lut "$folder/tiny.lut.json"

step "What the space spans on this machine"
bin/search range --space tiny --lut "$folder/tiny.lut.json"
bin/search range --space tiny --lut "$folder/tiny.lut.json" --format csv >"$folder/range.csv"
fastest=$(value "$folder/range.csv" fastest)
slowest=$(value "$folder/range.csv" slowest)

# search MS searches for a target in $run.
search() {
	run="$folder/run-$1-ms"
	runs="${runs:-} $run"
	step "Search for $1 ms"
	# shellcheck disable=SC2086 # the schedule is a list of flags
	bin/search run --space tiny --lut "$folder/tiny.lut.json" --data mnist --backend "$backend" $schedule --target-latency "${1}ms" -o "$run"
	bin/report run "$run"
	bin/report arch "$run/arch.json" --lut "$folder/tiny.lut.json"
}

# The first target leaves room; the second asks for a faster network than the first search found, if there is one.
search "$(awk -v a="$fastest" -v b="$slowest" 'BEGIN { printf "%.4g", a + 0.6 * (b - a) }')"
found=$(bin/report arch "$run/arch.json" --lut "$folder/tiny.lut.json" --format csv | last latency_ms)
search "$(awk -v a="$fastest" -v b="$found" 'BEGIN { t = (a + b) / 2; if (t < 1.01 * a) t = 1.01 * a; printf "%.4g", t }')"
# shellcheck disable=SC2086 # a list of folders
set -- $runs

for run in $runs; do
	step "The network of $run as measured whole"
	bin/profiler measure "$run/arch.json" --lut "$folder/tiny.lut.json" --backend "$backend" --threads 1
done

run=$1
step "Train the network of $run from scratch, and test it"
# shellcheck disable=SC2086
bin/search train --arch "$run/arch.json" --data mnist --backend "$backend" --augmentation none $recipe -o "$run/trained.safetensors"

if [ -z "${DEMO_QUICK:-}" ] && cmp -s "$1/arch.json" "$2/arch.json"; then
	echo "the two targets derived the same network" >&2
	exit 1
fi
step "Done in $(($(date +%s) - started)) s on $backend; everything is in $folder/"
