//! Puts the file system of a sandbox together, in a mount namespace that is this process's own.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, unmount,
};

use crate::mount::{attach, clone_tree, make_private, new_tmpfs};
use crate::spec::{Access, Entry, Presence};

const DIRECTORY_MODE: u32 = 0o755;

/// The switches of the whole system in the process file system, as bubblewrap's list has them.
const SYSTEM_SWITCHES: [&str; 4] = ["sys", "sysrq-trigger", "irq", "bus"];

/// An entry with its source already in hand: the host's paths lead nowhere once the root has changed.
struct Ready<'a> {
    entry: &'a Entry,
    source: Option<OwnedFd>,
}

/// Makes `entries` the whole file system of this process.
pub(super) fn build(entries: &[Entry]) -> Result<()> {
    let mask = rustix::process::umask(Mode::empty());
    make_private(Path::new("/"))?;
    let ready = open_sources(entries)?;
    change_root()?;
    for step in &ready {
        apply(step)?;
    }
    rustix::process::chdir("/").context("entering the sandbox's root")?;
    rustix::process::umask(mask);
    Ok(())
}

fn open_sources(entries: &[Entry]) -> Result<Vec<Ready<'_>>> {
    let mut ready = Vec::with_capacity(entries.len());
    for entry in entries {
        let source = match entry {
            Entry::Bind {
                source,
                access,
                presence,
                ..
            } => match clone_tree(source, *access) {
                Ok(mount) => Some(mount),
                Err(Errno::NOENT | Errno::NOTDIR) if *presence == Presence::Optional => continue,
                Err(Errno::NOSYS) => {
                    return Err(Errno::NOSYS).context(
                        "mounting needs Linux 5.12; set OSBUILD_SANDBOX=bubblewrap to use bubblewrap instead",
                    );
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("binding {}", source.display()));
                }
            },
            _ => None,
        };
        ready.push(Ready { entry, source });
    }
    Ok(ready)
}

/// Makes an empty file system in memory the root, and lets go of the old one.
fn change_root() -> Result<()> {
    let root = private_tmpfs()?;
    // On top of the old root, where it hides nothing but that, and where every machine has a place.
    attach(root.as_fd(), Path::new("/"))?;
    rustix::process::fchdir(&root).context("entering the new root")?;
    // With both names the same the old root ends up on top of the new one (pivot_root(2), NOTES).
    rustix::process::pivot_root(".", ".").context("changing the root")?;
    unmount(".", UnmountFlags::DETACH).context("letting go of the old root")?;
    rustix::process::chdir("/").context("entering the new root")
}

fn private_tmpfs() -> Result<OwnedFd> {
    new_tmpfs(
        DIRECTORY_MODE,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
}

fn apply(step: &Ready<'_>) -> Result<()> {
    match step.entry {
        Entry::Bind { target, .. } => {
            let source = step.source.as_ref().expect("opened with the others");
            make_mount_point(source, target)?;
            attach(source.as_fd(), target)
        }
        Entry::Symlink { content, target } => {
            make_parents(target)?;
            symlinkat(content, CWD, target)
                .with_context(|| format!("making link {}", target.display()))
        }
        Entry::Directory { target } => make_directory(target),
        Entry::Tmpfs { target } => {
            make_directory(target)?;
            attach(private_tmpfs()?.as_fd(), target)
        }
        Entry::Proc { target } => {
            make_directory(target)?;
            attach(new_proc()?.as_fd(), target)?;
            protect_system_switches(target)
        }
    }
}

fn new_proc() -> Result<OwnedFd> {
    let context =
        fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC).context("opening the process file system")?;
    fsconfig_set_string(context.as_fd(), "source", "proc")?;
    fsconfig_create(context.as_fd()).context("creating the process file system")?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .context("making a mount of the process file system")
}

fn protect_system_switches(proc: &Path) -> Result<()> {
    for name in SYSTEM_SWITCHES {
        let path = proc.join(name);
        match clone_tree(&path, Access::ReadOnly) {
            Ok(mount) => attach(mount.as_fd(), &path)?,
            // Not every kernel has every switch.
            Err(Errno::NOENT) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("protecting {}", path.display()));
            }
        }
    }
    Ok(())
}

/// Makes an empty file or directory, like the source, for it to be mounted on, unless there is something.
fn make_mount_point(source: &OwnedFd, target: &Path) -> Result<()> {
    if rustix::fs::stat(target).is_ok() {
        return Ok(());
    }
    let status = rustix::fs::fstat(source)
        .with_context(|| format!("looking at the source of {}", target.display()))?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return make_directory(target);
    }
    make_parents(target)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(CWD, target, flags, Mode::from_raw_mode(0o444))
        .map(drop)
        .with_context(|| format!("making file {}", target.display()))
}

fn make_parents(target: &Path) -> Result<()> {
    target.parent().map_or(Ok(()), make_directory)
}

/// Makes a directory and those above it, unless there are such.
fn make_directory(path: &Path) -> Result<()> {
    match mkdirat(CWD, path, Mode::from_raw_mode(DIRECTORY_MODE)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => {
            make_parents(path)?;
            mkdirat(CWD, path, Mode::from_raw_mode(DIRECTORY_MODE))
                .with_context(|| format!("making directory {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("making directory {}", path.display())),
    }
}
