#!/usr/bin/env bash
# Installs one list of packages twice, with mmdebstrap (under eatmydata, its best case) and with org.osbuild.deb, and
# compares the trees; tells how long each took. Differences that docs/deb-stage.md explains are marked as known, any
# other one makes the script fail.
#
#   benches/deb-compare.sh [LIST] [ROUNDS] [CACHE]
#       (root; packages: mmdebstrap eatmydata dpkg-dev apt python3)
#
# LIST has one package name per line; essential packages come along. The release and its mirrors are those of the
# machine's own apt sources in deb822 format. CACHE (default /var/cache/osbuild-deb-compare) keeps the downloads.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
list=$(realpath "${1:-$here/deb-compare.list}")
rounds=${2:-3}
cache=$(realpath -m "${3:-/var/cache/osbuild-deb-compare}")
osbuild=$(realpath "${OSBUILD_BINARY:-$here/../target/$(cargo -vV | sed -n 's/^host: //p')/release/osbuild}")

for tool in mmdebstrap eatmydata dpkg-scanpackages apt-get python3 unshare; do
	command -v "$tool" >/dev/null || {
		echo "deb-compare.sh: $tool is missing" >&2
		exit 1
	}
done
[ "$(id -u)" = 0 ] || {
	echo "deb-compare.sh: must be root" >&2
	exit 1
}
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mapfile -t names < <(grep -v '^ *\(#\|$\)' "$list")

# An apt of its own that knows this machine's sources and believes that nothing is installed.
mkdir -p "$cache/apt/etc/apt/"{preferences.d,apt.conf.d,sources.list.d} "$cache/apt/var/lib/apt/lists/partial" \
	"$cache/apt/var/cache/apt/archives/partial" "$cache/apt/var/lib/dpkg" "$cache/repository"
: >"$cache/apt/var/lib/dpkg/status"
cp /etc/apt/sources.list.d/debian.sources "$cache/apt/etc/apt/sources.list.d/"
cat >"$cache/apt.conf" <<END
Dir "$cache/apt";
Dir::State::status "$cache/apt/var/lib/dpkg/status";
Dir::Etc::TrustedParts "/etc/apt/trusted.gpg.d";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
END
export APT_CONFIG=$cache/apt.conf
[ -n "$(ls "$cache/apt/var/lib/apt/lists/"*Packages* 2>/dev/null)" ] || apt-get -qq update
apt-get -qq -y --download-only install '?essential' "${names[@]}" >/dev/null
wanted=$(apt-get -s install '?essential' "${names[@]}" | sed -n 's/^Inst \([^ ]*\) .*/\1/p' | sort)
rm -f "$cache/repository/"*
for package in $wanted; do
	ln "$cache/apt/var/cache/apt/archives/${package%%:*}"_*.deb "$cache/repository/"
done
unset APT_CONFIG
(
	cd "$cache/repository"
	dpkg-scanpackages --multiversion . >Packages 2>/dev/null
	printf 'Suite: %s\nCodename: %s\nSHA256:\n %s %s Packages\n' "$release" "$release" \
		"$(sha256sum Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >Release
)
echo "$(wc -w <<<"$wanted") packages, $(du -shL "$cache/repository" | cut -f1) of archives"

# Mounts below happen in a namespace of its own, on memory: nothing stays.
export cache names release osbuild rounds here
export include=${wanted//$'\n'/,}
unshare --mount --propagation private bash -euo pipefail <<'INSIDE'
scratch=$(mktemp -d)
mount -t tmpfs -o size=80% tmpfs "$scratch"
mkdir "$scratch/run" && mount --bind "$scratch/run" /run
mkdir -p /run/osbuild/{api,bin,inputs,mounts}
ln -s "$osbuild" /run/osbuild/bin/org.osbuild.deb
python3 - "$cache/repository" "$scratch/ours" >/run/osbuild/api/arguments <<'END'
import json, os, sys
repository, tree = sys.argv[1:]
files = {name: {} for name in os.listdir(repository) if name.endswith(".deb")}
print(json.dumps({
    "tree": tree,
    "paths": {"devices": "/dev", "inputs": "/run/osbuild/inputs", "mounts": "/run/osbuild/mounts"},
    "inputs": {"packages": {"path": repository, "data": {"files": files}}},
}))
END
seconds() { printf '%s: %.1f s\n' "$1" "$(echo "$(date +%s.%N) - $2" | bc)"; }
for ((round = 1; round <= rounds; round++)); do
	rm -rf --one-file-system "$scratch/ours" "$scratch/mmdebstrap"
	mkdir "$scratch/ours"
	start=$(date +%s.%N)
	eatmydata mmdebstrap --quiet --variant=essential --include="$include" "$release" "$scratch/mmdebstrap" \
		"deb [trusted=yes] copy:$cache/repository ./" >"$scratch/mmdebstrap.log" 2>&1 || {
		tail -n 30 "$scratch/mmdebstrap.log" >&2
		exit 1
	}
	seconds "round $round, mmdebstrap" "$start"
	start=$(date +%s.%N)
	(cd / && unshare --net --pid --fork --mount env -i PATH=/usr/sbin:/usr/bin LC_CTYPE=C.UTF-8 \
		/run/osbuild/bin/org.osbuild.deb) >"$scratch/ours.log" 2>&1 || {
		tail -n 30 "$scratch/ours.log" >&2
		exit 1
	}
	seconds "round $round, org.osbuild.deb" "$start"
	grep '^\[' "$scratch/ours.log" | sed 's/^/    /'
done
python3 "$here/deb-compare.py" --expected "$here/deb-compare.expected" "$scratch/mmdebstrap" "$scratch/ours"
INSIDE
