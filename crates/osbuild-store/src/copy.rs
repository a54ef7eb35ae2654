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
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, linkat, mkdirat, openat, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::export::Ownership;
use crate::survey::OVERLAY_ATTRIBUTES;

mod attributes;
mod content;

/// More threads than this do not make one disk faster.
const MAXIMUM_THREADS: usize = 8;

/// How to copy a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CopyOptions {
    /// Who owns the copies.
    pub(crate) ownership: Ownership,
    /// Whether the copies may share blocks with what they are copies of.
    pub(crate) blocks: Blocks,
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
        queue: Mutex::new(Queue {
            pending: vec![PathBuf::from(".")],
            working: 0,
            found: Found::default(),
            failure: None,
        }),
        changed: Condvar::new(),
    };
    let threads =
        std::thread::available_parallelism().map_or(1, |count| count.get().min(MAXIMUM_THREADS));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| copier.work());
        }
        copier.work();
    });
    copier.finish()
}

/// What all threads share.
struct Copier {
    source: OwnedFd,
    target: OwnedFd,
    options: CopyOptions,
    can_share_blocks: AtomicBool,
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    /// Directories, relative to the top, that exist in the target and are to be filled.
    pending: Vec<PathBuf>,
    /// Threads that are filling one.
    working: usize,
    found: Found,
    failure: Option<anyhow::Error>,
}

/// What is left for the end.
#[derive(Default)]
struct Found {
    directories: Vec<PathBuf>,
    hard_links: Vec<(PathBuf, CString, u64, u64)>,
}

impl Copier {
    /// Fills directories until there are none left, or something fails.
    fn work(&self) {
        while let Some(directory) = self.take() {
            let result = self
                .fill(&directory)
                .with_context(|| format!("copying {}", directory.display()));
            let mut queue = self.lock();
            queue.working -= 1;
            match result {
                Ok((subdirectories, hard_links)) => {
                    queue.pending.extend(subdirectories);
                    queue.found.hard_links.extend(hard_links);
                    queue.found.directories.push(directory);
                }
                Err(error) => {
                    queue.failure.get_or_insert(error);
                }
            }
            drop(queue);
            self.changed.notify_all();
        }
    }

    /// Waits for a directory; none when there will be no more.
    fn take(&self) -> Option<PathBuf> {
        let mut queue = self.lock();
        loop {
            if queue.failure.is_some() {
                return None;
            }
            if let Some(directory) = queue.pending.pop() {
                queue.working += 1;
                return Some(directory);
            }
            if queue.working == 0 {
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what is in one directory; gives its subdirectories, and files that have several names.
    #[expect(clippy::type_complexity, reason = "two lists for one caller")]
    fn fill(&self, directory: &Path) -> Result<(Vec<PathBuf>, Vec<(PathBuf, CString, u64, u64)>)> {
        let from = open_directory(self.source.as_fd(), directory)?;
        let to = open_directory(self.target.as_fd(), directory)?;
        let (mut subdirectories, mut hard_links) = (Vec::new(), Vec::new());
        for entry in Dir::read_from(&from).context("listing")? {
            let entry = entry.context("listing")?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let status = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)
                .with_context(|| format!("looking at {}", name.to_string_lossy()))?;
            if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
                let path = as_path(name);
                make_directory(to.as_fd(), path)?;
                subdirectories.push(directory.join(path));
            } else if status.st_nlink > 1 {
                hard_links.push((
                    directory.to_owned(),
                    name.to_owned(),
                    status.st_dev,
                    status.st_ino,
                ));
            } else {
                self.copy_entry(from.as_fd(), to.as_fd(), name, &status)?;
            }
        }
        Ok((subdirectories, hard_links))
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
    fn finish(self) -> Result<()> {
        let queue = std::mem::replace(
            &mut *self.lock(),
            Queue {
                pending: Vec::new(),
                working: 0,
                found: Found::default(),
                failure: None,
            },
        );
        if let Some(failure) = queue.failure {
            return Err(failure);
        }
        self.copy_hard_links(queue.found.hard_links)?;
        for directory in queue.found.directories {
            let from = open_directory(self.source.as_fd(), &directory)?;
            let to = open_directory(self.target.as_fd(), &directory)?;
            let status = fstat(&from)?;
            attributes::copy_to_open(&from, &to, &status, self.options.ownership)
                .with_context(|| format!("copying attributes of {}", directory.display()))?;
        }
        Ok(())
    }

    /// Copies each file with several names once, and links the other names to the copy.
    fn copy_hard_links(&self, names: Vec<(PathBuf, CString, u64, u64)>) -> Result<()> {
        let mut first_names: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for (directory, name, device, inode) in names {
            let to = open_directory(self.target.as_fd(), &directory)?;
            if let Some(first) = first_names.get(&(device, inode)) {
                link_replacing(self.target.as_fd(), first, to.as_fd(), &name)?;
                continue;
            }
            let from = open_directory(self.source.as_fd(), &directory)?;
            let status = statat(&from, &name, AtFlags::SYMLINK_NOFOLLOW)?;
            self.copy_entry(from.as_fd(), to.as_fd(), &name, &status)?;
            first_names.insert((device, inode), directory.join(as_path(&name)));
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
