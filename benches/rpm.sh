#!/usr/bin/env bash
# Installs a set of RPM packages (made by rpm-set.py) with org.osbuild.rpm: upstream's engine and stage, and ours, in
# turn in each round, from nothing to the exported tree; fetching the packages from the disk is part of it. The trees
# and what the two rpm databases say of the packages have to be equal. Prints wall and processor times, and ours as a part
# of upstream's: on a shared machine, the second is the steadier one.
#
#   OSBUILD_UPSTREAM=CHECKOUT benches/rpm.sh DIRECTORY [ROUNDS]        (root; packages: rpm curl)
#
# DIRECTORY holds the packages. OSBUILD_UPSTREAM_PYTHON names the Python that upstream's engine runs on, one with
# jsonschema; default: python3.
set -euo pipefail

packages=$(realpath "$1")
rounds=${2:-3}
python=${OSBUILD_UPSTREAM_PYTHON:-python3}
checkout=$(realpath "${OSBUILD_UPSTREAM:?set OSBUILD_UPSTREAM to a checkout of upstream osbuild}")
osbuild=$(realpath "${OSBUILD_BINARY:-target/$(cargo -vV | sed -n 's/^host: //p')/release/osbuild}")

if [ "${OSBUILD_BENCH_INSIDE:-}" != 1 ]; then
	scratch=$(mktemp -d /var/tmp/osbuild-bench.XXXXXX)
	trap 'rm -rf --one-file-system "$scratch"' EXIT
	OSBUILD_BENCH_INSIDE=1 OSBUILD_BENCH_SCRATCH=$scratch OSBUILD_BINARY=$osbuild \
		unshare --mount --propagation private -- "$0" "$packages" "$rounds"
	exit
fi
cd "$OSBUILD_BENCH_SCRATCH"
truncate -s 12G disk
mkfs.ext4 -q -F disk
mkdir fs
mount -o loop disk fs
cd fs

python3 - "$packages" >image.json <<'END'
import hashlib, json, pathlib, sys
items = {}
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.rpm")):
    items["sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()] = {"url": f"file://{file}"}
inputs = {"packages": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": list(items)}}
print(json.dumps({
    "version": "2",
    "pipelines": [{"name": "tree", "stages": [
        {"type": "org.osbuild.rpm", "inputs": inputs, "options": {"dbpath": "/usr/lib/sysimage/rpm"}}]}],
    "sources": {"org.osbuild.curl": {"items": items}},
}))
END

# Processes of a sandbox are not counted with those that started it: a control group counts them all.
if [ -d /sys/fs/cgroup/cpuacct ]; then
	group=/sys/fs/cgroup/cpuacct/osbuild-bench
	used() { echo $(($(<"$group/cpuacct.usage") / 1000000)); }
else
	group=/sys/fs/cgroup/osbuild-bench
	used() { awk '$1 == "usage_usec" { print int($2 / 1000) }' "$group/cpu.stat"; }
fi
group+=.$$
mkdir "$group"
trap 'rmdir "$group"' EXIT

measure() { # KIND COMMAND…: runs it on a store of its own, prints its wall and its processor time in milliseconds
	local kind=$1 start end before
	shift
	rm -rf --one-file-system store "$kind"
	# What the round before left to be written must not be waited for in this one.
	sync
	before=$(used)
	start=$(date +%s%N)
	(
		echo "$BASHPID" >"$group/cgroup.procs"
		exec "$@" image.json --store store --export tree --output-directory "$kind"
	) >"$kind.log" 2>&1 || {
		tail -n 20 "$kind.log" >&2
		exit 1
	}
	end=$(date +%s%N)
	echo $(((end - start) / 1000000)) $(($(used) - before))
}
# Everything but times of directories and of the machine-id, which the stage itself writes, and the files of the
# database, which hold the time of the installation.
listing() {
	(cd "$1/tree" && find . -path ./usr/lib/sysimage/rpm -prune -o -printf '%P %y %m %U %G %l\n' | sort &&
		find . -path ./usr/lib/sysimage/rpm -prune -o -type f ! -path ./etc/machine-id -printf '%P %T@\n' | sort &&
		find . -path ./usr/lib/sysimage/rpm -prune -o -type f -print0 | sort -z | xargs -0 sha256sum)
}
# What the database says of each package and file: identity, checksums, and the state of files.
database() {
	rpm --root "$PWD/$1/tree" --dbpath /usr/lib/sysimage/rpm -qa --qf \
		'%{NEVRA} %{SHA256HEADER} %{SIGMD5} %{INSTALLCOLOR}\n[%{=NAME} %{FILENAMES} %{FILESTATES}\n]' | sort
}

for ((round = 1; round <= rounds; round++)); do
	read -r wall processor < <(PYTHONPATH=$checkout measure upstream unshare --mount --propagation private -- \
		"$python" -P -m osbuild --libdir "$checkout")
	read -r our_wall our_processor < <(measure ours "$osbuild")
	for what in listing database; do
		"$what" upstream >upstream.txt
		"$what" ours >ours.txt
		if [ ! -s upstream.txt ] || ! diff upstream.txt ours.txt; then
			echo "rpm.sh: the $what differs" >&2
			exit 1
		fi
	done
	echo "round $round: upstream $wall ms ($processor ms of processors), ours $our_wall ms ($our_processor ms)"
	echo "$our_wall $wall" >>wall
	echo "$our_processor $processor" >>processor
done
ratio() { # FILE: the median of its ratios, with the smallest and the largest
	awk '{ print $1 / $2 }' "$1" | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.3f (%.3f to %.3f)", v[int((NR + 1) / 2)], v[1], v[NR] }'
}
echo "$(find "$packages" -name '*.rpm' | wc -l) packages, of upstream's time: $(ratio wall), goal 0.600;" \
	"of its processor time: $(ratio processor)"
