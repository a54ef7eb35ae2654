//! Trees full of links that lead out: no stage may change anything outside its tree.
//!
//! Each stage first runs on a clean tree. Then, for every file and directory it touched there, it runs on a tree where
//! that one is a link to a copy outside, once absolute and once climbing. Whether the stage fails is its business.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use osbuild_stage_api::testing::StageTest;
use serde_json::{Value, json};

use crate::{STAGES, lookup};

/// Stages that write no files of a tree, or whose place is chosen by the engine.
const WITHOUT_FILES: &[&str] = &[
    "org.osbuild.authselect",             // inside a chroot
    "org.osbuild.implantisomd5",          // a program changes a file whose path is checked
    "org.osbuild.pki.update-ca-trust",    // inside a chroot
    "org.osbuild.systemd-sysusers",       // a program that knows about roots
    "org.osbuild.update-crypto-policies", // inside a chroot
    "org.osbuild.zipl.inst",              // writes to a device
    "org.osbuild.chown",                  // inside a chroot
    "org.osbuild.deb",                    // has a test of its own: it needs packages
    "org.osbuild.disk",                   // has a test of its own: it needs trees
    "org.osbuild.dnf",                    // runs a program that changes into the tree
    "org.osbuild.error",                  // does nothing
    "org.osbuild.firewall",               // inside a chroot
    "org.osbuild.groups",                 // `groupadd --root`, which changes into the tree
    "org.osbuild.grub2.debian",           // has a test of its own: it needs a boot loader
    "org.osbuild.grub2.inst",             // writes to a device or an image
    "org.osbuild.mkfs.btrfs",             // writes to a device
    "org.osbuild.mkfs.ext4",              // writes to a device
    "org.osbuild.mkfs.fat",               // writes to a device
    "org.osbuild.mkfs.xfs",               // writes to a device
    "org.osbuild.mkswap",                 // writes to a device
    "org.osbuild.noop",                   // does nothing
    "org.osbuild.rpm",                    // has a test of its own: it needs packages
    "org.osbuild.rpm",                    // has a test of its own: it needs packages
    "org.osbuild.sfdisk",                 // writes to a device
    "org.osbuild.sgdisk",                 // writes to a device
    "org.osbuild.write-device",           // writes to a device
    "org.osbuild.yum",                    // runs a program that changes into the tree
];

/// How a stage is run: its options, what must be there before, and the programs it calls.
struct Sample {
    name: &'static str,
    options: Value,
    /// Files, or directories if they end in a slash.
    before: &'static [&'static str],
    /// Programs that know about roots themselves, or would have nothing to work on.
    stand_ins: &'static [&'static str],
    /// Programs that the stage can do without: what it does then is ours.
    without: &'static [&'static str],
}

fn sample(name: &'static str, options: Value, before: &'static [&'static str]) -> Sample {
    let stand_ins: &[&str] = match name {
        "org.osbuild.authconfig" | "org.osbuild.script" => &["chroot"],
        "org.osbuild.chattr" => &["chattr"],
        "org.osbuild.dracut" => &["chroot", "mount", "umount"],
        "org.osbuild.hmac" => &["sha256hmac"],
        "org.osbuild.oscap.autotailor" => &["autotailor"],
        "org.osbuild.selinux" => &["setfiles"],
        "org.osbuild.users" => &["usermod"],
        _ => &[],
    };
    let without: &[&str] = match name {
        "org.osbuild.hostname"
        | "org.osbuild.keymap"
        | "org.osbuild.locale"
        | "org.osbuild.timezone" => &["systemd-firstboot"],
        "org.osbuild.systemd" => &["systemctl"],
        _ => &[],
    };
    Sample {
        name,
        options,
        before,
        stand_ins,
        without,
    }
}

fn samples() -> Vec<Sample> {
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
    ]
}

#[test]
fn every_stage_has_a_sample_or_a_reason() {
    let covered: BTreeSet<_> = samples()
        .iter()
        .map(|sample| sample.name)
        .chain(WITHOUT_FILES.iter().copied())
        .collect();
    for stage in STAGES {
        assert!(
            covered.contains(stage.name),
            "{}: add a sample, or the reason why it needs none",
            stage.name
        );
    }
    for sample in samples() {
        assert!(
            !WITHOUT_FILES.contains(&sample.name),
            "{}: has a sample and a reason to have none",
            sample.name
        );
    }
}

