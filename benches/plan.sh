#!/usr/bin/env bash
# What a build costs before its first stage: `osbuild explain`, which reads, checks, resolves and plans, for a pipeline of
# 10, 100, 1000 and 10000 stages that do nothing, on an empty store.
#
#   benches/plan.sh [ROUNDS]        (root; OSBUILD_BINARY names the program, else a release build is made and taken)
set -euo pipefail

rounds=${1:-3}
target=${CARGO_TARGET_DIR:-target}/$(cargo -vV | sed -n 's/^host: //p')/release
[ -n "${OSBUILD_BINARY:-}" ] || cargo build --quiet --release -p osbuild
osbuild=$(realpath "${OSBUILD_BINARY:-$target/osbuild}")
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
cd "$scratch"

earlier=0 earlier_stages=0
for stages in 10 100 1000 10000; do
	python3 - "$stages" >manifest.json <<-'PYTHON'
		import json, sys
		stages = [{"type": "org.osbuild.noop", "options": {"number": n}} for n in range(int(sys.argv[1]))]
		print(json.dumps({"version": "2", "pipelines": [{"name": "tree", "stages": stages}]}))
	PYTHON
	# Makes the store, and builds nothing.
	"$osbuild" manifest.json --store store --quiet
	best=
	for ((round = 1; round <= rounds; round++)); do
		start=$(date +%s%N)
		"$osbuild" explain manifest.json --store store >explained
		end=$(date +%s%N)
		spent=$(((end - start) / 1000))
		[ -n "$best" ] && [ "$best" -le "$spent" ] || best=$spent
	done
	[ "$(grep -c noop explained)" -ge "$stages" ] || { echo "not every stage was explained" >&2; exit 1; }
	line="$stages stages: $((best / 1000)) ms"
	if [ "$earlier" != 0 ]; then
		line+=", $(((best - earlier) / (stages - earlier_stages))) us for each further one"
	fi
	echo "$line"
	earlier=$best earlier_stages=$stages
done
