#!/usr/bin/env bash
# Time and peak memory of `osbuild --inspect` for a manifest of 480 KB.
#
#   benches/inspect.sh [ROUNDS]
set -euo pipefail

rounds=${1:-10}
osbuild=$(realpath "${OSBUILD_BINARY:-target/$(cargo -vV | sed -n 's/^host: //p')/release/osbuild}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

python3 - >"$scratch/manifest.json" <<'END'
import hashlib, json

def digest(n):
    return "sha256:" + hashlib.sha256(str(n).encode()).hexdigest()

packages = [digest(n) for n in range(2000)]
pipelines = [{
    "name": "os",
    "stages": [
        {"type": "org.osbuild.deb",
         "inputs": {"packages": {"type": "org.osbuild.files", "origin": "org.osbuild.source",
                                 "references": packages}}},
        *({"type": "org.osbuild.mkdir", "options": {"paths": [{"path": f"/srv/{n}"}]}} for n in range(200)),
    ],
}]
items = {name: {"url": f"http://mirror.example/pool/main/p/package-{n}/package-{n}_1.2.3-4_amd64.deb"}
         for n, name in enumerate(packages)}
text = json.dumps({"version": "2", "pipelines": pipelines,
                   "sources": {"org.osbuild.curl": {"items": items}}})
assert len(text) > 480_000, len(text)
print(text)
END
echo "manifest: $(stat -c %s "$scratch/manifest.json") bytes"
for ((round = 1; round <= rounds; round++)); do
	start=$(date +%s%N)
	"$osbuild" --inspect "$scratch/manifest.json" >"$scratch/inspected.json"
	end=$(date +%s%N)
	echo "$(((end - start) / 1000)) us"
done | sort -n | awk '{ print } { a[NR] = $1 } END { print "median " a[int((NR + 1) / 2)] " us" }' | tail -n 1
if [ -x /usr/bin/time ]; then
	/usr/bin/time -f 'peak memory %M kB' "$osbuild" --inspect "$scratch/manifest.json" >/dev/null
fi
