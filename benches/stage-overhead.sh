#!/usr/bin/env bash
# What a stage that does nothing costs, from start to recorded result: the wall time of a manifest of
# many `org.osbuild.noop` stages less that of one with a single stage, by stage. With an upstream
# checkout in OSBUILD_UPSTREAM, upstream runs its own in turn (fewer stages, it is slow).
#
#   benches/stage-overhead.sh [STAGES] [ROUNDS]        (root)
set -euo pipefail

stages=${1:-200}
rounds=${2:-3}
osbuild=$(realpath "${OSBUILD_BINARY:-target/$(cargo -vV | sed -n 's/^host: //p')/release/osbuild}")

if [ "${OSBUILD_BENCH_INSIDE:-}" != 1 ]; then
	scratch=$(mktemp -d /var/tmp/osbuild-bench.XXXXXX)
	trap 'rm -rf --one-file-system "$scratch"' EXIT
	OSBUILD_BENCH_INSIDE=1 OSBUILD_BENCH_SCRATCH=$scratch OSBUILD_BINARY=$osbuild \
		unshare --mount --propagation private -- "$0" "$stages" "$rounds"
	exit
fi
cd "$OSBUILD_BENCH_SCRATCH"
truncate -s 2G disk
mkfs.ext4 -q -F disk
mkdir fs
mount -o loop disk fs
cd fs

manifest() {
	python3 - "$1" <<-'END'
		import json, sys
		stages = [{"type": "org.osbuild.noop", "options": {"n": n}} for n in range(int(sys.argv[1]))]
		print(json.dumps({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]}))
	END
}
milliseconds() { # runs the rest, prints its wall time
	local start end
	start=$(date +%s%N)
	"$@" >/dev/null
	end=$(date +%s%N)
	echo $(((end - start) / 1000000))
}
ours() {
	rm -rf --one-file-system store out
	milliseconds "$osbuild" "$1" --store store --export tree --output-directory out
}
upstream() {
	rm -rf --one-file-system ustore uout
	PYTHONPATH=$OSBUILD_UPSTREAM milliseconds unshare --mount --propagation private -- \
		python3 -P -m osbuild "$1" --libdir "$OSBUILD_UPSTREAM" --store ustore --export tree --output-directory uout
}

few=10
manifest 1 >one.json
manifest "$few" >few.json
manifest "$stages" >many.json
for ((round = 1; round <= rounds; round++)); do
	one=$(ours one.json)
	many=$(ours many.json)
	echo "osbuild: $(echo "scale=2; ($many - $one) / ($stages - 1)" | bc) ms a stage ($stages stages $many ms, one $one ms)"
	if [ -n "${OSBUILD_UPSTREAM:-}" ]; then
		one=$(upstream one.json)
		many=$(upstream few.json)
		echo "upstream: $(echo "scale=2; ($many - $one) / ($few - 1)" | bc) ms a stage ($few stages $many ms, one $one ms)"
	fi
done