#[test]
fn nothing_outside_the_tree_is_changed() {
    for sample in samples() {
        let clean = prepare(&sample, None);
        let ran = clean.run();
        assert!(
            ran.result.is_ok() || is_tool_missing(ran.error()),
            "{}: {}\n{}",
            sample.name,
            ran.error(),
            ran.log
        );
        for path in entries(&clean.tree()) {
            check(&sample, &clean.tree(), &path, Link::Absolute, Outside::Full);
            check(&sample, &clean.tree(), &path, Link::Absolute, Outside::Bare);
            check(&sample, &clean.tree(), &path, Link::Climbing, Outside::Full);
        }
    }
}

/// How a link leads out of the tree.
#[derive(Clone, Copy, Debug)]
enum Link {
    Absolute,
    Climbing,
}

/// What is there to be changed.
#[derive(Clone, Copy, Debug)]
enum Outside {
    /// Everything a clean run leaves in the tree.
    Full,
    /// Directories only, where a new file would be seen; and what the link itself leads to.
    Bare,
}

/// A program that the machine does not have can do no harm either; CI has them all.
fn is_tool_missing(error: &str) -> bool {
    error.starts_with("FileNotFoundError: [Errno 2]") && std::env::var_os("CI").is_none()
}

/// Runs a sample on a tree where `path` is a link to something outside that is like what a clean run leaves there.
fn check(sample: &Sample, clean: &Path, path: &Path, link: Link, outside_is: Outside) {
    let test = prepare(sample, Some(path));
    let outside = test.workspace().join("outside");
    imitate(clean, &outside, path, outside_is);
    let target = match link {
        Link::Absolute => outside.join(path),
        // From the directory of the link up to the workspace.
        Link::Climbing => Path::new(&"../".repeat(path.components().count()))
            .join("outside")
            .join(path),
    };
    let test = test.symlink(path.to_str().unwrap(), target.to_str().unwrap());
    let before = osbuild_testing::tree::describe(&outside).unwrap();
    let ran = test.run();
    let after = osbuild_testing::tree::describe(&outside).unwrap();
    let (name, path) = (sample.name, path.display());
    assert_eq!(
        before, after,
        "{name} followed {path} out of its tree ({link:?}, {outside_is:?})\n{}",
        ran.log
    );
}

/// Makes directories and files as in the clean tree, but with modes and contents that no stage would leave.
fn imitate(clean: &Path, outside: &Path, link: &Path, outside_is: Outside) {
    fs_err::create_dir(outside).unwrap();
    let mut paths = entries(clean);
    paths.reverse();
    for path in paths {
        let (source, target) = (clean.join(&path), outside.join(&path));
        let is_wanted = matches!(outside_is, Outside::Full) || path == link;
        if source.symlink_metadata().unwrap().is_dir() {
            fs_err::create_dir_all(&target).unwrap();
            fs_err::set_permissions(&target, PermissionsExt::from_mode(0o711)).unwrap();
        } else if is_wanted {
            fs_err::create_dir_all(target.parent().unwrap()).unwrap();
            fs_err::write(&target, "untouched").unwrap();
            fs_err::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
        }
    }
}

/// A tree with what the sample wants, but for what is below `without`.
fn prepare(sample: &Sample, without: Option<&Path>) -> StageTest {
    let stage = lookup(sample.name).unwrap_or_else(|| panic!("{} is in the table", sample.name));
    let files: [(&str, &[u8]); 1] = [("one", GZIPPED_ARCHIVE)];
    let data = json!({"files": {"one": {}}});
    let mut test =
        StageTest::new(stage, sample.options.clone()).input("file", &files, data.clone());
    test = test
        .input("image", &files, data)
        .input("tree", &files, Value::Null);
    for path in sample.before {
        if without.is_some_and(|without| Path::new(path).starts_with(without)) {
            continue;
        }
        let content = match *path {
            "etc/passwd" => "anna:x:0:0::/home/anna:/bin/sh\n",
            "etc/dnf/plugins/product-id.conf" => "[main]\n",
            "etc/selinux/config" => "SELINUX=disabled\n",
            _ => "before\n",
        };
        test = if path.ends_with('/') {
            test.directory(path)
        } else {
            test.file(path, content)
        };
    }
    let test = sample
        .stand_ins
        .iter()
        .fold(test, |test, program| test.program(program, "true"));
    sample
        .without
        .iter()
        .fold(test, |test, program| test.without_program(program))
}

/// An empty tar archive in a gzip file: any stage that unpacks can do so.
#[rustfmt::skip]
const GZIPPED_ARCHIVE: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x8c, 0x54, 0x00, 0x00, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];

/// Every entry of a tree, below its root.
fn entries(tree: &Path) -> Vec<PathBuf> {
    fn visit(tree: &Path, below: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs_err::read_dir(tree.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                visit(tree, &path, found);
            }
            found.push(path);
        }
    }
    let mut found = Vec::new();
    visit(tree, Path::new(""), &mut found);
    found
}
