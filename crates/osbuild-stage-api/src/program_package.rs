//! Which package brings a program: a stage that misses one says what to add to the build pipeline.

/// Programs that stages call, sorted, with their packages on Debian and Fedora.
const PACKAGES: &[(&str, &str, &str)] = &[
    ("chmod", "coreutils", "coreutils"),
    ("chroot", "coreutils", "coreutils"),
    ("cp", "coreutils", "coreutils"),
    ("cpio", "cpio", "cpio"),
    ("dpkg", "dpkg", "dpkg"),
    ("dracut", "dracut", "dracut"),
    ("groupadd", "passwd", "shadow-utils"),
    ("grub-bios-setup", "grub-pc-bin", "grub2-tools"),
    ("grub-install", "grub2-common", "grub2-tools"),
    ("grub-mkimage", "grub-common", "grub2-tools"),
    ("grub2-mkimage", "grub-common", "grub2-tools"),
    ("ldconfig", "libc-bin", "glibc"),
    ("losetup", "mount", "util-linux-core"),
    ("mcopy", "mtools", "mtools"),
    ("mkfs.btrfs", "btrfs-progs", "btrfs-progs"),
    ("mkfs.erofs", "erofs-utils", "erofs-utils"),
    ("mkfs.ext4", "e2fsprogs", "e2fsprogs"),
    ("mkfs.fat", "dosfstools", "dosfstools"),
    ("mkfs.vfat", "dosfstools", "dosfstools"),
    ("mkfs.xfs", "xfsprogs", "xfsprogs"),
    ("mkhomedir_helper", "libpam-modules-bin", "pam"),
    ("mksquashfs", "squashfs-tools", "squashfs-tools"),
    ("mkswap", "util-linux", "util-linux"),
    ("mmd", "mtools", "mtools"),
    ("mount", "mount", "util-linux-core"),
    ("passwd", "passwd", "shadow-utils"),
    ("qemu-img", "qemu-utils", "qemu-img"),
    ("rpm", "rpm", "rpm"),
    ("rpmkeys", "rpm", "rpm"),
    ("setfiles", "policycoreutils", "policycoreutils"),
    ("sfdisk", "fdisk", "util-linux"),
    ("sgdisk", "gdisk", "gdisk"),
    ("ssh-keygen", "openssh-client", "openssh"),
    ("systemctl", "systemd", "systemd"),
    ("systemd-firstboot", "systemd", "systemd"),
    ("systemd-sysusers", "systemd", "systemd"),
    ("systemd-tmpfiles", "systemd", "systemd"),
    ("tar", "tar", "tar"),
    ("truncate", "coreutils", "coreutils"),
    ("umount", "mount", "util-linux-core"),
    ("update-initramfs", "initramfs-tools", "dracut"),
    ("useradd", "passwd", "shadow-utils"),
    ("usermod", "passwd", "shadow-utils"),
    ("xz", "xz-utils", "xz"),
    ("zstd", "zstd", "zstd"),
];

/// Says which packages bring a program.
pub fn hint(program: &str) -> Option<String> {
    let index = PACKAGES
        .binary_search_by_key(&program, |(name, ..)| name)
        .ok()?;
    let (_, debian, fedora) = PACKAGES[index];
    Some(if debian == fedora {
        format!("package `{debian}` of the build root brings it")
    } else {
        format!("package `{debian}` (Debian) or `{fedora}` (Fedora) of the build root brings it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(PACKAGES.is_sorted_by_key(|(name, ..)| name));
    }

    #[test]
    fn a_hint_names_both_families_where_they_differ() {
        assert_eq!(
            hint("tar").unwrap(),
            "package `tar` of the build root brings it"
        );
        assert_eq!(
            hint("useradd").unwrap(),
            "package `passwd` (Debian) or `shadow-utils` (Fedora) of the build root brings it"
        );
        assert_eq!(hint("unheard-of"), None);
    }
}
