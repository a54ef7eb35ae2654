//! Mounts that undo themselves.
//!
//! Everything is mounted in a private mount namespace ([`enter_private_mount_namespace`]): what a guard
//! could not undo, because the process was killed, is gone with its last process all the same.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::spec::Access;
use crate::syscalls::{MountAttributes, set_mount_attributes, unshare_mounts};

/// Moves this process into a mount namespace of its own, from which nothing gets back to the host's.
///
/// Only the calling thread moves, so it must be the only one: call it early.
pub fn enter_private_mount_namespace() -> Result<()> {
    let threads = fs_err::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        bail!("entering a mount namespace with {threads} threads running would leave some behind");
    }
    unshare_mounts().context("making a private mount namespace")?;
    make_private(Path::new("/"))?;
    HAS_PRIVATE_MOUNTS.get_or_init(|| ());
    Ok(())
}

/// Set once this process has left the mount namespace that it was started in.
static HAS_PRIVATE_MOUNTS: OnceLock<()> = OnceLock::new();

/// Tells whether this process has entered a mount namespace of its own: what it mounts is gone when it ends.
pub fn has_private_mounts() -> bool {
    HAS_PRIVATE_MOUNTS.get().is_some()
}

/// Cuts a mount, and all below it, off from those it shares events with.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    let mount = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .with_context(|| format!("opening mount {}", path.display()))?;
    let attributes = MountAttributes {
        propagation: libc::MS_PRIVATE,
        ..MountAttributes::default()
    };
    set_mount_attributes(mount.as_fd(), attributes)
        .with_context(|| format!("making mount {} private", path.display()))
}

/// A mount that is undone when this is dropped.
#[derive(Debug)]
pub struct MountGuard {
    target: PathBuf,
    is_mounted: bool,
}

impl MountGuard {
    /// Takes over a mount that someone else made, `mount(8)` for one.
    pub fn adopt(target: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            is_mounted: true,
        }
    }

    /// Gives the place where it is mounted.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Undoes the mount now, and tells if something still uses it.
    pub fn unmount(mut self) -> Result<()> {
        let result = rustix::mount::unmount(&self.target, UnmountFlags::NOFOLLOW)
            .with_context(|| format!("unmounting {}", self.target.display()));
        // When busy, dropping detaches it.
        self.is_mounted = result.is_err();
        result
    }
}

impl Drop for MountGuard {
    fn drop(&mut self) {
        if !self.is_mounted {
            return;
        }
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        if let Err(error) = rustix::mount::unmount(&self.target, flags) {
            tracing::warn!(target = %self.target.display(), %error, "unmounting failed");
        }
    }
}

/// Shows `source`, with all that is mounted below it, at the existing `target`.
pub fn bind(source: &Path, target: &Path, access: Access) -> Result<MountGuard> {
    let mount =
        clone_tree(source, access).with_context(|| format!("binding {}", source.display()))?;
    attach(mount.as_fd(), target)?;
    Ok(MountGuard::adopt(target))
}

/// Mounts an empty file system in memory at the existing `target`.
///
/// Device nodes work in it; `mode` is that of its top directory, in octal.
pub fn tmpfs(target: &Path, mode: u32) -> Result<MountGuard> {
    let mount = new_tmpfs(mode, MountAttrFlags::MOUNT_ATTR_NOSUID)?;
    attach(mount.as_fd(), target)?;
    Ok(MountGuard::adopt(target))
}

/// Makes a file system in memory that is not mounted anywhere yet.
pub(crate) fn new_tmpfs(mode: u32, attributes: MountAttrFlags) -> Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).context("opening a tmpfs")?;
    fsconfig_set_string(context.as_fd(), "mode", format!("{mode:o}"))
        .context("setting the mode of a tmpfs")?;
    fsconfig_set_string(context.as_fd(), "source", "tmpfs").context("naming a tmpfs")?;
    fsconfig_create(context.as_fd()).context("creating a tmpfs")?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .context("making a mount of a tmpfs")
}

/// Makes a copy of the mounts at and below `source` that is not mounted anywhere yet.
pub(crate) fn clone_tree(source: &Path, access: Access) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let mount = open_tree(CWD, source, flags)?;
    let attributes = MountAttributes {
        set: attributes_of(access).bits().into(),
        propagation: libc::MS_PRIVATE,
        ..MountAttributes::default()
    };
    set_mount_attributes(mount.as_fd(), attributes).map_err(|error| errno(&error))?;
    Ok(mount)
}

fn attributes_of(access: Access) -> MountAttrFlags {
    let never_set_id = MountAttrFlags::MOUNT_ATTR_NOSUID;
    match access {
        Access::Device => never_set_id,
        Access::ReadWrite => never_set_id | MountAttrFlags::MOUNT_ATTR_NODEV,
        Access::ReadOnly => {
            never_set_id | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_RDONLY
        }
    }
}

/// Mounts what [`clone_tree`] or [`new_tmpfs`] made.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: &Path) -> Result<()> {
    move_mount(
        mount,
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .with_context(|| format!("mounting at {}", target.display()))
}

/// Gives the error number, which every error of a system call has.
fn errno(error: &std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO)
}
