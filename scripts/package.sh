#!/usr/bin/env bash
# Packages a program that was built: `package.sh deb|rpm BINARY VERSION`. The package goes to target/packages.
# PACKAGES names another directory.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=$1
binary=$(realpath "$2")
version=$3
if ! [ -x "$binary" ]; then
	echo "package.sh: $binary is not there; run \`make build\` first" >&2
	exit 1
fi
packages=${PACKAGES:-$PWD/target/packages}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$packages"

# The files of the last commit, without what is not to be packaged. What `git archive` exported has no commits and is all
# there is, also when it lies in someone else's repository.
files=(Makefile Cargo.toml LICENSE README.md CHANGELOG.md docs packaging)
source=$work/osbuild-$version
mkdir "$source"
# The times in packages are those of the commit: the same commit and program give the same package.
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$PWD" ]; then
	git archive HEAD "${files[@]}" | tar -xf - -C "$source"
	SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
else
	tar -cf - "${files[@]}" | tar -xf - -C "$source"
	# In an export, every file has the time of the commit.
	SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(stat -c %Y CHANGELOG.md)}
fi
export SOURCE_DATE_EPOCH

case $kind in
deb)
	cp -a "$source/packaging/debian" "$source/debian"
	cat >"$source/debian/changelog" <<-END
		osbuild ($version-1) unstable; urgency=medium

		  * See CHANGELOG.md.

		 -- The osbuild developers <osbuild@example.org>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
	END
	cd "$source"
	OSBUILD_BINARY=$binary PACKAGES=$packages fakeroot debian/rules binary
	;;
rpm)
	tar -C "$work" -czf "$work/osbuild-$version.tar.gz" "osbuild-$version"
	rpmbuild -bb --quiet \
		--define "_topdir $work/rpm" --define "_sourcedir $work" --define "_rpmdir $packages" \
		--define "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
		--define "osbuild_version $version" --define "osbuild_binary $binary" \
		--nodeps packaging/osbuild.spec
	;;
*)
	echo "package.sh: unknown kind of package '$kind'; use 'deb' or 'rpm'" >&2
	exit 2
	;;
esac
echo "wrote $(find "$packages" -newer "$source" -name "osbuild*.$kind")"
