#!/usr/bin/env bash
# Builds the same packages into a disk image by hand and with osbuild, in turn, and prints the ratio.
#
# By hand, under eatmydata (its best case): mmdebstrap to a tree, mkfs.ext4 -d, GRUB, qemu-img convert,
# with the programs of this machine. With osbuild: the recipe's lock, an empty store but for the
# downloads. Packages are downloaded before anything is timed; both work on one ext4 of its own.
#
#   benches/image.sh [RECIPE] [ROUNDS]        (root; packages: mmdebstrap eatmydata mtools e2fsprogs
#                                              grub-pc-bin grub-common dpkg-dev jq qemu-utils)
set -euo pipefail

recipe=$(realpath "${1:-samples/debian.yaml}")
rounds=${2:-3}
osbuild=$(realpath "${OSBUILD_BINARY:-target/$(cargo -vV | sed -n 's/^host: //p')/release/osbuild}")

for tool in mmdebstrap eatmydata mcopy mkfs.ext4 mkfs.fat sfdisk grub-mkimage dpkg-scanpackages jq qemu-img python3; do
	command -v "$tool" >/dev/null || PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || {
		echo "image.sh: $tool is missing" >&2
		exit 1
	}
done
[ "$(id -u)" = 0 ] || {
	echo "image.sh: must be root" >&2
	exit 1
}

# Everything below happens in a mount namespace of its own: nothing stays mounted, whatever happens.
if [ "${OSBUILD_BENCH_INSIDE:-}" != 1 ]; then
	scratch=$(mktemp -d /var/tmp/osbuild-bench.XXXXXX)
	chmod 755 "$scratch" # apt reads the repository as a user of its own
	trap 'rm -rf --one-file-system "$scratch"' EXIT
	OSBUILD_BENCH_INSIDE=1 OSBUILD_BENCH_SCRATCH=$scratch OSBUILD_BINARY=$osbuild \
		unshare --mount --propagation private -- "$0" "$recipe" "$rounds"
	exit
fi
scratch=$OSBUILD_BENCH_SCRATCH
truncate -s 24G "$scratch/disk"
mkfs.ext4 -q -F "$scratch/disk"
mkdir "$scratch/fs"
mount -o loop "$scratch/disk" "$scratch/fs"
cd "$scratch/fs"

now() { date +%s.%N; }

echo "downloading ..."
cp "$recipe" recipe.yaml
"$osbuild" lock recipe.yaml --store store
"$osbuild" manifest recipe.yaml --store store >manifest.json
"$osbuild" manifest.json --store store --quiet
downloads=store/sources/org.osbuild.files

# A repository of exactly the image's packages, so that apt has nothing to choose and nothing to fetch.
mkdir -p repo
jq -r '.packages.system[] | "\(.sha256) \(.name)_\(.version | gsub(":"; "%3a"))_\(.architecture).deb"' recipe.lock |
	while read -r digest name; do cp "$downloads/sha256:$digest" "repo/$name"; done
