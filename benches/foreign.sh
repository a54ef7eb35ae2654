#!/usr/bin/env bash
# A manifest of many stages that write configuration files, run by upstream's engine with upstream's modules, by ours
# with the same modules (`--libdir`), and by ours with its own, from nothing to the exported tree: in turn each round,
# another first each time, after a round that is not counted; all in one mount namespace. The three trees have to be
# equal. Prints the wall times, and for ours the part of upstream's in each round.
#
#   OSBUILD_UPSTREAM=CHECKOUT benches/foreign.sh [STAGES] [ROUNDS]        (root)
#
# OSBUILD_UPSTREAM_PYTHON names the Python that upstream's engine runs on, one with jsonschema; default: python3.
set -euo pipefail

stages=${1:-50}
rounds=${2:-5}
python=${OSBUILD_UPSTREAM_PYTHON:-python3}
checkout=$(realpath "${OSBUILD_UPSTREAM:?set OSBUILD_UPSTREAM to a checkout of upstream osbuild}")
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

python3 - "$stages" >image.json <<-'END'
	import json, sys
	folders = ["usr/lib/sysctl.d", "usr/lib/modprobe.d", "usr/lib/dracut/dracut.conf.d", "usr/lib/tmpfiles.d"]
	paths = [{"path": f"/{folder}", "parents": True} for folder in folders]
	stages = [{"type": "org.osbuild.mkdir", "options": {"paths": paths}}]
	kinds = [
	    lambda n: ("mkdir", {"paths": [{"path": f"/made-{n}", "mode": 0o700}]}),
	    lambda n: ("sysctld", {"filename": f"{n}.conf", "config": [{"key": "vm.swappiness", "value": str(n)}]}),
	    lambda n: ("modprobe", {"filename": f"{n}.conf", "commands": [{"command": "blacklist", "modulename": f"m{n}"}]}),
	    lambda n: ("dracut.conf", {"filename": f"{n}.conf", "config": {"compress": "xz"}}),
	    lambda n: ("tmpfilesd", {"filename": f"{n}.conf", "config": [{"type": "d", "path": f"/run/d{n}"}]}),
	]
	for n in range(1, int(sys.argv[1])):
	    kind, options = kinds[n % len(kinds)](n)
	    stages.append({"type": f"org.osbuild.{kind}", "options": options})
	print(json.dumps({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]}))
END

milliseconds() { # KIND COMMAND…: runs it on a store of its own, prints its wall time
	local kind=$1 start end
	shift
	rm -rf --one-file-system store "$kind"
	start=$(date +%s%N)
	"$@" image.json --store store --export tree --output-directory "$kind" >"$kind.log" 2>&1 || {
		tail -n 20 "$kind.log" >&2
		exit 1
	}
	end=$(date +%s%N)
	echo $(((end - start) / 1000000))
}
# Everything but times, which are those of the run.
listing() {
	(cd "$1/tree" && find . -printf '%P %y %m %U %G %l\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}
ratio() { echo "scale=4; $1 / $2" | bc; }
spread() { # of numbers, one a line: the middle, the least and the greatest
	sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.3f (%.3f to %.3f)\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

run() { # KIND: prints its wall time
	case $1 in
	upstream) PYTHONPATH=$checkout milliseconds upstream "$python" -P -m osbuild --libdir "$checkout" ;;
	foreign) milliseconds foreign "$osbuild" --libdir "$checkout" ;;
	native) milliseconds native "$osbuild" ;;
	esac
}

kinds=(upstream foreign native)
declare -A time
for ((round = 0; round <= rounds; round++)); do # round 0 fills the caches of the system, and is not counted
	for ((turn = 0; turn < 3; turn++)); do
		kind=${kinds[(round + turn) % 3]}
		time[$kind]=$(run "$kind")
	done
	for kind in foreign native; do
		diff <(listing upstream) <(listing "$kind") || { echo "the tree of $kind is another" >&2; exit 1; }
	done
	label="round $round"
	((round > 0)) || label="warm-up"
	echo "$label: upstream ${time[upstream]} ms, ours with its modules ${time[foreign]} ms, ours ${time[native]} ms"
	if ((round > 0)); then
		ratio "${time[foreign]}" "${time[upstream]}" >>foreign.ratios
		ratio "${time[native]}" "${time[upstream]}" >>native.ratios
	fi
done
echo "$stages stages, upstream's modules, of upstream's time: $(spread foreign.ratios), goal 0.400"
echo "$stages stages, our modules, of upstream's time:        $(spread native.ratios), goal 0.067"
