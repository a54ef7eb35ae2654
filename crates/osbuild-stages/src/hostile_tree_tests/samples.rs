//! What every stage is run with on trees of hostile links.

use osbuild_stage_api::StageModule;
use serde_json::{Value, json};

use super::stand_ins::stand_ins;
use crate::{ASSEMBLERS, STAGES};

/// How a stage or an assembler is run: its options, what must be there before, and the programs it calls.
pub(super) struct Sample {
    /// Some names are those of a stage and of an assembler.
    pub(super) table: &'static [StageModule],
    pub(super) name: &'static str,
    pub(super) options: Value,
    /// Files, or directories if they end in a slash.
    pub(super) before: &'static [&'static str],
    /// Programs that know about roots themselves, or would have nothing to work on.
    pub(super) stand_ins: &'static [&'static str],
    /// Programs that the stage can do without, where it is to do so.
    pub(super) without: &'static [&'static str],
}

pub(super) fn sample(
    name: &'static str,
    options: Value,
    before: &'static [&'static str],
) -> Sample {
    Sample {
        table: STAGES,
        name,
        options,
        before,
        stand_ins: stand_ins(name),
        without: &[],
    }
}

/// The samples of stages that do without a program what they do with it otherwise, without it.
pub(super) fn native_samples() -> Vec<Sample> {
    let mut samples = samples();
    samples.retain_mut(|sample| {
        sample.without = match sample.name {
            "org.osbuild.hostname"
            | "org.osbuild.keymap"
            | "org.osbuild.locale"
            | "org.osbuild.timezone" => &["systemd-firstboot"],
            "org.osbuild.systemd" => &["systemctl"],
            _ => &[],
        };
        !sample.without.is_empty()
    });
    samples
}

