#!/usr/bin/env bash
# Boots a disk image in QEMU and shows its serial console: `boot-image.sh IMAGE [bios|uefi]`.
# On a terminal the machine stays; elsewhere it ends when the login prompt is there.
# The image is not written to.
set -euo pipefail

image=${1:?usage: boot-image.sh IMAGE [bios|uefi]}
firmware=${2:-bios}
patience=${BOOT_PATIENCE:-300}

arguments=(
	-m 1024 -nographic -no-reboot
	-drive "file=$image,if=virtio,snapshot=on"
	-device virtio-rng-pci
	-nic "user,model=virtio-net-pci"
)
case $firmware in
bios) ;;
uefi)
	code=
	for candidate in /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_CODE.fd; do
		if [ -e "$candidate" ]; then code=$candidate && break; fi
	done
	if [ -z "$code" ]; then
		echo "boot-image.sh: no UEFI firmware here; install the package ovmf (Fedora: edk2-ovmf)" >&2
		exit 1
	fi
	arguments+=(-drive "if=pflash,format=raw,readonly=on,file=$code")
	;;
*)
	echo "boot-image.sh: unknown firmware '$firmware'; use 'bios' or 'uefi'" >&2
	exit 2
	;;
esac

# /dev/kvm can exist and yet hang every guest, so it is used on request only.
if [ "${OSBUILD_KVM:-0}" = 1 ]; then
	arguments+=(-accel kvm -smp 2)
else
	# One processor: Linux 6.12 hangs or crashes under QEMU 7.2's TCG with more.
	arguments+=(-accel tcg -smp 1)
fi

if [ -t 0 ] && [ -t 1 ]; then
	echo "booting $image ($firmware); leave with Ctrl-a x"
	exec qemu-system-x86_64 "${arguments[@]}"
fi

log=$(mktemp)
qemu-system-x86_64 "${arguments[@]}" </dev/null >"$log" 2>&1 &
machine=$!
trap 'exit 143' TERM
trap 'exit 130' INT
trap 'kill "$machine" 2>/dev/null || true; wait "$machine" 2>/dev/null || true; rm -f "$log"' EXIT
for ((second = 0; second < patience; second++)); do
	if grep -aq 'login:' "$log"; then
		cat "$log"
		echo
		echo "boot-image.sh: login prompt after $second s"
		exit 0
	fi
	if ! kill -0 "$machine" 2>/dev/null; then
		cat "$log"
		echo "boot-image.sh: the machine ended before the login prompt" >&2
		exit 1
	fi
	sleep 1
done
cat "$log"
echo "boot-image.sh: no login prompt within $patience s" >&2
exit 1
