#!/usr/bin/env bash
# Four pipelines of equal work that do not need each other: one after the other (`--jobs 1`), and side by side (`--jobs`
# of as many as there are processors), in turn in each round, on a store of its own each time. The work is gzip's, which
# has one thread. Prints the wall times and their ratio.
#
#   benches/pipelines.sh [ROUNDS]        (root; OSBUILD_BINARY names the program, else a release build is made and taken)
set -euo pipefail

rounds=${1:-3}
target=${CARGO_TARGET_DIR:-target}/$(cargo -vV | sed -n 's/^host: //p')/release

if [ "${OSBUILD_BENCH_INSIDE:-}" != 1 ]; then
	[ -n "${OSBUILD_BINARY:-}" ] || cargo build --quiet --release -p osbuild
	osbuild=$(realpath "${OSBUILD_BINARY:-$target/osbuild}")
	scratch=$(mktemp -d /var/tmp/osbuild-bench.XXXXXX)
	trap 'rm -rf --one-file-system "$scratch"' EXIT
	OSBUILD_BENCH_INSIDE=1 OSBUILD_BENCH_SCRATCH=$scratch OSBUILD_BINARY=$osbuild \
		unshare --mount --propagation private -- "$(realpath "$0")" "$rounds"
	exit
fi
osbuild=$OSBUILD_BINARY
cd "$OSBUILD_BENCH_SCRATCH"
truncate -s 4G disk
mkfs.ext4 -q -F disk
mkdir fs
mount -o loop disk fs
cd fs

# Half of what is packed is noise, so that gzip has to work.
python3 - "$PWD/content" >image.json <<-'END'
	import base64, hashlib, json, random, sys
	random.seed(1)
	content = base64.b64encode(random.randbytes(45 << 20))
	with open(sys.argv[1], "wb") as file:
	    file.write(content)
	digest = "sha256:" + hashlib.sha256(content).hexdigest()
	pipelines = [{"name": f"pipeline-{n}", "stages": [{
	    "type": "org.osbuild.gzip",
	    "inputs": {"file": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [digest]}},
	    "options": {"filename": f"{n}.gz", "level": 6},
	}]} for n in range(4)]
	sources = {"org.osbuild.curl": {"items": {digest: f"file://{sys.argv[1]}"}}}
	print(json.dumps({"version": "2", "pipelines": pipelines, "sources": sources}))
END
exports=(--export pipeline-0 --export pipeline-1 --export pipeline-2 --export pipeline-3)
# Fetches the file, and builds nothing.
"$osbuild" image.json --store downloads --quiet

milliseconds() { # JOBS: builds all four on a store that has the file, prints the wall time
	rm -rf --one-file-system store out
	cp -a downloads store
	local start end
	start=$(date +%s%N)
	"$osbuild" image.json --store store "${exports[@]}" --output-directory out --jobs "$1" --quiet >/dev/null
	end=$(date +%s%N)
	echo $(((end - start) / 1000000))
}

for ((round = 1; round <= rounds; round++)); do
	one=$(milliseconds 1)
	all=$(milliseconds "$(nproc)")
	echo "round $round: one after the other $one ms, $(nproc) at a time $all ms"
	echo "scale=4; $all / $one" | bc >>ratios
done
sort -n ratios | awk '{ v[NR] = $1 } END {
	printf "four pipelines on %d processors, of the time one after the other: %.3f (%.3f to %.3f), goal 0.600\n",
	       '"$(nproc)"', v[int((NR + 1) / 2)], v[1], v[NR]
}'
