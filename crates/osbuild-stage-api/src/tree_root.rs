//! Files below a root directory, reached only by ways that links inside it can not lead astray.
//!
//! A tree is foreign data: `etc` may be a link to `/`, `etc/hostname` one to a file of the host. Every path here is
//! resolved by the kernel with `RESOLVE_IN_ROOT` (openat2(2)): absolute links and `..` start over at the root of the
//! tree, as they would on the finished system. Paths may be written with or without a leading slash.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid};
use rustix::io::Errno;

/// What Python's `open()` asks for; the umask does the rest.
pub const FILE_MODE: u32 = 0o666;
/// What Python's `mkdir()` asks for; the umask does the rest.
pub const DIRECTORY_MODE: u32 = 0o777;
/// Races with renames make openat2 give up with EAGAIN; nothing renames in a tree for that long.
const OPEN_ATTEMPTS: u32 = 32;

/// A directory tree that stays within itself.
#[derive(Clone, Debug)]
pub struct TreeRoot {
    root: Arc<OwnedFd>,
    path: PathBuf,
}

impl TreeRoot {
    /// Opens the root directory.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(io::Error::from)
            .with_context(|| format!("opening the tree {}", path.display()))?;
        Ok(Self {
            root: Arc::new(root),
            path: path.to_owned(),
        })
    }

    /// Returns the root's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a file.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(&path, OFlags::RDONLY, 0)?
            .read_to_end(&mut bytes)
            .with_context(|| self.doing("reading", &path))?;
        Ok(bytes)
    }

    /// Reads a file that must be UTF-8.
    pub fn read_to_string(&self, path: impl AsRef<Path>) -> Result<String> {
        String::from_utf8(self.read(&path)?).with_context(|| self.doing("reading", &path))
    }

    /// Reads a file if it is there.
    pub fn read_if_exists(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        if self.exists(&path)? {
            self.read(path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Writes a whole file; a new one gets the mode 0644, an existing one keeps its own.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<()> {
        self.write_with(path, content, OFlags::TRUNC)
    }

    /// Adds to the end of a file, which is made if it is not there.
    pub fn append(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<()> {
        self.write_with(path, content, OFlags::APPEND)
    }

    fn write_with(
        &self,
        path: impl AsRef<Path>,
        content: impl AsRef<[u8]>,
        flags: OFlags,
    ) -> Result<()> {
        self.open_file(&path, OFlags::WRONLY | OFlags::CREATE | flags, FILE_MODE)?
            .write_all(content.as_ref())
            .with_context(|| self.doing("writing", &path))
    }

    /// Opens a file; `mode` is for a new one, and masked by the umask.
    pub fn open_file(
        &self,
        path: impl AsRef<Path>,
        flags: OFlags,
        mode: u32,
    ) -> Result<std::fs::File> {
        let opened = self
            .open_at(path.as_ref(), flags, mode)
            .with_context(|| self.doing("opening", &path))?;
        Ok(opened.into())
    }

    /// Makes a directory; `mode` is masked by the umask.
    pub fn create_dir(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.at(&path, |parent, name| {
            rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode))
        })
        .with_context(|| self.doing("creating the directory", &path))
    }

    /// Makes a directory and those above it, as far as they are missing; an existing one is fine.
    pub fn create_dir_all(&self, path: impl AsRef<Path>) -> Result<()> {
        self.create_dir_all_mode(path, DIRECTORY_MODE)
    }

    /// Like [`Self::create_dir_all`]; `mode` is for the last one only.
    pub fn create_dir_all_mode(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        let components: Vec<_> = path.as_ref().components().collect();
        let mut above = PathBuf::new();
        for (index, component) in components.iter().enumerate() {
            above.push(component);
            if !matches!(component, Component::Normal(_)) {
                continue;
            }
            let mode = if index + 1 == components.len() {
                mode
            } else {
                DIRECTORY_MODE
            };
            let made = self.at(&above, |parent, name| {
                rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(mode))
            });
            match made {
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && self.is_dir(&above)? => {}
                made => made.with_context(|| self.doing("creating the directory", &above))?,
            }
        }
        Ok(())
    }

    /// Removes a file or a link; returns whether it was there.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> Result<bool> {
        match self.at(&path, |parent, name| {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())
        }) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).with_context(|| self.doing("removing", &path)),
        }
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, path: impl AsRef<Path>) -> Result<()> {
        self.at(&path, |parent, name| {
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        })
        .with_context(|| self.doing("removing the directory", &path))
    }

    /// Gives a file another name, replacing what had it.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (old_parent, old_name) = self
            .split(from.as_ref())
            .with_context(|| self.doing("renaming", &from))?;
        self.at(&to, |parent, name| {
            rustix::fs::renameat(&old_parent, &old_name, parent, name)
        })
        .with_context(|| self.doing("renaming to", &to))
    }

    /// Makes a symbolic link; `target` is written as it is.
    pub fn symlink(&self, target: impl AsRef<Path>, link: impl AsRef<Path>) -> Result<()> {
        self.at(&link, |parent, name| {
            rustix::fs::symlinkat(target.as_ref(), parent, name)
        })
        .with_context(|| self.doing("linking", &link))
    }

    /// Makes a hard link.
    pub fn hard_link(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (old_parent, old_name) = self
            .split(from.as_ref())
            .with_context(|| self.doing("linking", &from))?;
        self.at(&to, |parent, name| {
            rustix::fs::linkat(&old_parent, &old_name, parent, name, AtFlags::empty())
        })
        .with_context(|| self.doing("linking", &to))
    }

    /// Sets the permission bits, whatever the umask; follows links, inside the tree.
    pub fn chmod(&self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        let file = self
            .open_at(path.as_ref(), OFlags::PATH, 0)
            .with_context(|| self.doing("opening", &path))?;
        rustix::fs::chmod(magic_link(file.as_fd()), Mode::from_raw_mode(mode))
            .map_err(io::Error::from)
            .with_context(|| self.doing("changing the mode of", &path))
    }

    /// Sets the owner and group by number; follows links, inside the tree.
    pub fn chown(&self, path: impl AsRef<Path>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let file = self
            .open_at(path.as_ref(), OFlags::PATH, 0)
            .with_context(|| self.doing("opening", &path))?;
        rustix::fs::chownat(
            &file,
            "",
            uid.map(Uid::from_raw),
            gid.map(Gid::from_raw),
            AtFlags::EMPTY_PATH,
        )
        .map_err(io::Error::from)
        .with_context(|| self.doing("changing the owner of", &path))
    }

    /// Tells whether the path leads to something, following links.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        Ok(self
            .stat_if_exists(path.as_ref(), OFlags::empty())?
            .is_some())
    }

    /// Tells whether the path leads to a directory, following links.
    pub fn is_dir(&self, path: impl AsRef<Path>) -> Result<bool> {
        let stat = self.stat_if_exists(path.as_ref(), OFlags::empty())?;
        Ok(stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()))
    }

    /// Tells whether the path leads to a regular file, following links.
    pub fn is_file(&self, path: impl AsRef<Path>) -> Result<bool> {
        let stat = self.stat_if_exists(path.as_ref(), OFlags::empty())?;
        Ok(stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file()))
    }

    /// Tells whether there is an entry of that name, be it a link to nowhere.
    pub fn has_entry(&self, path: impl AsRef<Path>) -> Result<bool> {
        Ok(self
            .stat_if_exists(path.as_ref(), OFlags::NOFOLLOW)?
            .is_some())
    }

    /// Looks at what the path leads to.
    pub fn stat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        let missing = || anyhow::Error::from(io::Error::from(Errno::NOENT));
        let stat = self.stat_if_exists(path.as_ref(), OFlags::empty())?;
        stat.ok_or_else(missing)
            .with_context(|| self.doing("looking at", &path))
    }

    /// Looks at the entry itself, be it a link.
    pub fn lstat(&self, path: impl AsRef<Path>) -> Result<Stat> {
        let missing = || anyhow::Error::from(io::Error::from(Errno::NOENT));
        let stat = self.stat_if_exists(path.as_ref(), OFlags::NOFOLLOW)?;
        stat.ok_or_else(missing)
            .with_context(|| self.doing("looking at", &path))
    }

    fn stat_if_exists(&self, path: &Path, flags: OFlags) -> Result<Option<Stat>> {
        match self.open_at(path, OFlags::PATH | flags, 0) {
            Ok(file) => Ok(Some(rustix::fs::fstat(file).map_err(io::Error::from)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.doing("looking at", path)),
        }
    }

    /// Returns where a link points to, as written.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let target = self
            .at(&path, |parent, name| {
                rustix::fs::readlinkat(parent, name, Vec::new())
            })
            .with_context(|| self.doing("reading the link", &path))?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Returns the names in a directory, sorted.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Vec<OsString>> {
        let names = self
            .names(path.as_ref())
            .with_context(|| self.doing("listing", &path))?;
        Ok(names)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let directory = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Returns the real path of an existing file, without links: safe to hand to a program of the build root.
    pub fn real_path(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let file = self
            .open_at(path.as_ref(), OFlags::PATH, 0)
            .with_context(|| self.doing("opening", &path))?;
        self.spell(&file)
    }

    /// Returns the real path of a file that need not exist, in a directory that must: only the last part may be
    /// missing, or be a link, which is not followed.
    pub fn real_parent_path(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let (parent, name) = self
            .split(path.as_ref())
            .with_context(|| self.doing("opening", &path))?;
        Ok(self.spell(&parent)?.join(name))
    }

    /// Returns the real path of a file that a program of the build root is to write: it may be missing, and a link in
    /// its place is followed inside the tree, to something that is there.
    pub fn target_path(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        if path.file_name().is_none() || self.exists(path)? {
            return self.real_path(path);
        }
        if self.has_entry(path)? {
            bail!(
                "not writing through the dangling link {}",
                self.path
                    .join(path.strip_prefix("/").unwrap_or(path))
                    .display()
            );
        }
        self.real_parent_path(path)
    }

    /// Returns the path of an open file, starting as the root was spelled.
    fn spell(&self, file: &OwnedFd) -> Result<PathBuf> {
        let real_root = fs_err::read_link(magic_link(self.root.as_fd()))?;
        let real = fs_err::read_link(magic_link(file.as_fd()))?;
        let below = real
            .strip_prefix(&real_root)
            .with_context(|| format!("{} left its tree", real.display()))?;
        Ok(if below.as_os_str().is_empty() {
            self.path.clone()
        } else {
            self.path.join(below)
        })
    }

    /// Does something to an entry: gets its directory and its name, so a link in its place is not followed.
    fn at<T>(
        &self,
        path: impl AsRef<Path>,
        act: impl FnOnce(BorrowedFd<'_>, &OsStr) -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        let (parent, name) = self.split(path.as_ref())?;
        Ok(act(parent.as_fd(), &name)?)
    }

    /// Opens the directory of an entry.
    fn split(&self, path: &Path) -> io::Result<(OwnedFd, OsString)> {
        // `file_name` is none for the root itself and for paths that end in `..`.
        let Some(name) = path.file_name() else {
            return Err(
                if path.components().any(|part| part == Component::ParentDir) {
                    Errno::INVAL.into()
                } else {
                    Errno::EXIST.into()
                },
            );
        };
        let parent = self.open_at(
            path.parent().unwrap_or(Path::new("")),
            OFlags::PATH | OFlags::DIRECTORY,
            0,
        )?;
        Ok((parent, name.to_owned()))
    }

    fn open_at(&self, path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new("/")
        } else {
            path
        };
        // The kernel refuses a mode unless something may be created.
        let mode = if flags.contains(OFlags::CREATE) {
            Mode::from_raw_mode(mode)
        } else {
            Mode::empty()
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..OPEN_ATTEMPTS {
            match rustix::fs::openat2(&*self.root, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN) => {}
                result => return Ok(result?),
            }
        }
        Err(Errno::AGAIN.into())
    }

    fn doing(&self, what: &str, path: impl AsRef<Path>) -> String {
        let relative = path.as_ref().strip_prefix("/").unwrap_or(path.as_ref());
        format!("{what} {}", self.path.join(relative).display())
    }
}

/// The way back from a descriptor to a path.
fn magic_link(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests;
