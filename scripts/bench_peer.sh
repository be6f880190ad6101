#!/bin/sh
# Runs search bench and a peer in PyTorch alternately, and prints the medians of both and their ratios as Markdown.
#
#   make bench-peer PEER=FILE.py [PYTHON=python3] [SIZES="64x8 128x16"] [PATHS="fresh fixed"] [ROUNDS=1] [STEPS=15] [THREADS=2]
#
# A round of all takes half an hour on two processors, most of which goes to compiling; every round compiles again. Keep the machine
# quiet meanwhile, or take sizes and paths one after the other.
# The peer takes --resolution, --batch, --steps, --threads, --channels-last and --fixed-path and prints a JSON object with the
# keys weight_step_s, arch_step_s (each with median) and peak_rss_mb. PYTHON is an interpreter that has torch.
set -eu
: "${PEER:=../shared/peer/supernet_torch.py}" "${PYTHON:=python3}" "${SIZES:=64x8 128x16}" "${PATHS:=fresh fixed}" "${ROUNDS:=1}" "${STEPS:=15}" "${THREADS:=2}"
if ! [ -f "$PEER" ]; then
	echo "the peer $PEER is not there; name one by PEER=FILE.py" >&2
	exit 2
fi
if ! "$PYTHON" -c 'import torch' 2>/dev/null; then
	echo "$PYTHON has no torch; name an interpreter that has it by PYTHON=FILE" >&2
	exit 2
fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT
record() { # SIZE PATH WHO, and the JSON object on standard input
	"$PYTHON" -c 'import json, sys; r = json.load(sys.stdin); r.pop("profile", None); print(json.dumps(sys.argv[1:] + [r]))' "$@" >>"$results"
}
for size in $SIZES; do
	resolution=${size%x*} batch=${size#*x}
	for path in $PATHS; do
		fixed=
		[ $path = fixed ] && fixed=--fixed-path
		for round in $(seq "$ROUNDS"); do
			echo "$size $path, round $round" >&2
			bin/search bench --space mbv2 --resolution "$resolution" --batch "$batch" --steps "$STEPS" --threads "$THREADS" $fixed --format json 2>/dev/null | record "$size" $path ours
			for layout in contiguous channels-last; do
				flag=
				[ $layout = channels-last ] && flag=--channels-last
				# glibc's settings suit the peer as well as ours.
				MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
					"$PYTHON" "$PEER" --resolution "$resolution" --batch "$batch" --steps "$STEPS" --threads "$THREADS" $flag $fixed | record "$size" $path $layout
			done
		done
	done
done
"$PYTHON" - "$results" <<'PYTHON'
import json, statistics, sys

runs = {}
for line in open(sys.argv[1]):
    size, path, who, result = json.loads(line)
    runs.setdefault((size, path), {}).setdefault(who, []).append(result)
of = {
    'weights s': lambda r: r['weight_step_s']['median'],
    'architecture s': lambda r: r['arch_step_s']['median'],
    'MB': lambda r: r['peak_rss_mb'],
}
print('| size | path | measure | ours | peer, contiguous | peer, channels last | ours / better |')
print('|---|---|---|--:|--:|--:|--:|')
for (size, path), who in runs.items():
    for name, value in of.items():
        ours, plain, last = (statistics.median(map(value, who[k])) for k in ('ours', 'contiguous', 'channels-last'))
        form = '%.0f' if name == 'MB' else '%.3f'
        print(f'| {size} | {path} | {name} | {form % ours} | {form % plain} | {form % last} | {ours / min(plain, last):.2f} |')
    ours = who['ours'][-1]
    print(f'| {size} | {path} | executables, seconds of compiling | {ours["executables"]}, {ours["compile_s"]:.0f} | | | |')
PYTHON
