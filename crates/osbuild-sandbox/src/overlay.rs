//! Directories laid over each other.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::mount::{MountGuard, attach};

/// How long a directory may still be in use by a mount of before: that of a sandbox whose processes are just ending.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
/// The option that keeps the kernel from waiting for the disk.
const VOLATILE: &str = "volatile";

/// The directories that an overlay puts on top of each other.
#[derive(Clone, Copy, Debug)]
pub struct OverlayLayers<'a> {
    /// What is read, the topmost first; never changed. At least two of them if there are no changes.
    pub lower: &'a [PathBuf],
    /// What takes changes; none for a view that is only read.
    pub changes: Option<OverlayChanges<'a>>,
}

/// Where an overlay keeps what is changed in it.
#[derive(Clone, Copy, Debug)]
pub struct OverlayChanges<'a> {
    /// What takes changes.
    pub upper: &'a Path,
    /// An empty directory on the file system of `upper`, for the kernel's use. While mounted its folder `index` has a
    /// file for each file with several names that was changed.
    pub work: &'a Path,
}

/// Mounts a view of some directories at the existing `target`.
///
/// Nothing that is written is waited for (`volatile`): after a power cut `upper` is worth nothing.
pub fn overlay(layers: &OverlayLayers<'_>, target: &Path) -> Result<MountGuard> {
    mount_overlay(layers, target)
        .with_context(|| format!("mounting an overlay at {}", target.display()))?;
    Ok(MountGuard::adopt(target))
}

fn mount_overlay(layers: &OverlayLayers<'_>, target: &Path) -> Result<()> {
    let directories = Directories::open(layers)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mounted = match create(&directories) {
            Ok(mount) => return attach(mount.as_fd(), target),
            Err(Errno::INVAL) => mount_by_one_text(&directories, target),
            Err(error) => Err(error),
        };
        match mounted {
            Ok(()) => return Ok(()),
            Err(Errno::BUSY) if Instant::now() < deadline => thread::sleep(POLL),
            Err(Errno::BUSY) => bail!("one of its directories is in use by another mount"),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes an overlay that is not mounted anywhere yet.
fn create(directories: &Directories) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &str, value: &str| fsconfig_set_string(context.as_fd(), key, value);
    for lower in &directories.lower {
        set("lowerdir+", &lower.name)?;
    }
    for (key, value) in directories.options() {
        set(key, value)?;
    }
    let attributes = if directories.changes.is_some() {
        fsconfig_set_flag(context.as_fd(), VOLATILE)?;
        MountAttrFlags::empty()
    } else {
        MountAttrFlags::MOUNT_ATTR_RDONLY
    };
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Mounts as it was done before Linux 6.5 could be told lower directories one by one: the text of all options has one
/// page, some 200 directories.
fn mount_by_one_text(directories: &Directories, target: &Path) -> rustix::io::Result<()> {
    let lower: Vec<_> = directories
        .lower
        .iter()
        .map(|lower| lower.name.as_str())
        .collect();
    let mut text = format!("lowerdir={}", lower.join(":"));
    for (key, value) in directories.options() {
        text += &format!(",{key}={value}");
    }
    let mount = |text: String, flags| {
        let text = std::ffi::CString::new(text).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount("overlay", target, "overlay", flags, Some(text.as_c_str()))
    };
    if directories.changes.is_none() {
        return mount(text, MountFlags::RDONLY);
    }
    match mount(format!("{text},{VOLATILE}"), MountFlags::empty()) {
        // Older than Linux 5.10: every `fsync` and the end of the mount wait for the disk.
        Err(Errno::INVAL) => mount(text, MountFlags::empty()),
        other => other,
    }
}

/// The directories of an overlay, opened.
struct Directories {
    lower: Vec<Directory>,
    changes: Option<(Directory, Directory)>,
}

impl Directories {
    fn open(layers: &OverlayLayers<'_>) -> Result<Self> {
        let lower = layers
            .lower
            .iter()
            .map(|path| Directory::open(path))
            .collect::<Result<_>>()?;
        let changes = match layers.changes {
            Some(changes) => Some((
                Directory::open(changes.upper)?,
                Directory::open(changes.work)?,
            )),
            None => None,
        };
        Ok(Self { lower, changes })
    }

    /// Gives the options with a value, but for the lower directories.
    fn options(&self) -> Vec<(&str, &str)> {
        // Data must be where its file is: a layer may be read without the one above it.
        let mut options = vec![("metacopy", "off")];
        match &self.changes {
            Some((upper, work)) => options.extend([
                ("upperdir", upper.name.as_str()),
                ("workdir", work.name.as_str()),
                // Renaming a directory of a lower layer must work as it does anywhere else,
                ("redirect_dir", "on"),
                // and so must writing to a file that has several names.
                ("index", "on"),
            ]),
            None => options.push(("redirect_dir", "follow")),
        }
        options
    }
}

/// A directory under a short name without special letters: options of mounts have at most 255, and colons in them
/// part names.
struct Directory {
    name: String,
    /// What the name leads to.
    _descriptor: OwnedFd,
}

impl Directory {
    fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = openat(CWD, path, flags, Mode::empty())
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            name: format!("/proc/self/fd/{}", descriptor.as_raw_fd()),
            _descriptor: descriptor,
        })
    }
}
