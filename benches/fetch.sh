#!/usr/bin/env bash
# Downloads: 500 files of the sizes that packages have, 1.1 GB, from a server on the loopback interface that waits 20 ms
# before each answer; ours, with checksums, beside `curl --parallel --parallel-max 50`, without, and beside upstream's
# source, with, if an upstream checkout is in OSBUILD_UPSTREAM. All write to a tmpfs. The time that the checksums alone take
# on all processors is told, too: nobody who checks them can be faster.
#
#   benches/fetch.sh [ROUNDS]        (root; OSBUILD_BINARY names the program, else a release build is made and taken)
set -euo pipefail

rounds=${1:-3}
target=${CARGO_TARGET_DIR:-target}/$(cargo -vV | sed -n 's/^host: //p')/release
here=$(dirname "$(realpath "$0")")

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
mount -t tmpfs -o size=4G bench "$OSBUILD_BENCH_SCRATCH"
cd "$OSBUILD_BENCH_SCRATCH"
mkdir files

milliseconds() { # runs the rest, prints its wall time
	local start end
	start=$(date +%s%N)
	"$@" >/dev/null
	end=$(date +%s%N)
	echo $(((end - start) / 1000000))
}
ratio() {
	echo "scale=2; $1 / $2" | bc
}

coproc server { exec python3 "$here/delayed_server.py" files 20; }
read -r port <&"${server[0]}"
# The server stops when its standard input ends.
python3 - "$port" <<'END'
import hashlib, json, random, sys
random.seed(1)
sizes = [random.paretovariate(0.8) * 60_000 for _ in range(500)]
sizes = [min(size, 40_000_000) for size in sizes]
scale = 1_100_000_000 / sum(sizes)
block = random.randbytes(1 << 20)
items, curl = {}, []
for number, size in enumerate(sizes):
    content = number.to_bytes(4, "big") + block * (int(size * scale) // len(block) + 1)
    content = content[: int(size * scale)]
    with open(f"files/{number}.rpm", "wb") as file:
        file.write(content)
    url = f"http://127.0.0.1:{sys.argv[1]}/{number}.rpm"
    items["sha256:" + hashlib.sha256(content).hexdigest()] = url
    curl.append(f'url = "{url}"\noutput = "curl/{number}.rpm"\n')
manifest = {"version": "2", "pipelines": [], "sources": {"org.osbuild.curl": {"items": items}}}
json.dump(manifest, open("manifest.json", "w"))
open("curl.config", "w").write("".join(curl))
END

checksums() {
	find files -name '*.rpm' -print0 | xargs -0 -P "$(nproc)" -n 16 sha256sum
}

echo "500 files, $(du -sm files | cut -f1) MB"
for ((round = 1; round <= rounds; round++)); do
	rm -rf --one-file-system store
	ours=$(milliseconds "$osbuild" manifest.json --store store)
	[ "$(find store/sources -type f | wc -l)" = 500 ] || { echo "ours fetched something else" >&2; exit 1; }
	rm -rf --one-file-system store
	mkdir curl
	curl=$(milliseconds curl --no-progress-meter --fail --parallel --parallel-max 50 --config curl.config)
	[ "$(find curl -type f | wc -l)" = 500 ] || { echo "curl fetched something else" >&2; exit 1; }
	rm -rf --one-file-system curl
	checksums=$(milliseconds checksums)
	line="osbuild $ours ms; checksums alone $checksums ms; curl $curl ms, ratio $(ratio "$ours" "$curl")"
	if [ -n "${OSBUILD_UPSTREAM:-}" ]; then
		upstream=$(PYTHONPATH=$OSBUILD_UPSTREAM milliseconds "${UPSTREAM_PYTHON:-python3}" -P -m osbuild manifest.json \
			--libdir "$OSBUILD_UPSTREAM" --store store)
		rm -rf --one-file-system store
		line+="; upstream $upstream ms, ratio $(ratio "$ours" "$upstream")"
	fi
	echo "$line"
done
