//! Programs that stand in for those of the build root.

/// Programs of a stage that know about roots themselves, or would have nothing to work on.
pub(super) fn stand_ins(stage: &str) -> &'static [&'static str] {
    match stage {
        "org.osbuild.authconfig"
        | "org.osbuild.authselect"
        | "org.osbuild.chown"
        | "org.osbuild.firewall"
        | "org.osbuild.pki.update-ca-trust"
        | "org.osbuild.script"
        | "org.osbuild.update-crypto-policies" => &["chroot"],
        "org.osbuild.clevis.luks-bind" => &["clevis"],
        "org.osbuild.luks2.format" | "org.osbuild.luks2.remove-key" => &["cryptsetup"],
        "org.osbuild.lvm2.create" => &["pvcreate", "vgcreate", "lvcreate"],
        "org.osbuild.mkfs.btrfs" => &["mkfs.btrfs"],
        "org.osbuild.mkfs.ext4" => &["mkfs.ext4"],
        "org.osbuild.mkfs.fat" => &["mkfs.fat"],
        "org.osbuild.mkfs.xfs" => &["mkfs.xfs"],
        "org.osbuild.mkswap" => &["mkswap"],
        "org.osbuild.parted" => &["parted"],
        "org.osbuild.sfdisk" => &["sfdisk"],
        "org.osbuild.sgdisk" => &["sgdisk"],
        "org.osbuild.write-device" => &["dd"],
        "org.osbuild.dmverity" => &["veritysetup"],
        "org.osbuild.dnf4.mark" => &["dnf-3", "rpm"],
        "org.osbuild.experimental.ostree.config"
        | "org.osbuild.ostree.config"
        | "org.osbuild.ostree.init"
        | "org.osbuild.ostree.init-fs"
        | "org.osbuild.ostree.os-init"
        | "org.osbuild.ostree.remotes"
        | "org.osbuild.ostree.sign" => &["ostree"],
        "org.osbuild.groups" => &["groupadd"],
        "org.osbuild.grub2.inst" => &["grub2-mkimage"],
        "org.osbuild.implantisomd5" => &["implantisomd5"],
        "org.osbuild.rpmkeys.import" => &["rpmkeys", "rpm"],
        "org.osbuild.chattr" => &["chattr"],
        "org.osbuild.dracut" => &["chroot", "mount", "umount"],
        "org.osbuild.hmac" => &["sha256hmac"],
        "org.osbuild.oscap.autotailor" => &["autotailor"],
        "org.osbuild.cpio.out" => &["cpio"],
        "org.osbuild.erofs" => &["mkfs.erofs"],
        "org.osbuild.mks390image" => &["mk-s390image"],
        "org.osbuild.selinux" => &["setfiles"],
        "org.osbuild.squashfs" => &["mksquashfs"],
        "org.osbuild.systemd-repart.create" => &["systemd-repart", "mount", "umount"],
        "org.osbuild.users" => &["usermod"],
        "org.osbuild.xorrisofs" => &["xorrisofs"],
        _ => &[],
    }
}

/// What a stand-in does: a program that goes where it is told, and follows links there, tells whether the stage has
/// looked at them before.
pub(super) fn script(program: &str) -> &'static str {
    match program {
        // Programs that are given something to read.
        "cryptsetup" | "clevis" => "cat >/dev/null",
        "sfdisk" => {
            r#"if [ "$1" = --json ]; then echo '{"partitiontable": {"partitions": [{}]}}'; else cat >/dev/null; fi"#
        }
        "implantisomd5" => r#"echo changed >>"$1""#,
        "veritysetup" => r#"for file; do :; done; echo changed >>"$file""#,
        "grub2-mkimage" => r#"while [ "$1" != --output ]; do shift; done; printf %01024d 0 >"$2""#,
        "ostree" => {
            r#"for word; do case $word in
                --mode=*) is_new=yes;;
                --repo=*)
                    repo="${word#--repo=}"
                    [ -z "$is_new" ] || mkdir -p "$repo/objects" "$repo/tmp/cache"
                    echo x >>"$repo/config";;
                --sysroot=*)
                    cd "${word#--sysroot=}" && mkdir -p boot/loader ostree/repo/tmp ostree/deploy/x/var/lib
                    for file in boot/x ostree/repo/config ostree/repo/tmp/x; do
                        echo x >>"$file"
                    done;;
            esac; done"#
        }
        "rpm" => "echo /var/lib/rpm",
        "rpmkeys" => r#"echo x >>"$3/var/lib/rpm/db""#,
        "dnf-3" => r#"echo x >>"$2/var/log/dnf.log""#,
        _ => "true",
    }
}
