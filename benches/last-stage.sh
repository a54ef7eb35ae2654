#!/usr/bin/env bash
# What it costs to build again after the last stage of a tree was changed: a tree of 500 MB in 27 000 entries, unpacked by
# the first stage, then stages that write configuration files. Upstream's engine and modules with every stage
# checkpointed, `osbuild build`, which keeps results unasked, and ours with upstream's command line, whose checkpoints are
# whole trees, in turn in each round: once with the changed file alone as what is exported (a pipeline that copies it), and
# once with the whole tree.
#
#   OSBUILD_UPSTREAM=CHECKOUT benches/last-stage.sh [ROUNDS]        (root)
#
# OSBUILD_UPSTREAM_PYTHON names the Python that upstream's engine runs on, one with jsonschema; default: python3.
# OSBUILD_BINARY names the program, else a release build is made and taken.
set -euo pipefail

rounds=${1:-3}
python=${OSBUILD_UPSTREAM_PYTHON:-python3}
checkout=$(realpath "${OSBUILD_UPSTREAM:?set OSBUILD_UPSTREAM to a checkout of upstream osbuild}")
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
truncate -s 30G disk
mkfs.ext4 -q -F disk
mkdir fs
mount -o loop disk fs
cd fs

# Files of the sizes that an operating system has: most are small, few are large.
python3 - <<-'END'
	import io, random, tarfile
	random.seed(1)
	block = random.randbytes(4 << 20)
	with tarfile.open("tree.tar", "w") as archive:
	    for folder in range(2700):
	        path = f"usr/{folder % 100}/{folder}"
	        entry = tarfile.TarInfo(path)
	        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
	        archive.addfile(entry)
	        for number in range(9):
	            entry = tarfile.TarInfo(f"{path}/{number}")
	            entry.size = min(int(random.paretovariate(0.75) * 600), 4 << 20)
	            archive.addfile(entry, io.BytesIO(block[:entry.size]))
END
digest=sha256:$(sha256sum tree.tar | cut -d' ' -f1)
manifest() { # NUMBER, which the last stage writes
	python3 - "$digest" "$PWD/tree.tar" "$1" <<-'END'
		import json, sys
		digest, path, number = sys.argv[1:]
		files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [digest]}
		folder = {"path": "/usr/lib/sysctl.d", "parents": True}
		stages = [{"type": "org.osbuild.untar", "inputs": {"file": files}},
		          {"type": "org.osbuild.mkdir", "options": {"paths": [folder]}}]
		for name, value in [("one", "1"), ("two", "2"), ("last", number)]:
		    config = [{"key": "vm.swappiness", "value": value}]
		    stages.append({"type": "org.osbuild.sysctld", "options": {"filename": f"{name}.conf", "config": config}})
		sources = {"org.osbuild.curl": {"items": {digest: f"file://{path}"}}}
		tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:tree"]}
		last = {"from": "input://tree/usr/lib/sysctl.d/last.conf", "to": "tree:///last.conf"}
		copy = {"type": "org.osbuild.copy", "inputs": {"tree": tree}, "options": {"paths": [last]}}
		pipelines = [{"name": "tree", "stages": stages}, {"name": "file", "stages": [copy]}]
		print(json.dumps({"version": "2", "pipelines": pipelines, "sources": sources}))
	END
}
checkpoint=(--checkpoint '*' --cache-max-size unlimited)
upstream() { # EXPORT
	PYTHONPATH=$checkout "$python" -P -m osbuild image.json --libdir "$checkout" --store upstream "${checkpoint[@]}" \
		--export "$1" --output-directory upstream.out
}
built() { "$osbuild" build image.json --store built --export "$1" --output built.out; }
checkpointed() {
	"$osbuild" image.json --store checkpointed "${checkpoint[@]}" --export "$1" --output-directory checkpointed.out
}
milliseconds() { # COMMAND…: prints its wall time
	local start end
	start=$(date +%s%N)
	"$@" >log 2>&1 || {
		tail -n 40 log >&2
		exit 1
	}
	end=$(date +%s%N)
	echo $(((end - start) / 1000000))
}
spread() { # of numbers, one a line: the middle, the least and the greatest
	sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.3f (%.3f to %.3f)\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

build() { # KIND EXPORT: prints the wall time
	rm -rf --one-file-system "$1.out"
	sync
	milliseconds "$@"
}

manifest 0 >image.json
for kind in upstream built checkpointed; do
	echo "first build, $kind: $(build "$kind" file) ms"
done
for ((round = 1; round <= rounds; round++)); do
	for what in file tree; do
		manifest "$round.$what" >image.json
		theirs=$(build upstream "$what")
		echo "round $round, $what exported: upstream $theirs ms"
		for kind in built checkpointed; do
			own=$(build "$kind" "$what")
			# `osbuild build` puts what it exports alone into the folder itself.
			[ "$kind" = built ] && same=built.out || same=checkpointed.out/$what
			diff -r --no-dereference "upstream.out/$what" "$same"
			echo "round $round, $what exported: $kind $own ms"
			echo "scale=4; $own / $theirs" | bc >>"$kind.$what.ratios"
		done
	done
done
for what in file tree; do
	for kind in built checkpointed; do
		echo "last stage changed, $what exported, $kind, of upstream's time: $(spread "$kind.$what.ratios")"
	done
done
echo "goal 0.100"
