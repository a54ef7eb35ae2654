//! Visits everything in a tree with several threads.

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

use crate::parallel::in_parallel;

/// One thing in a tree.
pub(crate) struct Entry<'a> {
    /// The directory it is in, open.
    pub(crate) directory: BorrowedFd<'a>,
    /// The path of that directory from the top, empty for the top itself.
    pub(crate) parent: &'a Path,
    /// Its name.
    pub(crate) name: &'a CStr,
    /// What `lstat` says of it.
    pub(crate) status: Stat,
}

impl Entry<'_> {
    /// Gives its path from the top.
    pub(crate) fn path(&self) -> PathBuf {
        self.parent.join(OsStr::from_bytes(self.name.to_bytes()))
    }

    /// Gives its type.
    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.status.st_mode)
    }
}

/// Calls `visit` for everything below `top`, in no order, and gives what each thread has gathered.
///
/// What vanishes meanwhile is passed over.
pub(crate) fn walk<S: Default + Send>(
    top: &Path,
    visit: &(dyn Fn(&mut S, &Entry<'_>) -> Result<()> + Sync),
) -> Result<Vec<S>> {
    let walker = Walker {
        top: open_directory(CWD, top).with_context(|| format!("opening {}", top.display()))?,
        visit,
    };
    in_parallel(vec![PathBuf::new()], &|gathered, directory| {
        walker.look_into(&directory, gathered)
    })
    .with_context(|| format!("walking through {}", top.display()))
}

struct Walker<'a, S> {
    top: OwnedFd,
    visit: &'a (dyn Fn(&mut S, &Entry<'_>) -> Result<()> + Sync),
}

impl<S> Walker<'_, S> {
    /// Visits what is in one directory; gives its subdirectories.
    fn look_into(&self, parent: &Path, gathered: &mut S) -> Result<Vec<PathBuf>> {
        let path = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        let directory = match open_directory(self.top.as_fd(), path) {
            Err(Errno::NOENT) => return Ok(Vec::new()),
            other => other.with_context(|| format!("opening {}", path.display()))?,
        };
        let mut subdirectories = Vec::new();
        for entry in
            Dir::read_from(&directory).with_context(|| format!("listing {}", path.display()))?
        {
            let entry = entry.with_context(|| format!("listing {}", path.display()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let status = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.with_context(|| format!("looking at {}", name.to_string_lossy()))?,
            };
            let entry = Entry {
                directory: directory.as_fd(),
                parent,
                name,
                status,
            };
            if entry.file_type() == FileType::Directory {
                subdirectories.push(entry.path());
            }
            (self.visit)(gathered, &entry)?;
        }
        Ok(subdirectories)
    }
}

fn open_directory(parent: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, path, flags, Mode::empty())
}
