//! Copies whole trees, with all that makes a file what it is.
//!
//! Contents (holes stay holes, blocks are shared where the file system can), owners, modes, extended
//! attributes with ACLs and capabilities in them, times, hard links, device nodes, pipes and sockets.
//! Directories are worked on by several threads; files with several names come last, in one thread,
//! and so do the times of directories, which every change inside would touch.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, linkat, mkdirat, openat, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::export::{Ownership, Top};
use crate::parallel::in_parallel;
use crate::survey::OVERLAY_ATTRIBUTES;

mod attributes;
mod content;

pub(crate) use attributes::xattrs_of;

/// How to copy a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyOptions {
    /// Who owns the copies.
    pub(crate) ownership: Ownership,
    /// Whether the copies may share blocks with what they are copies of.
    pub(crate) blocks: Blocks,
    /// What becomes of the attributes of the target itself.
    pub(crate) top: Top,
}

/// What becomes of the blocks of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// Shared where the file system can, else copied.
    Shared,
    /// Copied.
    Copied,
}

/// Gives the top of a new layer the attributes of the one below it, but for those by which an overlay knows its layers.
pub(crate) fn copy_attributes_of_layer(below: &Path, layer: &Path) -> Result<()> {
    let (from, to) = (open_directory(CWD, below)?, open_directory(CWD, layer)?);
    let status = fstat(&from)?;
    attributes::copy_to_open(&from, &to, &status, Ownership::Preserve)
        .and_then(|()| attributes::remove(&to, OVERLAY_ATTRIBUTES))
        .with_context(|| format!("copying attributes of {}", below.display()))
}

/// Copies the directory `source` to `target`, merging with what is there: files of one name are replaced.
pub(crate) fn copy_tree(source: &Path, target: &Path, options: CopyOptions) -> Result<()> {
    make_directory(CWD, target)?;
    let copier = Copier {
        source: open_directory(CWD, source)?,
        target: open_directory(CWD, target)?,
        options,
        can_share_blocks: AtomicBool::new(options.blocks == Blocks::Shared),
    };
    let found = in_parallel::<PathBuf, Found>(vec![PathBuf::from(".")], &|found, directory| {
        copier
            .fill(directory, found)
            .with_context(|| format!("copying {}", source.display()))
    })?;
    copier.finish(found)
}

/// What all threads share.
struct Copier {
    source: OwnedFd,
    target: OwnedFd,
    options: CopyOptions,
    can_share_blocks: AtomicBool,
}

/// What is left for the end.
#[derive(Default)]
struct Found {
    directories: Vec<PathBuf>,
    hard_links: Vec<HardLink>,
}

/// One name of a file that has several.
struct HardLink {
    directory: PathBuf,
    name: CString,
    device: u64,
    inode: u64,
}

