//! Hiding what must not go into a file system from the `mkfs` that fills it.
//!
//! `mkfs.ext4 -d` and its like copy a whole directory and can leave nothing out. So an empty directory in memory is
//! laid over what is to be left out, with the owner, mode, times and attributes of the one below. This is the one
//! mount of the whole stage: it is made in the sandbox's own mount namespace, where nobody else sees it, and works
//! in user namespaces too.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};
use rustix::mount::{MountFlags, UnmountFlags};

use super::content::Content;

/// Directories hidden until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Masks {
    mounted: Vec<PathBuf>,
}

impl Masks {
    /// Hides what is below the content's nested mount points; those that are empty need no hiding.
    pub(crate) fn hide(content: &Content) -> Result<Self> {
        let mut masks = Self::default();
        for directory in &content.hidden {
            // One that lies below another is hidden with it.
            let is_covered = masks
                .mounted
                .iter()
                .any(|mounted| directory.starts_with(mounted));
            if !is_covered && fs_err::read_dir(directory)?.next().is_some() {
                masks
                    .cover(directory)
                    .with_context(|| format!("hiding {}", directory.display()))?;
            }
        }
        Ok(masks)
    }

    fn cover(&mut self, directory: &Path) -> Result<()> {
        let below = fs_err::metadata(directory)?;
        let attributes = attributes(directory)?;
        let (mode, uid, gid) = (below.mode() & 0o7777, below.uid(), below.gid());
        let data = CString::new(format!("mode={mode:o},uid={uid},gid={gid},nr_inodes=2"))?;
        rustix::mount::mount(
            "none",
            directory,
            "tmpfs",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(data.as_c_str()),
        )?;
        self.mounted.push(directory.to_owned());
        for (name, value) in attributes {
            rustix::fs::lsetxattr(directory, &name, &value, XattrFlags::empty())?;
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: below.atime(),
                tv_nsec: below.atime_nsec(),
            },
            last_modification: Timespec {
                tv_sec: below.mtime(),
                tv_nsec: below.mtime_nsec(),
            },
        };
        rustix::fs::utimensat(CWD, directory, &times, AtFlags::empty())?;
        Ok(())
    }

    /// Shows everything again.
    pub(crate) fn lift(mut self) -> Result<()> {
        while let Some(directory) = self.mounted.pop() {
            rustix::mount::unmount(&directory, UnmountFlags::NOFOLLOW)
                .with_context(|| format!("showing {} again", directory.display()))?;
        }
        Ok(())
    }
}

impl Drop for Masks {
    fn drop(&mut self) {
        for directory in self.mounted.iter().rev() {
            // On the way out of an error: that one is reported, and the sandbox takes its mounts along.
            let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
            let lifted = rustix::mount::unmount(directory, flags);
            debug_assert!(lifted.is_ok(), "showing {} again", directory.display());
        }
    }
}

fn attributes(directory: &Path) -> Result<Vec<(CString, Vec<u8>)>> {
    let mut names = vec![0; 64 * 1024];
    let length = match rustix::fs::llistxattr(directory, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut attributes = Vec::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = CString::new(name)?;
        let mut value = vec![0; 64 * 1024];
        let length = rustix::fs::lgetxattr(directory, &name, &mut value[..])?;
        value.truncate(length);
        attributes.push((name, value));
    }
    Ok(attributes)
}
