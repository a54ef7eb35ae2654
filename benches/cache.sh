#!/usr/bin/env bash
# What keeping trees costs and saves, on a loop-mounted ext4 of its own:
#  * a manifest or recipe is built, and built again with nothing changed, downloads present;
#  * a tree of 1.5 GB in 82 000 entries is committed, given to a stage as a view, and removed, beside `cp -a` and `rm -rf`.
#
#   benches/cache.sh [FILE [ROUNDS]]     (root; FILE is a recipe or manifest, samples/debian.yaml by default)
#
# OSBUILD_BINARY and OSBUILD_TREE_TIMES name the programs; without, release builds of this checkout are made and taken.
# With OSBUILD_BENCH_TREE_ONLY=1 only the second part is done.
set -euo pipefail

file=$(realpath "${1:-samples/debian.yaml}")
rounds=${2:-3}
target=${CARGO_TARGET_DIR:-target}/$(cargo -vV | sed -n 's/^host: //p')/release

if [ "${OSBUILD_BENCH_INSIDE:-}" != 1 ]; then
	[ -n "${OSBUILD_BINARY:-}" ] || cargo build --quiet --release -p osbuild
	[ -n "${OSBUILD_TREE_TIMES:-}" ] || cargo build --quiet --release -p osbuild-store --example tree_times
fi
osbuild=$(realpath "${OSBUILD_BINARY:-$target/osbuild}")
tree_times=$(realpath "${OSBUILD_TREE_TIMES:-$target/examples/tree_times}")

if [ "${OSBUILD_BENCH_INSIDE:-}" != 1 ]; then
	scratch=$(mktemp -d /var/tmp/osbuild-bench.XXXXXX)
	trap 'rm -rf --one-file-system "$scratch"' EXIT
	OSBUILD_BENCH_INSIDE=1 OSBUILD_BENCH_SCRATCH=$scratch OSBUILD_BINARY=$osbuild OSBUILD_TREE_TIMES=$tree_times \
		unshare --mount --propagation private -- "$0" "$file" "$rounds"
	exit
fi
cd "$OSBUILD_BENCH_SCRATCH"
truncate -s 16G disk
mkfs.ext4 -q -F disk
mkdir fs
mount -o loop disk fs
cd fs

milliseconds() { # runs the rest, prints its wall time
	local start end
	start=$(date +%s%N)
	"$@" >/dev/null
	end=$(date +%s%N)
	echo $(((end - start) / 1000000))
}

# Files of the sizes that an operating system has: most are small, few are large.
make_tree() {
	python3 - "$1" <<-'END'
		import os, random, sys
		random.seed(1)
		block = random.randbytes(4 << 20)
		top = sys.argv[1]
		for folder in range(8000):
		    path = f"{top}/usr/{folder % 100}/{folder}"
		    os.makedirs(path)
		    for number in range(9):
		        size = min(int(random.paretovariate(0.75) * 600), 4 << 20)
		        with open(f"{path}/{number}", "wb") as file:
		            file.write(block[:size])
	END
}
tree_round() {
	make_tree tree
	sync
	local copy remove
	copy=$(milliseconds cp -a tree copy)
	sync
	remove=$(milliseconds rm -rf copy)
	echo "entries $(find tree | wc -l), $(du -sm tree | cut -f1) MB; cp -a $copy ms, rm -rf $remove ms"
	"$tree_times" store "$PWD/tree" | while read -r what micros; do
		case $what in
		remove) peer=$remove ;;
		*) peer=$copy ;;
		esac
		echo "$what: $(echo "scale=1; $micros / 1000" | bc) ms, ratio $(echo "scale=4; $micros / 1000 / $peer" | bc)"
	done
	rm -rf --one-file-system store
}
build_round() {
	rm -rf --one-file-system trees out
	local first again
	# Downloads are not measured.
	[ -d downloads ] || {
		"$osbuild" build "$file" --store downloads --output out --quiet
		rm -rf --one-file-system downloads/steps downloads/objects out
	}
	cp -a downloads trees
	first=$(milliseconds "$osbuild" build "$file" --store trees --output out --quiet)
	rm -rf --one-file-system out
	again=$(milliseconds "$osbuild" build "$file" --store trees --output out --quiet)
	echo "first build $first ms, nothing changed $again ms, ratio $(echo "scale=4; $again / $first" | bc)"
}
for ((round = 1; round <= rounds; round++)); do
	[ "${OSBUILD_BENCH_TREE_ONLY:-}" = 1 ] || build_round
	tree_round
done