(cd repo && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
release=$(jq -r .release recipe.lock)
# mmdebstrap asks apt for the essential packages of this code name.
{
	printf 'Origin: bench\nSuite: %s\nCodename: %s\nArchitectures: amd64 all\nSHA256:\n' "$release" "$release"
	printf ' %s %s Packages\n' "$(sha256sum <repo/Packages | cut -d' ' -f1)" "$(stat -c %s repo/Packages)"
} >repo/Release
packages=$(jq -r '.packages.system[].name' recipe.lock | paste -sd,)
echo "$(jq '.packages.system | length' recipe.lock) packages in the image," \
	"$(jq '.packages.build | length' recipe.lock) in the build root"

by_hand() {
	local work=$1 uuid=a957573a-f432-4bed-a0bc-e541bddf8579 tree=$1/tree
	local phase
	phase=$(now)
	lap() {
		local end
		end=$(now)
		echo "    by hand: $1 $(echo "$end - $phase" | bc) s"
		phase=$end
	}
	# An APT_CONFIG of the caller would reach into the new tree.
	env -u APT_CONFIG eatmydata mmdebstrap --variant=essential --include="$packages" "$release" "$tree" \
		"deb [trusted=yes] copy:$PWD/repo ./" >"$work/mmdebstrap.log" 2>&1 || {
		grep -aE "^(dpkg: error|E:|.*rror processing|.*cannot)" "$work/mmdebstrap.log" | cut -c1-300 >&2
		return 1
	}
	lap mmdebstrap
	local kernel
	kernel=$(basename "$tree"/boot/vmlinuz-* | sed 's/vmlinuz-//')
	echo bench >"$tree/etc/hostname"
	echo "UUID=$uuid / ext4 defaults 0 1" >"$tree/etc/fstab"
	mkdir -p "$work/esp/EFI/BOOT" "$work/esp/EFI/debian" "$tree/boot/grub/i386-pc"
	cp "$tree/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi" "$work/esp/EFI/BOOT/BOOTX64.EFI"
	# shellcheck disable=SC2016 # $root and $prefix are GRUB's
	printf 'search.fs_uuid %s root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' "$uuid" \
		>"$work/esp/EFI/debian/grub.cfg"
	cat >"$tree/boot/grub/grub.cfg" <<-END
		search --no-floppy --fs-uuid --set=root $uuid
		menuentry debian {
		linux /boot/vmlinuz-$kernel root=UUID=$uuid ro console=ttyS0
		initrd /boot/initrd.img-$kernel
		}
	END
	cp "$tree"/usr/lib/grub/i386-pc/*.mod "$tree"/usr/lib/grub/i386-pc/*.lst "$tree/boot/grub/i386-pc/"
	local disk=$work/disk.raw esp=$work/esp.img root_start=135168 size_mib=2048
	truncate -s ${size_mib}M "$disk"
	eatmydata sfdisk -q "$disk" <<-END
		label: gpt
		start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
		start=4096, size=131072, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
		start=$root_start, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
	END
	truncate -s 64M "$esp"
	eatmydata mkfs.fat -F 32 "$esp" >/dev/null
	eatmydata mcopy -s -i "$esp" "$work/esp/EFI" ::/
	dd if="$esp" of="$disk" bs=1M seek=2 conv=notrunc,sparse status=none
	lap "boot files and partitions"
	eatmydata mkfs.ext4 -q -F -d "$tree" -U "$uuid" -E offset=$((root_start * 512)) "$disk" $((size_mib - 67))M
	lap mkfs.ext4
	grub-mkimage -d "$tree/usr/lib/grub/i386-pc" -p "(,gpt3)/boot/grub" -O i386-pc -o "$work/core.img" \
		biosdisk part_gpt ext2
	python3 - "$disk" "$work/core.img" "$tree/usr/lib/grub/i386-pc/boot.img" <<-'END'
		import struct, sys
		disk, core, boot = sys.argv[1:]
		with open(disk, "r+b") as out:
		    out.write(open(boot, "rb").read()[:440])
		    out.seek(0x5c); out.write(struct.pack("<Q", 2048))
		    out.seek(2048 * 512); out.write(open(core, "rb").read())
		    out.seek(2048 * 512 + 500); out.write(struct.pack("<Q", 2049))
	END
	eatmydata qemu-img convert -O qcow2 "$disk" "$work/disk.qcow2"
	lap "grub and qemu-img"
}

hand=() ours=()
for ((round = 1; round <= rounds; round++)); do
	echo "round $round"
	mkdir hand
	start=$(now)
	by_hand "$PWD/hand"
	hand+=("$(echo "$(now) - $start" | bc)")
	rm -rf --one-file-system hand
	sync

	# A store with the downloads and nothing else.
	mkdir -p fresh
	cp -al store/sources fresh/sources
	start=$(now)
	"$osbuild" build recipe.yaml --store fresh --output out 2>ours.log || {
		cat ours.log >&2
		exit 1
	}
	ours+=("$(echo "$(now) - $start" | bc)")
	sed 's/^/    osbuild: /' ours.log
	rm -rf --one-file-system fresh out
	sync
	echo "  by hand ${hand[-1]} s, osbuild ${ours[-1]} s"
done

python3 - "${hand[*]}" "${ours[*]}" <<'END'
import statistics, sys
hand, ours = ([float(x) for x in arg.split()] for arg in sys.argv[1:])
def line(name, xs):
    print(f"{name}: median {statistics.median(xs):.1f} s, from {min(xs):.1f} to {max(xs):.1f} s")
line("by hand", hand); line("osbuild", ours)
ratios = [o / h for o, h in zip(ours, hand)]
print(f"ratio osbuild / by hand: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")
END