impl Copier {
    /// Copies what is in one directory, which exists in the target; gives its subdirectories.
    fn fill(&self, directory: PathBuf, found: &mut Found) -> Result<Vec<PathBuf>> {
        let from = open_directory(self.source.as_fd(), &directory)?;
        let to = open_directory(self.target.as_fd(), &directory)?;
        let mut subdirectories = Vec::new();
        let listing = || format!("listing {}", directory.display());
        for entry in Dir::read_from(&from).with_context(listing)? {
            let entry = entry.with_context(listing)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = || directory.join(as_path(name));
            let status = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)
                .with_context(|| format!("looking at {}", path().display()))?;
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                make_directory(to.as_fd(), as_path(name))?;
                subdirectories.push(path());
            } else if status.st_nlink > 1 {
                found.hard_links.push(HardLink {
                    directory: directory.clone(),
                    name: name.to_owned(),
                    device: status.st_dev,
                    inode: status.st_ino,
                });
            } else {
                self.copy_entry(from.as_fd(), to.as_fd(), name, &status)
                    .with_context(|| format!("copying {}", directory.display()))?;
            }
        }
        found.directories.push(directory);
        Ok(subdirectories)
    }

    /// Copies anything but a directory.
    fn copy_entry(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        status: &Stat,
    ) -> Result<()> {
        let made = match self.make_entry(from, to, name, status) {
            Err(Errno::EXIST) => {
                unlinkat(to, name, AtFlags::empty())
                    .with_context(|| format!("replacing {}", name.to_string_lossy()))?;
                self.make_entry(from, to, name, status)
            }
            other => other,
        };
        made.with_context(|| format!("copying {}", name.to_string_lossy()))
    }

    fn make_entry(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &CStr,
        status: &Stat,
    ) -> rustix::io::Result<()> {
        let kind = FileType::from_raw_mode(status.st_mode);
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let source = openat(from, name, OFlags::RDONLY | flags, Mode::empty())?;
                let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | flags;
                let target = openat(to, name, create, Mode::RUSR | Mode::WUSR)?;
                content::copy(&source, &target, status, &self.can_share_blocks)?;
                attributes::copy_to_open(&source, &target, status, self.options.ownership)
            }
            FileType::Symlink => {
                let content = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(content.as_c_str(), to, name)?;
                attributes::copy_to_named(from, to, name, status, self.options.ownership)
            }
            _ => {
                rustix::fs::mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, status.st_rdev)?;
                attributes::copy_to_named(from, to, name, status, self.options.ownership)
            }
        }
    }

    /// Does what only one thread can do, when all others are done.
    fn finish(&self, found: Vec<Found>) -> Result<()> {
        let (directories, hard_links): (Vec<_>, Vec<_>) = found
            .into_iter()
            .map(|found| (found.directories, found.hard_links))
            .unzip();
        self.copy_hard_links(hard_links.into_iter().flatten())?;
        for directory in directories.into_iter().flatten() {
            if self.options.top == Top::AsItIs && directory == Path::new(".") {
                continue;
            }
            let from = open_directory(self.source.as_fd(), &directory)?;
            let to = open_directory(self.target.as_fd(), &directory)?;
            let status = fstat(&from)?;
            attributes::copy_to_open(&from, &to, &status, self.options.ownership)
                .with_context(|| format!("copying attributes of {}", directory.display()))?;
        }
        Ok(())
    }

    /// Copies each file with several names once, and links the other names to the copy.
    fn copy_hard_links(&self, links: impl Iterator<Item = HardLink>) -> Result<()> {
        let mut first_names: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for link in links {
            let to = open_directory(self.target.as_fd(), &link.directory)?;
            let file = (link.device, link.inode);
            if let Some(first) = first_names.get(&file) {
                link_replacing(self.target.as_fd(), first, to.as_fd(), &link.name)?;
                continue;
            }
            let from = open_directory(self.source.as_fd(), &link.directory)?;
            let status = statat(&from, &link.name, AtFlags::SYMLINK_NOFOLLOW)?;
            self.copy_entry(from.as_fd(), to.as_fd(), &link.name, &status)?;
            first_names.insert(file, link.directory.join(as_path(&link.name)));
        }
        Ok(())
    }
}

fn link_replacing(
    top: BorrowedFd<'_>,
    first: &Path,
    to: BorrowedFd<'_>,
    name: &CStr,
) -> Result<()> {
    let linked = match linkat(top, first, to, name, AtFlags::empty()) {
        Err(Errno::EXIST) => {
            unlinkat(to, name, AtFlags::empty())
                .with_context(|| format!("replacing {}", name.to_string_lossy()))?;
            linkat(top, first, to, name, AtFlags::empty())
        }
        other => other,
    };
    linked.with_context(|| format!("linking {}", first.display()))
}

/// Makes a directory for its owner only, until its attributes are copied; one that exists will do.
fn make_directory(parent: BorrowedFd<'_>, path: &Path) -> Result<()> {
    match mkdirat(parent, path, Mode::RWXU) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => open_directory(parent, path).map(drop),
        Err(error) => Err(error).with_context(|| format!("making directory {}", path.display())),
    }
}

fn open_directory(parent: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, path, flags, Mode::empty())
        .with_context(|| format!("opening directory {}", path.display()))
}

fn as_path(name: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()))
}