pub(super) fn samples() -> Vec<Sample> {
    let unit = json!({"Unit": {"Description": "x"}, "Service": {"Type": "simple"}, "Install": {}});
    let connection = json!({"connection": {"id": "x", "uuid": "y", "type": "ethernet"}});
    vec![
        sample(
            "org.osbuild.authconfig",
            json!({}),
            &["proc/", "dev/", "sys/", "var/lib/authselect/backups/a/b"],
        ),
        sample(
            "org.osbuild.chattr",
            json!({"items": {"tree:///a": {"immutable": false}}}),
            &["a"],
        ),
        sample(
            "org.osbuild.cloud-init",
            json!({"filename": "x.cfg", "config": {"ssh_pwauth": true}}),
            &["etc/cloud/cloud.cfg.d/x.cfg"],
        ),
        sample(
            "org.osbuild.cron.script",
            json!({"interval": "daily", "filename": "x", "simple": {"command": "x"}}),
            &["etc/cron.daily/x"],
        ),
        sample(
            "org.osbuild.dracut",
            json!({"kernel": ["x"]}),
            &["proc/", "dev/", "sys/", "usr/bin/logger", "usr/bin/true"],
        ),
        sample(
            "org.osbuild.dracut.conf",
            json!({"filename": "x.conf", "config": {"compress": "x"}}),
            &["usr/lib/dracut/dracut.conf.d/x.conf"],
        ),
        sample(
            "org.osbuild.gcp.guest-agent.conf",
            json!({"config": {"Daemons": {"accounts_daemon": true}}}),
            &[],
        ),
        sample(
            "org.osbuild.greenboot",
            json!({"config": {"monitor_services": ["x"]}}),
            &["etc/greenboot/greenboot.conf"],
        ),
        sample(
            "org.osbuild.disk",
            json!({"filename": "a/b", "label": "gpt", "uuid": "d209c89e-ea5e-4fbd-b161-b461cce297e0", "partitions": [
                {"type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "uuid": "fac7f1fb-3e8d-4137-a512-961de09a5501",
                 "size": 4 << 20, "filesystem": {"type": "fat", "uuid": "7B77-95E7", "mountpoint": "/"}}]}),
            &["a/b"],
        ),
        sample(
            "org.osbuild.grub2.debian",
            json!({"root_fs_uuid": "a957573a-f432-4bed-a0bc-e541bddf8579"}),
            &[
                "boot/grub/grub.cfg",
                "boot/grub/grubenv",
                "boot/grub/i386-pc/a.mod",
                "boot/efi/EFI/BOOT/BOOTX64.EFI",
                "boot/initrd.img-6.1",
                "boot/vmlinuz-6.1",
                "etc/default/grub.d/50-image.cfg",
                "usr/lib/grub/i386-pc/a.mod",
                "usr/lib/grub/x86_64-efi/a.mod",
                "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
                "usr/share/grub/unicode.pf2",
            ],
        ),
        sample(
            "org.osbuild.grub2.legacy",
            json!({"rootfs": {"label": "x"}, "uefi": {"vendor": "x"}, "entries": []}),
            &[
                "boot/efi/EFI/x/grub.cfg",
                "boot/grub2/grubenv",
                "etc/default/grub",
            ],
        ),
        sample(
            "org.osbuild.hmac",
            json!({"paths": ["/boot/x"], "algorithm": "sha256"}),
            &["boot/x", "boot/.x.hmac"],
        ),
        sample(
            "org.osbuild.insights-client.config",
            json!({"config": {"proxy": "x"}}),
            &["etc/insights-client/insights-client.conf"],
        ),
        sample(
            "org.osbuild.kernel-cmdline.bls-append",
            json!({"kernel_opts": ["x"]}),
            &["boot/loader/entries/x.conf"],
        ),
        sample("org.osbuild.kickstart", json!({"path": "/a/b"}), &["a/b"]),
        sample(
            "org.osbuild.nginx.conf",
            json!({}),
            &["etc/nginx/nginx.conf"],
        ),
        sample(
            "org.osbuild.oscap.autotailor",
            json!({"filepath": "/a/b", "config": {"datastream": "x", "tailored_profile_id": "x", "profile_id": "x"}}),
            &["a/b"],
        ),
        sample(
            "org.osbuild.pwquality.conf",
            json!({"config": {"minlen": 9}}),
            &["etc/security/pwquality.conf"],
        ),
        sample(
            "org.osbuild.rhsm",
            json!({"dnf-plugins": {"product-id": {"enabled": true}}}),
            &["etc/dnf/plugins/product-id.conf"],
        ),
        sample("org.osbuild.rhsm.facts", json!({"facts": {"a": 1}}), &[]),
        sample(
            "org.osbuild.selinux.config",
            json!({"state": "enforcing"}),
            &["etc/selinux/config"],
        ),
        sample(
            "org.osbuild.sysconfig",
            json!({"kernel": {"update_default": true}, "network": {"networking": true}, "livesys": {"session": "x"},
                   "desktop": {"preferred": "x"}, "network-scripts": {"ifcfg": {"eth0": {"onboot": true}}}}),
            &[],
        ),
        sample(
            "org.osbuild.systemd-sysusers.d",
            json!({"config": {"filename": "x.conf", "entries": [{"type": "u", "name": "x"}]}}),
            &["usr/lib/sysusers.d/x.conf"],
        ),
        sample(
            "org.osbuild.tuned",
            json!({"profiles": ["x"]}),
            &["etc/tuned/x/tuned.conf"],
        ),
        sample(
            "org.osbuild.udev.rules",
            json!({"filename": "/etc/udev/rules.d/x.rules", "rules": [{"comment": ["x"]}]}),
            &["etc/udev/rules.d/x.rules"],
        ),
        sample(
            "org.osbuild.waagent.conf",
            json!({"config": {"Provisioning.Enabled": true}}),
            &["etc/waagent.conf"],
        ),
        sample(
            "org.osbuild.wsl.conf",
            json!({"boot": {"systemd": true}}),
            &["etc/"],
        ),
        sample(
            "org.osbuild.wsl-distribution.conf",
            json!({"oobe": {"default_uid": 1}}),
            &["etc/"],
        ),
        sample("org.osbuild.zip", json!({"filename": "/a/b"}), &["a/b"]),
        sample(
            "org.osbuild.chmod",
            json!({"items": {"/a/b": {"mode": "0600", "recursive": true}}}),
            &["a/b/c"],
        ),
        sample(
            "org.osbuild.chrony",
            json!({"timeservers": ["x"]}),
            &["etc/chrony.conf"],
        ),
        sample(
            "org.osbuild.copy",
            json!({"paths": [{"from": "input://file/one", "to": "tree:///a/b"}]}),
            &["a/b"],
        ),
        sample(
            "org.osbuild.copy",
            json!({"paths": [{"from": "input://file/", "to": "tree:///a/"}]}),
            &["a/one"],
        ),
        sample(
            "org.osbuild.copy",
            json!({"paths": [{"from": "input://file/one", "to": "tree:///a/b", "remove_destination": true}]}),
            &["a/b"],
        ),
        sample(
            "org.osbuild.dd",
            json!({"src": "input://file/one", "dst": "/a/b", "count": 1}),
            &["a/b"],
        ),
        sample(
            "org.osbuild.debug-shell",
            json!({"tty": "/dev/ttyS0"}),
            &["etc/systemd/system/sysinit.target.wants/"],
        ),
        sample("org.osbuild.first-boot", json!({"commands": ["x"]}), &[]),
        sample(
            "org.osbuild.fix-bls",
            json!({}),
            &["boot/loader/entries/x.conf"],
        ),
        sample(
            "org.osbuild.fstab",
            json!({"filesystems": [{"label": "x", "path": "/"}]}),
            &["etc/fstab"],
        ),
        sample(
            "org.osbuild.grub2",
            json!({"rootfs": {"label": "x"}, "uefi": {"vendor": "x", "unified": true}}),
            &[
                "boot/efi/EFI/x/grub.cfg",
                "boot/grub2/grubenv",
                "etc/default/grub",
            ],
        ),
        sample("org.osbuild.gunzip", json!({"path": "/a/b"}), &["a/b"]),
        sample("org.osbuild.gzip", json!({"filename": "/a/b"}), &["a/b"]),
        sample(
            "org.osbuild.hostname",
            json!({"hostname": "x"}),
            &["etc/hostname"],
        ),
        sample(
            "org.osbuild.kernel-cmdline",
            json!({"kernel_opts": "x"}),
            &[],
        ),
        sample(
            "org.osbuild.keymap",
            json!({"keymap": "us", "font": "y", "x11-keymap": {"layouts": ["us"]}}),
            &["etc/vconsole.conf"],
        ),
        sample(
            "org.osbuild.ln",
            json!({"paths": [{"target": "/a", "link_name": "tree:///b/c"}]}),
            &["a", "b/"],
        ),
        sample(
            "org.osbuild.ln",
            json!({"paths": [{"target": "/a", "link_name": "tree:///b/c", "symbolic": true}]}),
            &["b/"],
        ),
        sample(
            "org.osbuild.locale",
            json!({"language": "x"}),
            &["etc/locale.conf"],
        ),
        sample(
            "org.osbuild.machine-id",
            json!({"first-boot": "yes"}),
            &["etc/machine-id"],
        ),
        sample(
            "org.osbuild.machine-id",
            json!({"first-boot": "no"}),
            &["etc/machine-id"],
        ),
        sample(
            "org.osbuild.mkdir",
            json!({"paths": [{"path": "/a/b/c", "parents": true}]}),
            &["a/"],
        ),
        sample(
            "org.osbuild.modprobe",
            json!({"filename": "x.conf", "commands": [{"command": "blacklist", "modulename": "x"}]}),
            &[],
        ),
        sample(
            "org.osbuild.nm.conf",
            json!({"path": "/etc/x", "settings": {"main": {"plugins": ["x"]}}}),
            &["etc/x"],
        ),
        sample(
            "org.osbuild.nm.conn",
            json!({"path": "/etc/x", "settings": connection}),
            &["etc/x"],
        ),
        sample(
            "org.osbuild.pam.limits.conf",
            json!({"filename": "x.conf", "config": [{"domain": "x", "type": "-", "item": "core", "value": 0}]}),
            &["etc/security/limits.d/x.conf"],
        ),
        sample(
            "org.osbuild.qemu",
            json!({"filename": "a/b", "format": {"type": "qcow2"}}),
            &["a/b"],
        ),
        sample(
            "org.osbuild.resolv-conf",
            json!({"nameserver": ["192.0.2.1"]}),
            &["etc/resolv.conf"],
        ),
        sample(
            "org.osbuild.script",
            json!({"script": "#!/bin/sh\n"}),
            &["proc/", "dev/", "sys/"],
        ),
        sample(
            "org.osbuild.selinux",
            json!({"file_contexts": "policy", "force_autorelabel": true}),
            &["policy"],
        ),
        sample(
            "org.osbuild.shell.init",
            json!({"files": {"x.sh": {"env": [{"key": "K", "value": "v"}]}}}),
            &["etc/profile.d/x.sh"],
        ),
        sample(
            "org.osbuild.sshd.config",
            json!({"config": {"PermitRootLogin": true}}),
            &["etc/ssh/sshd_config"],
        ),
        sample(
            "org.osbuild.sysctld",
            json!({"filename": "x.conf", "config": [{"key": "k", "value": "v"}]}),
            &["usr/lib/sysctl.d/x.conf"],
        ),
        sample(
            "org.osbuild.systemd",
            json!({"masked_generators": ["x"], "enabled_services": ["a"], "disabled_services": ["b"],
                   "masked_services": ["c"], "default_target": "d"}),
            &[
                "usr/lib/systemd/system/a.service",
                "usr/lib/systemd/system/b.service",
                "usr/lib/systemd/system/d.target",
                "etc/systemd/system/x.wants/",
            ],
        ),
        sample(
            "org.osbuild.systemd-journald",
            json!({"filename": "x.conf", "config": {"Journal": {"Audit": "no"}}}),
            &[],
        ),
        sample(
            "org.osbuild.systemd-logind",
            json!({"filename": "x.conf", "config": {"Login": {"NAutoVTs": 1}}}),
            &[],
        ),
        sample(
            "org.osbuild.systemd.preset",
            json!({"presets": [{"name": "x", "state": "enable"}]}),
            &["usr/lib/systemd/system-preset/50-osbuild.preset"],
        ),
        sample(
            "org.osbuild.systemd.unit",
            json!({"unit": "x.service", "dropin": "x.conf", "config": unit}),
            &[],
        ),
        sample(
            "org.osbuild.systemd.unit.create",
            json!({"filename": "x.service", "config": unit}),
            &["usr/lib/systemd/system/x.service"],
        ),
        sample("org.osbuild.tar", json!({"filename": "a/b"}), &["a/b"]),
        sample(
            "org.osbuild.test",
            json!({"script": "/x"}),
            &["etc/systemd/system/multi-user.target.wants/"],
        ),
        sample(
            "org.osbuild.timezone",
            json!({"zone": "UTC"}),
            &["etc/localtime"],
        ),
        sample(
            "org.osbuild.tmpfilesd",
            json!({"filename": "x.conf", "config": [{"type": "d", "path": "/run/x"}]}),
            &["usr/lib/tmpfiles.d/x.conf"],
        ),
        sample(
            "org.osbuild.truncate",
            json!({"filename": "a/b", "size": "10"}),
            &["a/b"],
        ),
        sample("org.osbuild.untar", json!({"prefix": "/a"}), &["a/"]),
        sample(
            "org.osbuild.users",
            json!({"users": {"anna": {"key": "ssh-rsa A"}}}),
            &["etc/passwd", "home/anna/.ssh/authorized_keys"],
        ),
        sample("org.osbuild.xz", json!({"filename": "/a/b"}), &["a/b"]),
        sample("org.osbuild.zipl", json!({}), &["etc/zipl.conf"]),
        sample("org.osbuild.zstd", json!({"filename": "/a/b"}), &["a/b"]),
        sample(
            "org.osbuild.crypttab",
            json!({"volumes": [{"volume": "x", "path": "/dev/x"}]}),
            &["etc/crypttab"],
        ),
        sample(
            "org.osbuild.grub2.d",
            json!({"path": "tree:///boot/grub2/console.cfg", "config": {"serial": "x"}}),
            &["boot/grub2/console.cfg"],
        ),
        sample(
            "org.osbuild.dnf.config",
            json!({"variables": [{"name": "a", "value": "b"}], "config": {"main": {"ip_resolve": "4"}}}),
            &["etc/dnf/vars/a", "etc/dnf/dnf.conf"],
        ),
        sample(
            "org.osbuild.dnf-automatic.config",
            json!({"config": {"commands": {"apply_updates": false}}}),
            &["etc/dnf/automatic.conf"],
        ),
        sample(
            "org.osbuild.dnf.module-config",
            json!({"conf": {"name": "a", "stream": "1", "state": "x", "profiles": ["b"]}}),
            &["etc/dnf/modules.d/a.module"],
        ),
        sample(
            "org.osbuild.yum.config",
            json!({"config": {"http_caching": "all"}, "plugins": {"langpacks": {"locales": ["a"]}}}),
            &["etc/yum.conf", "etc/yum/pluginconf.d/langpacks.conf"],
        ),
        sample(
            "org.osbuild.yum.repos",
            json!({"filename": "x.repo", "repos": [{"id": "a", "baseurl": ["b"]}]}),
            &[],
        ),
        sample(
            "org.osbuild.rpm.macros",
            json!({"filename": "/etc/rpm/macros.x", "macros": {"_dbpath": "/x"}}),
            &["etc/rpm/macros.x"],
        ),
        sample(
            "org.osbuild.containers.unit.create",
            json!({"filename": "x.volume", "config": {"Volume": {"User": "x"}}}),
            &["usr/share/containers/systemd/x.volume"],
        ),
        sample(
            "org.osbuild.pacman.conf",
            json!({"repositories": [{"name": "x", "server": "y"}]}),
            &["etc/pacman.conf"],
        ),
        sample(
            "org.osbuild.pacman.mirrorlist.conf",
            json!({"mirrors": ["x"]}),
            &["etc/pacman.d/mirrorlist"],
        ),
        sample(
            "org.osbuild.buildstamp",
            json!({"arch": "a", "product": "b", "version": "c", "final": true}),
            &[".buildstamp"],
        ),
        sample(
            "org.osbuild.discinfo",
            json!({"basearch": "a", "release": "b"}),
            &[".discinfo"],
        ),
        sample(
            "org.osbuild.treeinfo",
            json!({"path": "/a/.treeinfo", "treeinfo": {"tree": {"arch": "x"}}}),
            &["a/.treeinfo"],
        ),
        sample(
            "org.osbuild.createaddrsize",
            json!({"initrd": "a/b", "addrsize": "a/c"}),
            &["a/b", "a/c"],
        ),
        sample(
            "org.osbuild.anaconda",
            json!({"optional-modules": ["x"]}),
            &["etc/anaconda/conf.d/90-osbuild.conf"],
        ),
        sample(
            "org.osbuild.livesys",
            json!({"livesys_session": "x"}),
            &["etc/sysconfig/livesys"],
        ),
        sample(
            "org.osbuild.fdo",
            json!({}),
            &["fdo_diun_pub_key_root_certs.pem"],
        ),
        sample(
            "org.osbuild.ignition",
            json!({"network": ["x"]}),
            &["boot/ignition.firstboot"],
        ),
        sample(
            "org.osbuild.dnf4.versionlock",
            json!({"add": ["x"]}),
            &["etc/dnf/plugins/versionlock.list"],
        ),
        sample("org.osbuild.erofs", json!({"filename": "a/b"}), &["a/b"]),
        sample("org.osbuild.squashfs", json!({"filename": "a/b"}), &["a/b"]),
        sample("org.osbuild.cpio.out", json!({"filename": "a/b"}), &["a/b"]),
        sample(
            "org.osbuild.mks390image",
            json!({"kernel": "/a/k", "initrd": "/a/i", "config": "/a/c", "image": "/a/x"}),
            &["a/k", "a/i", "a/c"],
        ),
        sample(
            "org.osbuild.systemd-repart.create",
            json!({"path": "a/b", "size": "1G"}),
            &["a/"],
        ),
        sample(
            "org.osbuild.xorrisofs",
            json!({"filename": "a/b", "volid": "V"}),
            &["a/"],
        ),
        sample(
            "org.osbuild.bootc.install.config",
            json!({"filename": "x.toml", "config": {"install": {"kargs": ["x"]}}}),
            &["usr/lib/bootc/install/x.toml"],
        ),
        sample("org.osbuild.ostree.init", json!({"path": "/a/b"}), &["a/"]),
        sample(
            "org.osbuild.place",
            json!({"entries": [{"path": "/etc/place", "link": "x"}, {"path": "/srv/place", "directory": true}]}),
            &[],
        ),
        sample(
            "org.osbuild.authselect",
            json!({"profile": "x"}),
            &["etc/authselect/authselect.conf"],
        ),
        sample(
            "org.osbuild.chown",
            json!({"items": {"/a": {"user": "x"}}}),
            &["a"],
        ),
        sample(
            "org.osbuild.firewall",
            json!({"ports": ["53:tcp"]}),
            &["proc/", "dev/", "sys/"],
        ),
        sample(
            "org.osbuild.pki.update-ca-trust",
            json!({}),
            &["proc/", "dev/", "sys/"],
        ),
        sample(
            "org.osbuild.update-crypto-policies",
            json!({"policy": "X"}),
            &["proc/", "dev/", "sys/"],
        ),
        sample(
            "org.osbuild.dmverity",
            json!({"root_hash_file": "/a/hash"}),
            &["a/"],
        ),
        sample(
            "org.osbuild.dnf4.mark",
            json!({"packages": [{"name": "x", "mark": "install"}]}),
            &["var/log/dnf.log", "var/lib/rpm/db"],
        ),
        sample(
            "org.osbuild.experimental.ostree.config",
            json!({"repo": "/a/repo", "config": {"integrity": {"composefs": "true"}}}),
            &["a/repo/"],
        ),
        sample(
            "org.osbuild.ostree.config",
            json!({"repo": "/a/repo", "config": {"sysroot": {"readonly": true}}}),
            &["a/repo/"],
        ),
        sample(
            "org.osbuild.ostree.init-fs",
            json!({}),
            &["boot/x", "ostree/repo/config"],
        ),
        sample(
            "org.osbuild.ostree.os-init",
            json!({"osname": "x"}),
            &["ostree/repo/config", "ostree/deploy/x/"],
        ),
        sample(
            "org.osbuild.ostree.remotes",
            json!({"repo": "/a/repo", "remotes": [{"name": "x", "url": "y"}]}),
            &["a/repo/"],
        ),
        sample(
            "org.osbuild.ostree.sign",
            json!({"repo": "/a/repo", "ref": "x", "key": "/a/key"}),
            &["a/repo/", "a/key"],
        ),
        sample(
            "org.osbuild.groups",
            json!({"groups": {"x": {}}}),
            &["etc/group"],
        ),
        sample("org.osbuild.noop", json!({}), &["a"]),
        sample(
            "org.osbuild.systemd-sysusers",
            json!({}),
            &["etc/passwd", "etc/group", "usr/lib/sysusers.d/x.conf"],
        ),
        sample("org.osbuild.grub2.inst", grub(None), &["a/b"]),
        sample("org.osbuild.grub2.inst", grub(Some(1)), &["a/b"]),
        sample(
            "org.osbuild.implantisomd5",
            json!({"filename": "/a/b"}),
            &["a/b"],
        ),
        sample("org.osbuild.rpmkeys.import", json!({}), &["var/lib/rpm/db"]),
    ]
}

fn grub(location: Option<u64>) -> Value {
    json!({
        "filename": "/a/b", "platform": "x", "location": location,
        "core": {"type": "mkimage", "partlabel": "gpt", "filesystem": "ext4"},
        "prefix": {"type": "partition", "partlabel": "gpt", "number": 0, "path": "/boot"},
    })
}

/// The image goes to the tree; what it is made of is an input.
pub(super) fn assemblers() -> Vec<Sample> {
    let assembler = |name, options, stand_ins| Sample {
        table: ASSEMBLERS,
        name,
        options,
        before: &["a/"],
        stand_ins,
        without: &[],
    };
    vec![
        assembler("org.osbuild.noop", json!({}), &[]),
        assembler(
            "org.osbuild.oci-archive",
            json!({"filename": "a/b", "architecture": "amd64"}),
            &[],
        ),
        assembler(
            "org.osbuild.rawfs",
            json!({"filename": "a/b", "root_fs_uuid": "61f8a6bb-4d07-4f51-9d3b-6b8bb2c4d1f0", "size": 4 << 20}),
            &[],
        ),
        assembler("org.osbuild.tar", json!({"filename": "a/b"}), &[]),
    ]
}
