//! Takes away what an installation leaves behind that says more of its moment than of the packages.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use osbuild_stage_api::TreeRoot;
use rustix::fs::{FileType, Mode, OFlags};

/// What mmdebstrap removes too, so that two runs give the same.
const REMOVED: [&str; 7] = [
    "/var/log/dpkg.log",
    "/var/log/apt/history.log",
    "/var/log/apt/term.log",
    "/var/log/apt/eipp.log.xz",
    "/var/log/alternatives.log",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/dbus/machine-id",
];
/// Nodes that a system needs until the kernel's own `/dev` is mounted: name, mode, major, minor.
const DEVICES: [(&str, u32, u32, u32); 8] = [
    ("console", 0o666, 5, 1),
    ("full", 0o666, 1, 7),
    ("null", 0o666, 1, 3),
    ("ptmx", 0o666, 5, 2),
    ("random", 0o666, 1, 8),
    ("tty", 0o666, 5, 0),
    ("urandom", 0o666, 1, 9),
    ("zero", 0o666, 1, 5),
];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];
const DEVICE_DIRECTORIES: [&str; 2] = ["pts", "shm"];

/// Cleans a tree that nothing runs in any more.
pub(super) fn clean(tree: &TreeRoot) -> Result<()> {
    for path in REMOVED {
        let (parent, _) = path.rsplit_once('/').context("the paths are absolute")?;
        if tree.is_dir(parent)? {
            tree.remove_file(path)?;
        }
    }
    // machine-id(5): an image has an empty one; systemd fills it in at the first boot.
    if tree.has_entry("/etc/machine-id")? {
        tree.remove_file("/etc/machine-id")?;
        tree.write("/etc/machine-id", "")?;
    }
    make_devices(tree)
}

fn make_devices(tree: &TreeRoot) -> Result<()> {
    tree.create_dir_all("/dev")?;
    for name in DEVICE_DIRECTORIES {
        tree.create_dir_all(format!("/dev/{name}"))?;
    }
    for (name, target) in DEVICE_LINKS {
        if !tree.has_entry(format!("/dev/{name}"))? {
            tree.symlink(target, format!("/dev/{name}"))?;
        }
    }
    let directory: OwnedFd = tree
        .open_file("/dev", OFlags::RDONLY | OFlags::DIRECTORY, 0)?
        .into();
    for (name, mode, major, minor) in DEVICES {
        if tree.has_entry(format!("/dev/{name}"))? {
            continue;
        }
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(
            &directory,
            name,
            FileType::CharacterDevice,
            Mode::from_raw_mode(mode),
            device,
        )
        .map_err(std::io::Error::from)
        .with_context(|| format!("making /dev/{name}"))?;
        tree.chmod(format!("/dev/{name}"), mode)?;
    }
    Ok(())
}
