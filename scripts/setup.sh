#!/usr/bin/env bash
# Installs what osbuild needs on this machine: `setup.sh demo` for building and booting an image,
# `setup.sh check` for the tests as well. Does nothing where everything is present.
set -euo pipefail

purpose=${1:-demo}
case $purpose in
demo | check) ;;
*)
	echo "setup.sh: unknown purpose '$purpose'; use 'demo' or 'check'" >&2
	exit 2
	;;
esac

if ! command -v cargo >/dev/null; then
	echo "setup.sh: cargo is missing; install Rust 1.95 or newer (see the README)" >&2
	exit 1
fi

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Each line: what proves it is there, the Debian package, the Fedora package.
demo_needs="
cc gcc gcc
make make make
bwrap bubblewrap bubblewrap
qemu-system-x86_64 qemu-system-x86 qemu-system-x86-core
qemu-img qemu-utils qemu-img
/usr/share/OVMF/OVMF_CODE*.fd ovmf edk2-ovmf
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring debian-keyring
"
check_needs="$demo_needs
shellcheck shellcheck ShellCheck
mkfs.ext4 e2fsprogs e2fsprogs
mkfs.xfs xfsprogs xfsprogs
mkfs.btrfs btrfs-progs btrfs-progs
mkfs.fat dosfstools dosfstools
mcopy mtools mtools
sfdisk fdisk util-linux
sgdisk gdisk gdisk
grub-mkimage grub-common grub2-tools
/usr/lib/grub/i386-pc/boot.img grub-pc-bin grub2-pc-modules
mksquashfs squashfs-tools squashfs-tools
mkfs.erofs erofs-utils erofs-utils
bzip2 bzip2 bzip2
xz xz-utils xz
zstd zstd zstd
strace strace strace
systemctl systemd systemd
rpm rpm rpm
rpmbuild rpm rpm-build
rpmsign rpm rpm-sign
dh debhelper debhelper
fakeroot fakeroot fakeroot
script bsdutils util-linux-script
gpg gpg gnupg2
createrepo_c createrepo-c createrepo_c
dnf dnf dnf
python3 python3 python3
"

needs=$demo_needs
[ "$purpose" = check ] && needs=$check_needs

present() {
	case $1 in
	/*) compgen -G "$1" >/dev/null ;;
	*) command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ;;
	esac
}

debian=()
fedora=()
while read -r proof debian_package fedora_package; do
	[ -n "$proof" ] || continue
	if ! present "$proof"; then
		debian+=("$debian_package")
		fedora+=("$fedora_package")
	fi
done <<<"$needs"

if [ ${#debian[@]} = 0 ]; then
	exit 0
fi

if command -v apt-get >/dev/null; then
	echo "setup.sh: installing ${debian[*]}"
	export DEBIAN_FRONTEND=noninteractive
	as_root apt-get update -q
	if ! as_root apt-get install -qy --no-install-recommends "${debian[@]}"; then
		# A qemu-utils from backports conflicts with the release's emulator: both must come from
		# one release, the one that apt prefers.
		version=$(apt-cache madison qemu-utils | awk 'NR == 1 { print $3 }')
		as_root apt-get install -qy --no-install-recommends --allow-downgrades \
			"${debian[@]}" "qemu-utils=$version"
	fi
elif command -v dnf >/dev/null; then
	echo "setup.sh: installing ${fedora[*]}"
	as_root dnf install -y "${fedora[@]}"
else
	echo "setup.sh: no apt-get or dnf here; install these by hand: ${debian[*]}" >&2
	exit 1
fi
